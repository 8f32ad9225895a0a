"""Rhythms that have a name, and melodies on the bars of a xylophone."""

from __future__ import annotations

import numpy as np

SHORTEST_GAP = 0.18  # seconds between two strokes
LEAD_IN = 0.14  # before the first event
LEAD_OUT = 0.16  # after the last

# Gaps between strokes in relative lengths, by the rhythm's name and its number of strokes.
RHYTHMS: dict[str, dict[int, tuple[float, ...]]] = {
    "two quick then one": {3: (1, 2.4)},
    "one then two quick": {3: (2.4, 1)},
    "two pairs": {4: (1, 2.2, 1)},
    "three quick then one": {4: (1, 1, 2.2)},
    "one then three quick": {4: (2.2, 1, 1)},
    "two then three": {5: (1, 2, 1, 1)},
    "three then two": {5: (1, 1, 2, 1)},
    "two groups of three": {6: (1, 1, 2.2, 1, 1)},
    "three pairs": {6: (1, 2, 1, 2, 1)},
    "two groups of four": {8: (1, 1, 1, 2.2, 1, 1, 1)},
    "speeding up": {n: tuple(0.68**i for i in range(n - 1)) for n in (4, 5, 6, 7)},
    "slowing down": {n: tuple(0.68**-i for i in range(n - 1)) for n in (4, 5, 6, 7)},
}
EVEN = "even"


def rhythms_for(count: int, room: float) -> list[str]:
    """Names of the uneven rhythms with `count` strokes that fit into `room` seconds."""
    return [
        name
        for name, by_count in RHYTHMS.items()
        if count in by_count and sum(by_count[count]) / min(by_count[count]) * SHORTEST_GAP <= room
    ]


def largest_count(room: float) -> int:
    """How many strokes fit into `room` seconds, at most 8."""
    return min(8, int(room / SHORTEST_GAP) + 1)


def stroke_times(rhythm: str | None, count: int, seconds: float, rng: np.random.Generator) -> list[float]:
    """Times of `count` strokes in a scene of `seconds`, in the named rhythm; a single stroke has none."""
    room = seconds - LEAD_IN - LEAD_OUT
    if count == 1:
        return [round(LEAD_IN + room * float(rng.uniform(0.12, 0.72)), 4)]
    gaps = np.ones(count - 1) if rhythm in (None, EVEN) else np.array(RHYTHMS[str(rhythm)][count])
    least = SHORTEST_GAP / gaps.min()
    # What a rhythm calls quick is quick: its shortest gap lasts 0.42 s at most, that of even strokes 0.8 s.
    most = min(room / gaps.sum(), (0.8 if rhythm in (None, EVEN) else 0.42) / gaps.min())
    unit = float(least + (most - least) * rng.beta(1.4, 1.6)) if most > least else least
    spare = max(room - unit * float(gaps.sum()), 0.0)
    first = LEAD_IN + spare * float(rng.uniform(0.0, 0.8))
    return [round(first + unit * float(span), 4) for span in np.concatenate([[0.0], np.cumsum(gaps)])]


MELODIES: tuple[str, ...] = ("up", "down", "same", "leftmost", "rightmost", "middle", "free")


def melody_bars(melody: str, bars: int, count: int, rng: np.random.Generator) -> list[int]:
    """The bars that a melody of `count` notes plays on a xylophone of `bars`, 0 at the left.

    "up" and "down" go to the neighbouring bar at each note; `count` must not exceed `bars` for them.
    """
    if melody in ("up", "down"):
        first = int(rng.integers(0, bars - count + 1))
        run = list(range(first, first + count))
        return run if melody == "up" else run[::-1]
    if melody == "free":
        notes = [int(rng.integers(bars))]
        while len(notes) < count:
            # A step that stays on the instrument and does not repeat the note.
            steps = [s for s in (-3, -2, -1, 1, 2, 3) if 0 <= notes[-1] + s < bars]
            notes.append(notes[-1] + int(rng.choice(steps)))
        return notes
    bar = {"leftmost": 0, "rightmost": bars - 1, "middle": bars // 2}.get(melody)
    return [int(rng.integers(bars)) if bar is None else bar] * count
