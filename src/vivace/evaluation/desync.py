"""DeSync: the offset that a classifier of offsets (Synchformer) chooses, as arithmetic on its outputs."""

from __future__ import annotations

import numpy as np

CLASSES = 21
FARTHEST = 2.0  # seconds: classes lie 0.2 s apart from -2 to 2


def offsets(logits: np.ndarray) -> np.ndarray:
    """The chosen offset in seconds of each window, [windows].

    Args:
        logits: [windows, 21].
    """
    grid = np.linspace(-FARTHEST, FARTHEST, CLASSES)
    chosen: np.ndarray = grid[np.asarray(logits).argmax(axis=-1)]
    return chosen


def desync(logits: np.ndarray) -> float:
    """Mean absolute offset over the windows of one clip, seconds.

    av-benchmark takes two windows, the first and the last 4.8 s (14 segments of 0.64 s, 0.32 s apart) of an 8 s clip;
    JavisBench takes every window of 14 segments, the last anchored at the end.
    """
    return float(np.abs(offsets(logits)).mean())


def av_a_official(logits: np.ndarray) -> float:
    """Verse-Bench's AV-A of one clip: the *signed* offset, seconds.

    Its mean over clips lets early and late sound cancel; it is kept under its own name beside `desync`.
    """
    return float(offsets(logits).mean())


def window_starts(segments: int, *, length: int = 14, all_windows: bool = False) -> list[int]:
    """First segments of the windows of a clip: the first and the last window, or all without overlap and the last.

    Args:
        segments: segments of 0.64 s, 0.32 s apart, that the clip has.
        length: segments of a window. all_windows: JavisBench's form.
    """
    if segments < length:
        return []
    last = segments - length
    starts = range(0, last + 1, length) if all_windows else (0,)
    return sorted({*starts, last})
