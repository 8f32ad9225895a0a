"""Fades from and to one colour, and dissolves from one shot into another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from vivace.perception.cuts import mean_colours

CELLS = 12
SHORTEST, LONGEST = 0.15, 2.0  # seconds of a transition
_FLAT = 6.0  # of 255: spread over the picture below which it shows one colour
_CONTENT = 18.0  # spread from which a picture shows something
_STEADY = 0.3  # of the mean fall so far: a smaller step is where the fade begins
_LIKENESS = 0.9, 0.5  # correlation of what fades with the picture before, and with the first
_CHANGE = 12.0  # mean change of a part from which it differs
_SHARE = 0.5  # of the picture that differs between two shots
_MIX = 0.2  # how far a dissolve's middle is from the mean of its ends, of how far these are apart


@dataclass(frozen=True)
class Fade:
    """A gradual transition.

    Args:
        kind: "in" (from one colour), "out" (to one colour) or "dissolve".
        start, end: seconds of its first and last picture.
    """

    kind: Literal["in", "out", "dissolve"]
    start: float
    end: float


def detect_fades(frames: np.ndarray, fps: float) -> list[Fade]:
    """Fades and dissolves in order of time; hard cuts are `vivace.perception.cuts`.

    In a fade the same picture loses its contrast step by step until one colour is left, or gains it back. In a
    dissolve the pictures between two different ones are their mixtures.

    Args:
        frames: uint8 [T, H, W, 3]; fps: pictures per second.
    """
    grid = mean_colours(frames, min(CELLS, *frames.shape[1:3])).reshape(len(frames), -1, 3)
    found = [Fade("out", first / fps, last / fps) for first, last in _fading_out(grid, fps)]
    last_index = len(grid) - 1
    found += [
        Fade("in", (last_index - last) / fps, (last_index - first) / fps)
        for first, last in _fading_out(grid[::-1], fps)
    ]
    faded = [(fade.start, fade.end) for fade in found]
    for first, last in _dissolving(grid, fps):
        if all(last / fps < start or first / fps > end for start, end in faded):
            found.append(Fade("dissolve", first / fps, last / fps))
    return sorted(found, key=lambda fade: fade.start)


def _fading_out(grid: np.ndarray, fps: float) -> list[tuple[int, int]]:
    """(first, last) pictures of stretches in which contrast falls steadily until one colour is left."""
    found = _falling(grid, SHORTEST * fps, fps)
    # Under light that flickers from picture to picture only the means of two neighbours fall steadily. They also fall
    # in two steps where a shot ends at once, hence the longer shortest length.
    calm = _falling((grid[:-1] + grid[1:]) / 2, SHORTEST * fps + 2, fps)
    return found + [
        (first, last + 1) for first, last in calm if all(last + 1 < start or first > end for start, end in found)
    ]


def _falling(grid: np.ndarray, shortest: float, fps: float) -> list[tuple[int, int]]:
    centred = grid - grid.mean(axis=1, keepdims=True)
    spread = np.sqrt((centred**2).mean(axis=(1, 2)))
    found = []
    flat = np.flatnonzero(spread < _FLAT)
    for last in flat:
        if last == 0 or spread[last - 1] < _FLAT:
            continue
        first = int(last)
        while first > 0 and spread[first - 1] - spread[first] > _STEADY * (spread[first] - spread[last]) / (
            last - first or 1
        ):
            first -= 1
        long_enough = shortest <= last - first <= LONGEST * fps
        if not long_enough or spread[first] < _CONTENT:
            continue
        # The same picture throughout: a camera that turns to a wall changes what it shows.
        inside = [n for n in range(first + 1, int(last)) if spread[n] > _FLAT]
        if inside and all(
            _likeness(centred[n], centred[n - 1]) > _LIKENESS[0]
            and _likeness(centred[n], centred[first]) > _LIKENESS[1]
            for n in inside
        ):
            found.append((first, int(last)))
    return found


def _likeness(first: np.ndarray, second: np.ndarray) -> float:
    """Correlation of two pictures' parts, whose means are 0."""
    return float((first * second).sum() / np.sqrt((first**2).sum() * (second**2).sum()))


def _dissolving(grid: np.ndarray, fps: float) -> list[tuple[int, int]]:
    """(first, last) pictures of stretches whose pictures are mixtures of their ends."""
    found: list[tuple[int, int]] = []
    shortest, longest = max(3, round(SHORTEST * fps)), round(LONGEST * fps)
    step = np.zeros(len(grid))
    step[1:] = np.abs(np.diff(grid, axis=0)).mean(axis=(1, 2))
    n = 1
    while n < len(grid):
        # Every picture of a dissolve differs from the one before it by about the same.
        end = n
        while end + 1 < len(grid) and step[n] > 0.5 and 0.4 < step[end + 1] / step[n] < 2.5:
            end += 1
        first, length = n - 1, end - (n - 1)
        if shortest <= length <= longest and _mixes(grid, first, end):
            found.append((first, end))
        n = max(end, n) + 1
    return found


def _mixes(grid: np.ndarray, first: int, last: int) -> bool:
    change = grid[last] - grid[first]
    if (np.abs(change).mean(axis=-1) > _CHANGE).mean() < _SHARE:
        return False
    for n in range(first + 1, last):
        part = (n - first) / (last - first)
        rest = grid[n] - (grid[first] + part * change)
        if np.abs(rest).mean() > _MIX * np.abs(change).mean():
            return False
    return True
