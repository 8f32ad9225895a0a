"""Clips longer than a model makes at a time: one window after another, each beginning with the end of the last.

A window is shown the end of what is there, clean, in picture and sound, and makes it again on its way through the
codecs. Over that overlap the clip passes from one to the other: pictures fade over all of it, and end on the window's
own, so that there is no step between the last of them and the first new one; sound changes over in a few milliseconds
where both are most alike. (Ours; Alive's report says that clips of any length are made, and not how.)
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from vivace.conditioning.continuation import cut_tail
from vivace.conditioning.given import FADE_SECONDS, Known, known_audio_tokens
from vivace.media import Clip, peak_limited
from vivace.pipelines.capabilities import Abilities
from vivace.pipelines.materials import Arranged, window
from vivace.timeline import Timeline

_SEARCH = 0.0025  # seconds between the places that are tried for a change-over


class Sides(NamedTuple):
    """One clip: pictures uint8 [T, H, W, 3] and sound float32 [2, N], either of which may be absent."""

    pictures: np.ndarray | None
    sound: np.ndarray | None


def following(can: Abilities[Any], arranged: Arranged, made: list[Sides]) -> Arranged:
    """The next window behind what is made of each clip, all of one length."""
    like = arranged.timeline
    parts = [cut_tail(Clip(x.pictures, like.fps, x.sound, like.sample_rate), like, can.context_seconds) for x in made]
    timeline, later = window(can, parts[0][2], arranged.later)
    return replace(
        arranged, timeline=timeline, known=[p[1] for p in parts], before=[p[0] for p in parts], later=later, notes=[]
    )


def window_count(can: Abilities[Any], arranged: Arranged) -> int:
    """Windows in which a clip is made; 1 where it needs no more."""
    count, later, like = 1, arranged.later, arranged.timeline
    tail = replace(like, frames=like.fitting_frames(min(like.frames, round(can.context_seconds * like.fps))))
    while later:
        later = window(can, tail, later)[1]
        count += 1
    return count


def window_seed(seed: int, number: int) -> int:
    """The seed of window `number`, counted from 0; the first has the clip's own."""
    if number == 0:
        return seed
    return int(np.random.SeedSequence([seed, 909, number]).generate_state(1, np.uint64)[0] >> 1)


def joined(before: Known, tail: Known, made: Sides, timeline: Timeline, given: Sides) -> Sides:
    """What stands before a window, then the window, without a step between them.

    Args:
        before, tail: of what was there, what the window was not shown and what it was shown.
        made: the whole window as decoded, from the beginning of the tail on.
        timeline: of the window.
        given: what a user gave, from the clip's beginning on; it is not touched.
    """
    pictures = sound = None
    if made.pictures is not None:
        assert before.pictures is not None
        assert tail.pictures is not None
        untouched = max(0, _length(given.pictures) - len(before.pictures))
        overlap = faded(tail.pictures, made.pictures, untouched)
        pictures = np.concatenate([before.pictures, overlap, made.pictures[len(overlap) :]])
    if made.sound is not None:
        assert before.sound is not None
        assert tail.sound is not None
        rate = timeline.sample_rate
        # Beyond these tokens the window has made up its own sound.
        decided = round(Fraction(known_audio_tokens(tail, timeline)) / timeline.token_rate * rate)
        first = max(0, _samples(given.sound) - before.sound.shape[1])
        rest = changed_over(tail.sound, peak_limited(made.sound), first, decided, rate)
        sound = np.concatenate([before.sound, rest], axis=1, dtype=np.float32)
    return Sides(pictures, sound)


def faded(old: np.ndarray, new: np.ndarray, untouched: int) -> np.ndarray:
    """Pictures that pass from `old` [n, H, W, 3] to the first n of `new`, and are the new one's at the end.

    Args:
        untouched: how many of the old ones stay as they are.
    """
    count = len(old) - untouched
    if count <= 0:
        return old
    share = (np.arange(1, count + 1, dtype=np.float32) / count)[:, None, None, None]
    mixed = old[untouched:] * (1 - share) + new[untouched : len(old)] * share
    return np.concatenate([old[:untouched], (mixed + 0.5).astype(np.uint8)])


def changed_over(old: np.ndarray, new: np.ndarray, first: int, last: int, rate: int) -> np.ndarray:
    """Sound [2, N] that is `old` [2, n] at its beginning and `new` [2, N] from somewhere before `last` on.

    Args:
        first, last: samples between which it changes over; where there is too little room, at the end of `old`.
    """
    last = min(last, old.shape[1], new.shape[1])
    length = min(round(FADE_SECONDS * rate), old.shape[1], new.shape[1])
    starts = np.arange(first, last - length + 1, max(1, round(_SEARCH * rate)))
    if not len(starts):
        starts = np.array([max(0, min(old.shape[1], new.shape[1]) - length)])
    unlike = np.concatenate([[0.0], np.cumsum(((old[:, :last] - new[:, :last]).astype(np.float64) ** 2).sum(axis=0))])
    ends = np.minimum(starts + length, last)
    start = int(starts[np.argmin(unlike[ends] - unlike[np.minimum(starts, last)])])
    share = (0.5 - 0.5 * np.cos(np.pi * (np.arange(length) + 0.5) / length)).astype(np.float32)
    middle = old[:, start : start + length] * (1 - share) + new[:, start : start + length] * share
    return np.concatenate([old[:, :start], middle, new[:, start + length :]], axis=1)


def _length(pictures: np.ndarray | None) -> int:
    return 0 if pictures is None else len(pictures)


def _samples(sound: np.ndarray | None) -> int:
    return 0 if sound is None else sound.shape[1]
