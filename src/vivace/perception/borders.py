"""Dark borders around a picture: letterbox and pillarbox."""

from __future__ import annotations

import numpy as np

from vivace.perception.luma import luma

DARK = 28.0  # of 255
PLAIN = 6.0  # of 255: what the brightness of a border's line varies at most
PICTURES = 8  # looked at, evenly over the clip


def border_share(frames: np.ndarray) -> float:
    """Share of the picture under dark plain borders that stay for the whole clip, 0 to 1 (1: all of it is dark and
    plain). The dark of a night in which anything at all can be seen is no border.

    Args:
        frames: uint8 [T, H, W, 3].
    """
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(PICTURES, len(frames))).round().astype(int))
    bright = np.stack([luma(frames[n]) for n in chosen])
    # A line is part of a border when it is dark throughout; noise of a codec may lift single pixels.
    dark, usual = np.percentile(bright, 98, axis=0) < DARK, np.median(bright, axis=0)
    inner = 1.0
    for axis in (1, 0):
        low, high = np.percentile(usual, [1, 99], axis=axis)
        inner *= _inner((dark.mean(axis=axis) > 0.98) & (high - low <= PLAIN))
    return 1.0 - inner


def _inner(border: np.ndarray) -> float:
    """The share of the lines between the borders at both ends."""
    inside = np.flatnonzero(~border)
    return float(inside[-1] - inside[0] + 1) / len(border) if len(inside) else 0.0
