"""Still pictures from strangers: turned, transparent, deep, grey, damaged."""

import numpy as np
import pytest
from PIL import Image

from vivace.errors import VivaceError
from vivace.media import read_image


def test_camera_rotation_is_undone(tmp_path):
    image = Image.new("RGB", (20, 10), "black")
    image.putpixel((0, 0), (255, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    image.save(tmp_path / "turned.png", exif=exif)
    picture = read_image(tmp_path / "turned.png")
    assert picture.shape == (20, 10, 3)
    assert tuple(picture[0, -1]) == (255, 0, 0)


def test_transparency_is_shown_over_white(tmp_path):
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (read_image(tmp_path / "clear.png") == 255).all()


def test_deep_grey_is_scaled(tmp_path):
    Image.fromarray(np.array([[0, 32896, 65535]], np.uint16)).save(tmp_path / "deep.png")
    assert read_image(tmp_path / "deep.png")[0, :, 0].tolist() == [0, 128, 255]


def test_grey_and_palette_become_rgb(tmp_path):
    for mode in ("L", "P", "1", "CMYK"):
        suffix = "tiff" if mode == "CMYK" else "png"
        Image.new(mode, (6, 5)).save(tmp_path / f"{mode}.{suffix}")
        assert read_image(tmp_path / f"{mode}.{suffix}").shape == (5, 6, 3)


def test_damage_is_refused(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:5000])
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    for name in ("cut.png", "text.png", "empty.png", "none.png", "."):
        with pytest.raises(VivaceError, match="Image"):
            read_image(tmp_path / name)
