"""Noise in pictures: how far neighbouring pixels differ where nothing is to be seen."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import convolve

from vivace.perception.luma import luma

_MASK = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)
BLOCK = 8  # pixels
QUIET = 25.0  # percentile of the blocks: those with the least texture show the noise alone
_OF_NOISE = 0.885  # what this percentile is of the mean where all blocks hold the same noise
PICTURES = 8  # looked at, evenly over the clip


def measure_grain(frames: np.ndarray) -> float:
    """Standard deviation of the noise in 0 to 255, the median over some pictures.

    The difference of two Laplacians passes over edges and gradients (Immerkaer, "Fast noise variance estimation",
    1996); taken block by block, and of the quieter blocks, it passes over texture too (ours). Blocks of one colour,
    as borders have, do not count.

    Args:
        frames: uint8 [T, H, W, 3].
    """
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(PICTURES, len(frames))).round().astype(int))
    values = []
    for n in chosen:
        found = np.abs(convolve(luma(frames[n]), _MASK, mode="nearest"))
        tall, broad = (size // BLOCK for size in found.shape)
        if not tall or not broad:
            return 0.0
        blocks = found[: tall * BLOCK, : broad * BLOCK].reshape(tall, BLOCK, broad, BLOCK).mean(axis=(1, 3))
        blocks = blocks[blocks > 0]
        quiet = float(np.percentile(blocks, QUIET)) / _OF_NOISE if len(blocks) else 0.0
        values.append(quiet * np.sqrt(np.pi / 2) / 6)
    return float(np.median(values))
