"""Pictures that stand still or show nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vivace.perception.cuts import mean_colours
from vivace.perception.luma import reduced_luma

# A picture is the last one again where no part of a 12 x 12 grid changes by more than this (of 255): a codec's residue
# on a still is smaller, a thing of a hundredth of the picture that moves by its own width changes a part by more.
STILL = 0.8
CELLS = 12
BLACK = 24.0  # brightness below which a pixel shows nothing (video black, coded in full range, is 16 or below)
BLACK_SHARE = 0.98  # of the pixels


@dataclass(frozen=True)
class Stills:
    """Frozen and black pictures of a clip.

    Args:
        frozen: share of the steps from picture to picture in which nothing changes; None for a single picture.
        longest_frozen: seconds of the longest such stretch.
        black: share of the pictures that are black.
        longest_black: seconds of the longest black stretch.
    """

    frozen: float | None
    longest_frozen: float
    black: float
    longest_black: float


def detect_stills(frames: np.ndarray, fps: float) -> Stills:
    """Frozen and black pictures.

    Args:
        frames: uint8 [T, H, W, 3]; fps: pictures per second.
    """
    still, black = still_steps(frames), black_pictures(frames)
    return Stills(
        frozen=float(still.mean()) if len(still) else None,
        longest_frozen=longest_run(still) / fps,
        black=float(black.mean()),
        longest_black=longest_run(black) / fps,
    )


def still_steps(frames: np.ndarray) -> np.ndarray:
    """Whether each picture from the second on is the one before it again, bool [T - 1]."""
    grid = mean_colours(frames, min(CELLS, *frames.shape[1:3]))
    steps: np.ndarray = np.abs(np.diff(grid, axis=0)).max(axis=(1, 2, 3), initial=0.0)
    return steps <= STILL


def black_pictures(frames: np.ndarray) -> np.ndarray:
    """Whether each picture is black, bool [T]."""
    small, _ = reduced_luma(frames, 90)
    black: np.ndarray = (small < BLACK).mean(axis=(1, 2)) >= BLACK_SHARE
    return black


def longest_run(flags: np.ndarray) -> int:
    """How many in a row are true at most."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))
