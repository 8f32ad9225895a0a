"""Brightness of pictures, and smaller pictures by area means; shared by the detectors of quality."""

from __future__ import annotations

import numpy as np

# Rec. 709, of gamma-coded RGB.
WEIGHTS = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)


def luma(frames: np.ndarray) -> np.ndarray:
    """Brightness 0 to 255 of pictures [..., 3], float32 [...]."""
    bright: np.ndarray = frames.astype(np.float32) @ WEIGHTS
    return bright


def reduced_luma(frames: np.ndarray, side: int) -> tuple[np.ndarray, int]:
    """Brightness of smaller pictures, and by which whole factor they are smaller.

    Args:
        frames: uint8 [T, H, W, 3].
        side: pixels that the shorter side keeps at least; smaller pictures stay as they are.

    Returns:
        float32 [T, H // factor, W // factor] of area means, and the factor.
    """
    factor = max(1, min(frames.shape[1:3]) // side)
    tall, broad = frames.shape[1] // factor, frames.shape[2] // factor
    small = np.empty((len(frames), tall, broad), dtype=np.float32)
    for n, picture in enumerate(frames):  # one at a time: a float copy of a whole clip may not fit in memory
        bright = luma(picture[: tall * factor, : broad * factor])
        small[n] = bright.reshape(tall, factor, broad, factor).mean(axis=(1, 3))
    return small, factor
