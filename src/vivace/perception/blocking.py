"""Blocks of strong compression: steps between pixels that gather on a grid of eight."""

from __future__ import annotations

import numpy as np

from vivace.perception.luma import luma

GRID = 8
PICTURES = 8  # looked at, evenly over the clip
_LARGEST = 24.0  # of 255: a larger step is an edge of what is shown
_SOFT = 0.25  # added to both sides, so that a picture of one colour has none


def measure_blocking(frames: np.ndarray) -> float:
    """How much larger the steps at the borders of 8 x 8 blocks are than the steps inside them: 0 where they are equal.

    The grid may begin anywhere (a cropped video); the direction in which it shows less counts. Fine texture hides
    blocks from it, as from the eye.

    Args:
        frames: uint8 [T, H, W, 3].

    Source: ours, after the usual no-reference measures of JPEG pictures (Wang, Sheikh, Bovik 2002).
    """
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(PICTURES, len(frames))).round().astype(int))
    bright = np.stack([luma(frames[n]) for n in chosen])
    return max(0.0, min(_along(bright, 2), _along(bright, 1)))


def _along(bright: np.ndarray, axis: int) -> float:
    if bright.shape[axis] < 3 * GRID:
        return 0.0
    steps = np.abs(np.diff(bright, axis=axis))
    kept = np.where(steps < _LARGEST, steps, 0.0)
    other = 1 if axis == 2 else 2
    line = kept.mean(axis=(0, other))
    # The median over the lines of the grid: a few straight edges of what is shown are no grid.
    phases = np.array([np.median(line[k::GRID]) for k in range(GRID)])
    top = int(phases.argmax())
    inside = float(np.delete(phases, top).mean())
    return float((phases[top] + _SOFT) / (inside + _SOFT) - 1)
