"""Borders, blocks and noise against pictures built to have them."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from vivace.perception.blocking import measure_blocking
from vivace.perception.borders import border_share
from vivace.perception.grain import measure_grain
from vivace.timeline import Timeline
from vivace.world import render_video, sample_scene

KINDS = (None, "ambience", "vehicle", "talk")


def clip(kind: str | None = None, seed: int = 0, height: int = 96, width: int = 96, frames: int = 5) -> np.ndarray:
    return render_video(sample_scene(seed, "val", kind=kind), Timeline(frames=frames), height, width)


def texture(seed: int = 0, level: float = 40.0) -> np.ndarray:
    """Smooth noise around the middle grey, [96, 160, 3]."""
    smooth = gaussian_filter(np.random.default_rng(seed).normal(0, 1, (96, 160)), 3.0, mode="wrap")
    return np.repeat((128 + level * smooth / smooth.std())[..., None], 3, axis=2)


def compressed(frames: np.ndarray, quality: int) -> np.ndarray:
    shown = []
    for frame in frames:
        file = io.BytesIO()
        Image.fromarray(frame).save(file, "JPEG", quality=quality)
        shown.append(np.asarray(Image.open(file)))
    return np.stack(shown)


def framed(frames: np.ndarray, rows: int, columns: int, black: int = 16) -> np.ndarray:
    shown = frames.copy()
    shown[:, :rows] = shown[:, frames.shape[1] - rows :] = black
    shown[:, :, :columns] = shown[:, :, frames.shape[2] - columns :] = black
    return shown


@pytest.mark.parametrize(("rows", "columns"), [(12, 0), (0, 8), (12, 8)])
def test_borders_have_their_share(rows: int, columns: int) -> None:
    share = 1 - (96 - 2 * rows) / 96 * (96 - 2 * columns) / 96
    frames = framed(clip(frames=25), rows, columns)
    assert border_share(frames) == pytest.approx(share, abs=0.01)
    # A codec's ringing takes a line or two.
    assert border_share(compressed(frames, 40)) == pytest.approx(share, abs=0.06)


def test_no_borders() -> None:
    for kind in KINDS:
        assert border_share(clip(kind)) == 0.0
    # A night with something in it, and a picture whose upper part is dark for a moment.
    night = np.clip(np.stack([texture(seed) * 0.15 for seed in range(4)]), 0, 255).astype(np.uint8)
    assert night.max() < 60
    assert border_share(night) == 0.0
    moment = clip(frames=9)
    moment[:4, :30] = 10
    assert border_share(moment) == 0.0
    assert border_share(np.full((3, 32, 32, 3), 10, np.uint8)) == 1.0


def test_blocks_of_strong_compression_are_seen() -> None:
    for kind in KINDS:
        frames = clip(kind, height=192, width=256)
        assert measure_blocking(frames) < 0.3
        assert measure_blocking(compressed(frames, 10)) > 0.5
        # Also where the picture was cropped, so that the grid begins elsewhere.
        assert measure_blocking(compressed(frames, 10)[:, 3:, 5:]) > 0.5
    assert measure_blocking(np.full((2, 64, 64, 3), 90, np.uint8)) == 0.0
    assert measure_blocking(np.zeros((1, 8, 8, 3), np.uint8)) == 0.0


@pytest.mark.parametrize("level", [2.0, 5.0, 10.0])
def test_noise_is_measured_over_what_is_shown(level: float) -> None:
    noise = np.random.default_rng(1).normal(0, level, (4, 96, 160, 1))
    noisy = np.clip(texture() + noise, 0, 255).round().astype(np.uint8)
    assert measure_grain(noisy) == pytest.approx(level, rel=0.1, abs=0.1)


def test_clean_pictures_have_no_noise() -> None:
    for kind in KINDS:
        assert measure_grain(clip(kind)) < 0.5
    assert measure_grain(np.full((2, 4, 4, 3), 90, np.uint8)) == 0.0
