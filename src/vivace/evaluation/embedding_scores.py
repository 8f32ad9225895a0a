"""Scores from embeddings of pictures, sounds, texts and voices: cosines, and how JavisBench pools them."""

from __future__ import annotations

import numpy as np

from vivace.errors import VivaceError

LEAST_SHARE = 0.4  # of a window's pictures: those that fit the sound least
WINDOW, OVERLAP = 2.0, 1.5  # seconds, as JavisBench's runner sets them


def cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosine of each row of `first` [..., D] with `second` [..., D]; zero vectors are refused.

    Raises:
        VivaceError: a vector of length 0, which has no direction.
    """
    lengths = [np.linalg.norm(side, axis=-1, keepdims=True) for side in (first, second)]
    if min(length.min() for length in lengths) == 0:
        raise VivaceError("An embedding is all zeros, so it has no cosine; check the network's weights.")
    return np.asarray((first / lengths[0] * (second / lengths[1])).sum(axis=-1))


def avh_score(pictures: np.ndarray, sound: np.ndarray) -> float:
    """AVHScore: the mean cosine of every picture [T, D] with the whole sound [D]."""
    return float(cosines(pictures, sound[None]).mean())


def window_score(pictures: np.ndarray, sound: np.ndarray) -> float:
    """One window of JavisScore: the mean of the floor(0.4 N) least cosines of its N pictures with its sound.

    A window of one or two pictures has none by the formula; its least cosine is taken (ours).
    """
    fits = np.sort(cosines(pictures, sound[None]))
    return float(fits[: max(1, int(LEAST_SHARE * len(fits)))].mean())


def windows(seconds: float, fps: float, *, length: float = WINDOW, overlap: float = OVERLAP) -> list[tuple[int, int]]:
    """(first, past last) picture of JavisScore's windows; a clip shorter than one is one window.

    The last one is moved back so that it ends with the clip, as in the published code.

    Args:
        seconds, fps: of the clip. length, overlap: seconds.
    """
    count = round(seconds * fps)
    size = max(1, int(length * fps))
    step = max(1, size - int(overlap * fps))
    if count <= size:
        return [(0, count)]
    starts = [*range(0, count - size, step), count - size]
    return [(start, start + size) for start in starts]


def javis_score(pictures: np.ndarray, sounds: np.ndarray, spans: list[tuple[int, int]]) -> float:
    """JavisScore: the mean over windows of `window_score`.

    Args:
        pictures: [T, D]; sounds: [windows, D], of the sound during each window; spans: `windows`.
    """
    if len(sounds) != len(spans):
        raise VivaceError(f"{len(sounds)} sounds do not fit {len(spans)} windows; embed the sound of each window.")
    scores = [window_score(pictures[first:last], sound) for (first, last), sound in zip(spans, sounds, strict=True)]
    return float(np.mean(scores))
