"""Brightness that jumps back and forth between pictures."""

from __future__ import annotations

import numpy as np

from vivace.perception.cuts import detect_cuts, mean_colours
from vivace.perception.luma import WEIGHTS

CELLS = 8


def measure_flicker(frames: np.ndarray, fps: float) -> float | None:
    """Amplitude of the brightness that the whole picture shares and that changes from one picture to the next.

    Each picture is compared with the mean of its neighbours, which passes over light that rises or falls steadily; the
    median over an 8 x 8 grid passes over what moves through a part of the picture; shots are taken by themselves. A
    picture whose brightness alternates between b - a and b + a has the value a, in 0 to 127.5.

    Args:
        frames: uint8 [T, H, W, 3]; fps: pictures per second.

    Returns:
        root mean square over the pictures; None where no shot has three.
    """
    grid = mean_colours(frames, min(CELLS, *frames.shape[1:3])) @ WEIGHTS
    starts = [round(time * fps) for time in detect_cuts(frames, fps)]
    squares = [_shared_jumps(shot) ** 2 for shot in np.split(grid, starts) if len(shot) >= 3]
    return float(np.sqrt(np.concatenate(squares).mean())) if squares else None


def _shared_jumps(grid: np.ndarray) -> np.ndarray:
    """Half of each inner picture's distance from its neighbours' mean, the median over the parts. [T - 2]"""
    jumps = (grid[1:-1] - (grid[:-2] + grid[2:]) / 2.0) / 2.0
    shared: np.ndarray = np.median(jumps.reshape(len(jumps), -1), axis=1)
    return shared
