"""How near enlarged pictures are to the true ones."""

import numpy as np
import pytest

from vivace.errors import VivaceError
from vivace.evaluation.enlargement import enlarged, picture_figures, restlessness, ssim


def _pictures(frames: int = 6, side: int = 48) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    waves = [127 + 90 * np.sin((x + 3 * t) / 5) * np.cos(y / 4) for t in range(frames)]
    return np.repeat(np.stack(waves)[..., None], 3, axis=-1).round().astype(np.uint8)


def test_the_same_pictures_have_the_best_figures() -> None:
    true = _pictures()
    figures = picture_figures(true, true, 24.0)
    assert figures["psnr"] == figures["psnr_moving"] == 100
    assert figures["ssim"] == pytest.approx(1.0)
    assert figures["restlessness"] == figures["flicker"] == 0


def test_a_known_error_has_known_figures() -> None:
    true = np.full((4, 32, 32, 3), 100, np.uint8)
    figures = picture_figures(true, true + 10, 24.0)
    assert figures["psnr"] == pytest.approx(20 * np.log10(25.5))
    # flat pictures: only the term of brightness is left
    assert figures["ssim"] == pytest.approx((2 * 100 * 110 + 6.5025) / (100**2 + 110**2 + 6.5025))
    assert "psnr_moving" not in figures
    assert figures["restlessness"] == 0
    alternating = true + np.array([0, 4, 0, 4], np.uint8)[:, None, None, None]
    assert restlessness(true, alternating) == pytest.approx(4)
    assert picture_figures(true, alternating, 24.0)["flicker"] == pytest.approx(2, abs=0.01)


def test_figures_fall_with_the_error_and_kernels_differ() -> None:
    true = _pictures()
    small = true.reshape(6, 24, 2, 24, 2, 3).mean(axis=(2, 4)).round().astype(np.uint8)
    bicubic, lanczos = (enlarged(small, 48, 48, how) for how in ("bicubic", "lanczos"))
    assert bicubic.shape == true.shape
    assert not np.array_equal(bicubic, lanczos)
    noise = np.random.default_rng(0).normal(0, 40, true.shape)
    worse = (true + noise).clip(0, 255).astype(np.uint8)
    good, bad = (picture_figures(true, made, 24.0) for made in (lanczos, worse))
    assert good["psnr"] > bad["psnr"]
    assert 0 < ssim(true, worse) < ssim(true, lanczos) < 1
    assert good["restlessness"] < bad["restlessness"]


def test_pictures_of_different_shapes_are_refused() -> None:
    with pytest.raises(VivaceError, match="cannot be compared"):
        picture_figures(_pictures(), _pictures(side=32), 24.0)
    with pytest.raises(VivaceError, match="two or more"):
        picture_figures(_pictures(1), _pictures(1), 24.0)
