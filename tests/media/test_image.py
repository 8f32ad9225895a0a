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


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_undone(tmp_path, orientation):
    upright = np.zeros((8, 16, 3), np.uint8)
    upright[:, :8, 0], upright[:4, :, 1] = 250, 250  # four corners of four colours
    # What a camera stores: the picture turned the other way.
    stored = {
        1: lambda x: x,
        2: lambda x: x[:, ::-1],
        3: lambda x: x[::-1, ::-1],
        4: lambda x: x[::-1],
        5: lambda x: x.transpose(1, 0, 2),
        6: lambda x: np.rot90(x),
        7: lambda x: x[::-1, ::-1].transpose(1, 0, 2),
        8: lambda x: np.rot90(x, -1),
    }[orientation](upright)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.webp", lossless=True, exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.webp"), upright)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "bmp", "tiff", "ppm", "ico", "tga", "jp2"])
def test_pictures_of_every_format(tmp_path, suffix):
    path = tmp_path / f"picture.{suffix}"
    Image.new("RGB", (16, 16), (200, 40, 90)).save(path)
    picture = read_image(path)
    assert picture.shape == (16, 16, 3)
    assert np.abs(picture.astype(int) - (200, 40, 90)).max() < 8


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "it is empty.; give an undamaged"),
        (b"\x89PNG\r\n\x1a\n" + bytes(8), "it is damaged.; give an undamaged PNG"),
        (b"<?xml version='1.0'?>\n<!-- by nobody -->\n<svg xmlns='http://www.w3.org/2000/svg'/>", "drawing in SVG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), "picture in HEIC.*; convert it to PNG or JPEG"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(99), "picture in HEIC.*; convert it to PNG or JPEG"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp41" + bytes(99), "it is a video.; name a picture of it, as PNG or JPEG"),
        (b"%PDF-1.4\n" + bytes(99), "unknown here.; convert it to PNG or JPEG"),
        (b"words", "unknown here.; convert it to PNG or JPEG"),
    ],
)
def test_a_file_that_is_no_picture_for_us_is_told_what_it_is(tmp_path, content, complaint):
    path = tmp_path / "picture.png"
    path.write_bytes(content)
    with pytest.raises(VivaceError, match=complaint) as caught:
        read_image(path)
    assert str(caught.value).startswith(f"Image {str(path)!r} ")
    assert "\n" not in str(caught.value)


def test_the_smallest_and_a_very_wide_picture_are_read_and_a_huge_one_refused(tmp_path):
    for size in ((1, 1), (20_000, 30), (1, 20_000)):
        Image.new("L", size, 90).save(tmp_path / "a.png")
        assert read_image(tmp_path / "a.png").shape == (*size[::-1], 3)
    Image.new("1", (20_000, 4_500)).save(tmp_path / "huge.png")
    with pytest.raises(VivaceError, match="larger than 89 million pixels; make it smaller"):
        read_image(tmp_path / "huge.png")


def test_transparency_is_shown_over_white(tmp_path):
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (read_image(tmp_path / "clear.png") == 255).all()


def test_deep_grey_is_scaled(tmp_path):
    Image.fromarray(np.array([[0, 32896, 65535]], np.uint16)).save(tmp_path / "deep.png")
    assert read_image(tmp_path / "deep.png")[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize(
    ("kind", "values", "seen"),
    [
        (np.float32, [0, 0.5, 1], [0, 128, 255]),
        (np.float32, [0, 0.5, 200], [0, 1, 200]),
        (np.int32, [0, 40, 255], [0, 40, 255]),
        (np.int32, [0, 32896, 65535], [0, 128, 255]),
        (np.uint16, [0, 128, 255], [0, 0, 1]),  # its white is known, however dark the picture
    ],
)
def test_grey_of_every_depth_is_scaled_by_its_white(tmp_path, kind, values, seen):
    Image.fromarray(np.array([values], kind)).save(tmp_path / "deep.tiff")
    assert read_image(tmp_path / "deep.tiff")[0].tolist() == [[value] * 3 for value in seen]


@pytest.mark.parametrize(
    ("kind", "values"),
    [(np.float32, [-0.1, 1]), (np.float32, [0, 300]), (np.float32, [0, np.nan]), (np.int32, [0, 2**20])],
)
def test_grey_that_says_no_brightness_is_refused(tmp_path, kind, values):
    Image.fromarray(np.array([values], kind)).save(tmp_path / "odd.tiff")
    with pytest.raises(VivaceError, match=r"^Image '.*odd.tiff' has grey values from .* scale them to 0 to"):
        read_image(tmp_path / "odd.tiff")


def test_what_is_left_out_of_a_picture_is_told(tmp_path):
    red, clear = Image.new("RGB", (4, 4), "red"), Image.new("RGBA", (4, 4), (255, 0, 0, 100))
    red.save(tmp_path / "plain.png")
    red.convert("RGBA").save(tmp_path / "opaque.png")
    clear.save(tmp_path / "clear.png")
    red.save(tmp_path / "moving.gif", save_all=True, append_images=[Image.new("RGB", (4, 4), "blue")])
    red.save(tmp_path / "pages.tiff", save_all=True, append_images=[Image.new("RGB", (4, 4), "blue")])
    told = {path.name: [] for path in tmp_path.iterdir()}
    for name, changes in told.items():
        assert read_image(tmp_path / name, tell=changes.append)[0, 0].tolist() in ([255, 0, 0], [255, 155, 155])
    assert told.pop("plain.png") == told.pop("opaque.png") == []
    assert told.pop("clear.png") == ["is transparent in places, which are shown over white"]
    assert all(changes == ["is animated or has several pages, of which the first is used"] for changes in told.values())


def test_grey_and_palette_become_rgb(tmp_path):
    for mode in ("L", "LA", "P", "1", "CMYK"):
        suffix = "tiff" if mode == "CMYK" else "png"
        Image.new(mode, (6, 5)).save(tmp_path / f"{mode}.{suffix}")
        picture = read_image(tmp_path / f"{mode}.{suffix}")
        # Nothing is transparent black, which is shown over white, or no ink, which is white.
        np.testing.assert_array_equal(picture, np.full((5, 6, 3), 255 if mode in ("LA", "CMYK") else 0))


def test_damage_is_refused(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:5000])
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    for name in ("cut.png", "text.png", "empty.png", "none.png", "."):
        with pytest.raises(VivaceError, match="Image") as caught:
            read_image(tmp_path / name)
        assert str(caught.value).count(str(tmp_path / name)) == 1
