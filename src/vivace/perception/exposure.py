"""Light: brightness, contrast, and what is lost in black or white."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vivace.perception.luma import luma

DARK, BRIGHT = 4.0, 251.0  # of 255: detail below or above is lost
PICTURES = 32  # looked at, evenly over the clip


@dataclass(frozen=True)
class Exposure:
    """Light of a clip; brightness in 0 to 255 (Rec. 709 luma), shares of all pixels.

    Args:
        brightness: mean. contrast: between the 5th and the 95th percentile.
        crushed: at or below 4. blown: at or above 251.
    """

    brightness: float
    contrast: float
    crushed: float
    blown: float


def measure_exposure(frames: np.ndarray) -> Exposure:
    """Light of pictures uint8 [T, H, W, 3]."""
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(PICTURES, len(frames))).round().astype(int))
    counts = np.zeros(256, dtype=np.int64)
    for n in chosen:
        counts += np.bincount(luma(frames[n]).round().astype(np.uint8).ravel(), minlength=256)
    levels, share = np.arange(256), np.cumsum(counts) / counts.sum()
    low, high = (int(np.searchsorted(share, part)) for part in (0.05, 0.95))
    return Exposure(
        brightness=float(levels @ counts / counts.sum()),
        contrast=float(high - low),
        crushed=float(counts[levels <= DARK].sum() / counts.sum()),
        blown=float(counts[levels >= BRIGHT].sum() / counts.sum()),
    )
