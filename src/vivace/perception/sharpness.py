"""How sharp pictures are, by how much a blur takes from them (Crete et al. 2007)."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter1d

WINDOW = 9  # pixels of the blur, as published
_DETAIL = 0.5  # mean step between neighbours (of 255) below which there is nothing to be sharp
PICTURES = 16  # looked at, evenly over the clip


def measure_sharpness(frames: np.ndarray, rounding: float = 0.0) -> float | None:
    """Sharpness of a clip, 0 (blurred) to 1; None where no picture has any detail.

    Blurring a sharp picture takes most of the differences between neighbouring pixels; a blurred one has hardly any to
    lose. The value is the share that is lost, in the direction (across or down) that loses less, the median over the
    pictures. It compares clips of equal size: a picture that was enlarged is blurred.

    Args:
        frames: uint8 [T, H, W, 3].
        rounding: how much of each step between neighbours (of 255) counts as none. Rounding to whole levels makes
            steps of one level from a gradient, which in dim, blurred pictures are most of what looks sharp; 1 takes
            them away (ours; the published measure has 0).

    Source: Crete, Dolmiere, Ladret, Nicolas, "The blur effect", 2007; their measure is 1 minus this one.
    """
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(PICTURES, len(frames))).round().astype(int))
    values = [value for n in chosen if (value := picture_sharpness(frames[n], rounding)) is not None]
    return float(np.median(values)) if values else None


def picture_sharpness(picture: np.ndarray, rounding: float = 0.0) -> float | None:
    """Sharpness of one picture, uint8 [H, W, 3], as `measure_sharpness`; None where it has no detail."""
    bright = picture.astype(np.float32).mean(axis=-1)
    lost = []
    for axis in (0, 1):
        if bright.shape[axis] < 2:
            return None
        steps = np.abs(np.diff(bright, axis=axis))
        if steps.mean() < _DETAIL:
            continue
        steps = np.maximum(steps - rounding, 0.0)
        if not steps.any():
            return 0.0
        after = np.abs(np.diff(uniform_filter1d(bright, WINDOW, axis=axis, mode="nearest"), axis=axis))
        lost.append(float(np.maximum(steps - after, 0.0).sum() / steps.sum()))
    return min(lost) if lost else None
