import numpy as np
import pytest
import torch
from PIL import Image

from vivace.conditioning.first_frame import fit_image
from vivace.errors import VivaceError


def test_a_picture_of_the_right_size_is_only_scaled_to_the_codec_s_range() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    fitted = fit_image(picture, 32, 48)
    assert fitted.shape == (3, 32, 48)
    torch.testing.assert_close(fitted.permute(1, 2, 0), torch.from_numpy(picture).float() / 127.5 - 1)
    torch.testing.assert_close(fit_image(Image.fromarray(picture), 32, 48), fitted)


@pytest.mark.parametrize("shape", [(10, 300), (300, 10), (64, 64), (33, 47), (1, 1)])
def test_any_picture_covers_the_frame_and_keeps_its_middle(shape: tuple[int, int]) -> None:
    picture = np.zeros((*shape, 3), dtype=np.uint8)
    picture[:, :, 1] = 255
    fitted = fit_image(picture, 32, 64)
    assert fitted.shape == (3, 32, 64)
    assert (fitted[1] == 1).all()
    assert (fitted[0] == -1).all()


def test_the_middle_is_cut_out() -> None:
    picture = np.zeros((32, 96, 3), dtype=np.uint8)
    picture[:, 32:64] = 255
    assert (fit_image(picture, 32, 32) == 1).all()


@pytest.mark.parametrize(
    "bad", ["a.png", np.zeros((3, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)]
)
def test_what_is_no_picture_is_refused(bad) -> None:
    with pytest.raises(VivaceError):
        fit_image(bad, 32, 32)
