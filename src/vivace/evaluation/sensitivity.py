"""What a known shift of the sound does to the figures of synchronisation, from a run's own findings.

The onsets that were heard are moved and the metrics computed again. Moved true clips show what each metric can tell
apart; a model's clips show whether its figures depend on the moment of the sound at all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from vivace.evaluation.metric import Result, Sample
from vivace.evaluation.sync import sync_metrics
from vivace.perception.percept import Percept

SHIFTS_MS = (-400, -200, -100, -40, 0, 40, 100, 200, 400)
CURVES = ("av_event_f1_50ms", "av_offset_in_window", "av_offset_median", "av_offset_mean_abs")


def shifted(percept: Percept, seconds: float, length: float) -> Percept:
    """The same findings with every onset later by `seconds`; what leaves a clip of this length is no longer heard."""
    if percept.audio is None:
        return percept
    moved = [
        (dataclasses.replace(onset, time=onset.time + seconds), kind)
        for onset, kind in zip(percept.audio.onsets, percept.audio.kinds, strict=True)
        if 0 <= onset.time + seconds <= length
    ]
    heard = dataclasses.replace(
        percept.audio, onsets=tuple(onset for onset, _ in moved), kinds=tuple(kind for _, kind in moved)
    )
    return dataclasses.replace(percept, audio=heard)


def shift_curves(
    percepts: Mapping[str, Percept], length: float, shifts: Sequence[int] = SHIFTS_MS
) -> dict[str, dict[int, Result]]:
    """Metric -> shift in ms -> result, over the findings of one condition by prompt id."""
    found: dict[str, dict[int, Result]] = {name: {} for name in CURVES}
    for shift in shifts:
        for name, result in _results((key, shifted(p, shift / 1000, length)) for key, p in percepts.items()).items():
            found[name][shift] = result
    return found


def tells_apart(curve: Mapping[int, Result], shift: int = 200) -> bool:
    """Whether a metric on true clips shows this shift in both directions: the intervals exclude each other."""
    return all(_apart(curve[0], curve[side]) for side in (-shift, shift))


def _apart(first: Result, second: Result) -> bool:
    ends = (first.ci_low, first.ci_high, second.ci_low, second.ci_high)
    if any(end is None for end in ends):
        return False
    low, high, other_low, other_high = (float(end) for end in ends if end is not None)
    return high < other_low or other_high < low


def _results(percepts: Iterable[tuple[str, Percept]]) -> dict[str, Result]:
    metrics = [metric for metric in sync_metrics() if metric.name in CURVES]
    for item_id, percept in percepts:
        sample = Sample(id=item_id, seen=percept)
        for metric in metrics:
            metric.update(sample)
    return {metric.name: metric.compute() for metric in metrics}
