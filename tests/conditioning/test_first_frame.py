import numpy as np
import pytest
from PIL import Image

from vivace.conditioning.first_frame import as_picture, fit_image
from vivace.errors import VivaceError
from vivace.media import read_image


def test_a_picture_of_the_right_size_stays_as_it_is() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    np.testing.assert_array_equal(fit_image(picture, 32, 48), picture)
    np.testing.assert_array_equal(fit_image(Image.fromarray(picture), 32, 48), picture)


@pytest.mark.parametrize("shape", [(10, 300), (300, 10), (64, 64), (33, 47), (1, 1)])
def test_any_picture_covers_the_frame_and_keeps_its_middle(shape: tuple[int, int]) -> None:
    picture = np.zeros((*shape, 3), dtype=np.uint8)
    picture[:, :, 1] = 255
    fitted = fit_image(picture, 32, 64)
    assert fitted.shape == (32, 64, 3)
    assert (fitted == (0, 255, 0)).all()


def test_the_middle_is_cut_out() -> None:
    picture = np.zeros((32, 96, 3), dtype=np.uint8)
    picture[:, 32:64] = 255
    assert (fit_image(picture, 32, 32) == 255).all()


@pytest.mark.parametrize(
    "bad",
    ["a.png", np.zeros((3, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4, 3))],
)
def test_what_is_no_picture_is_refused(bad) -> None:
    with pytest.raises(VivaceError):
        fit_image(bad, 32, 32)


def test_another_part_than_the_middle_is_kept_inside_the_picture():
    picture = np.repeat(np.arange(96, dtype=np.uint8)[None, :, None], 32, axis=0).repeat(3, axis=2)
    for centre, first in (((0.5, 0.5), 32), ((0.0, 0.5), 0), ((0.25, 0.0), 8), ((1.0, 1.0), 64)):
        np.testing.assert_array_equal(fit_image(picture, 32, 32, centre), picture[:, first : first + 32])


def test_an_image_object_is_read_as_its_file_is(tmp_path):
    dice = np.random.default_rng(0)
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(dice.integers(0, 256, (16, 32, 3), dtype=np.uint8)).save(tmp_path / "turned.png", exif=turned)
    Image.fromarray(dice.integers(0, 256, (16, 32, 4), dtype=np.uint8)).save(tmp_path / "alpha.png")
    Image.fromarray(dice.integers(0, 2**16, (16, 32), dtype=np.uint16)).save(tmp_path / "deep.png")
    for name in ("turned", "alpha", "deep"):
        with Image.open(tmp_path / f"{name}.png") as image:
            np.testing.assert_array_equal(np.asarray(as_picture(image)), read_image(tmp_path / f"{name}.png"))
    assert read_image(tmp_path / "turned.png").shape == (32, 16, 3)
