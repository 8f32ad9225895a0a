"""Does the sound fit the picture: event F1, offset, side. All from blind detections on both sides."""

from __future__ import annotations

import numpy as np

from vivace.evaluation.matching import match_times
from vivace.evaluation.metric import ItemMetric, Sample, Undefined

# ITU-R BT.1359: what viewers begin to detect. Sound may lead the picture by 45 ms and lag behind it by 125 ms.
DETECTABLE_LEAD = 0.045
DETECTABLE_LAG = 0.125
# Offsets are looked for this far; events of the world are at least 0.18 s apart, so a further pair is two events.
OFFSET_SEARCH = 0.25
# Nearer to the middle than this an object is neither left nor right.
SIDE_MARGIN = 0.15


def event_times(sample: Sample) -> tuple[list[float], list[float]]:
    """Times of what is seen to hit and of what begins to sound, seconds; every metric here requires both sides."""
    return [impact.time for impact in sample.sees.impacts], [onset.time for onset in sample.hears.onsets]


def event_places(sample: Sample) -> list[tuple[float, float]]:
    """(x on the screen, pan of the sound), both in [-1, 1], of each impact that is heard within 75 ms."""
    impacts, onsets = sample.sees.impacts, sample.hears.onsets
    return [(impacts[i].x, onsets[j].pan) for i, j in match_times(*event_times(sample), 0.075)]


def offsets(sample: Sample) -> list[float]:
    """Sound minus picture in ms for each matched pair of events; positive where the sound is late."""
    seen, heard = event_times(sample)
    return [1000.0 * (heard[j] - seen[i]) for i, j in match_times(seen, heard, OFFSET_SEARCH)]


def event_f1(tolerance: float) -> ItemMetric:
    """AV event F1: 2 x pairs / (impacts seen + onsets heard), one-to-one within `tolerance` seconds, pooled."""

    def measure(sample: Sample) -> list[float] | Undefined:
        seen, heard = event_times(sample)
        if not seen and not heard:
            return Undefined("nothing hits and nothing sounds")
        return [2.0 * len(match_times(seen, heard, tolerance)), float(len(seen) + len(heard))]

    return ItemMetric(f"av_event_f1_{round(1000 * tolerance)}ms", measure)


def event_recall(tolerance: float) -> ItemMetric:
    """Share of the impacts seen that are heard within `tolerance` seconds, pooled."""

    def measure(sample: Sample) -> list[float] | Undefined:
        seen, heard = event_times(sample)
        return (
            [float(len(match_times(seen, heard, tolerance))), float(len(seen))] if seen else Undefined("nothing hits")
        )

    return ItemMetric(f"av_event_recall_{round(1000 * tolerance)}ms", measure)


def event_precision(tolerance: float) -> ItemMetric:
    """Share of the onsets heard for which an impact is seen within `tolerance` seconds, pooled."""

    def measure(sample: Sample) -> list[float] | Undefined:
        seen, heard = event_times(sample)
        found = float(len(match_times(seen, heard, tolerance)))
        return [found, float(len(heard))] if heard else Undefined("nothing sounds")

    return ItemMetric(f"av_event_precision_{round(1000 * tolerance)}ms", measure)


def _matched(sample: Sample) -> list[float] | Undefined:
    return offsets(sample) or Undefined("no sound within 250 ms of an impact")


def _matched_absolute(sample: Sample) -> list[float] | Undefined:
    return [abs(value) for value in offsets(sample)] or Undefined("no sound within 250 ms of an impact")


def _absolute_sum(sample: Sample) -> list[float] | Undefined:
    values = offsets(sample)
    return (
        [float(np.abs(values).sum()), float(len(values))]
        if values
        else Undefined("no sound within 250 ms of an impact")
    )


def _in_window(sample: Sample) -> list[float] | Undefined:
    seen, _ = event_times(sample)
    if not seen:
        return Undefined("nothing hits")
    # An impact without any sound is outside of the window too; leaving it out would reward silence.
    inside = sum(-1000.0 * DETECTABLE_LEAD <= value <= 1000.0 * DETECTABLE_LAG for value in offsets(sample))
    return [float(inside), float(len(seen))]


def _side(sample: Sample) -> list[float] | Undefined:
    aside = [(x, pan) for x, pan in event_places(sample) if abs(x) > SIDE_MARGIN]
    if not aside:
        return Undefined("no heard impact away from the middle")
    return [float(sum(x * pan > 0 for x, pan in aside)), float(len(aside))]


def _pan_error(sample: Sample) -> list[float] | Undefined:
    places = event_places(sample)
    if not places:
        return Undefined("no sound within 75 ms of an impact")
    return [sum(abs(x - pan) for x, pan in places), float(len(places))]


def sync_metrics() -> list[ItemMetric]:
    """Fresh instances of every synchronisation metric.

    The offset is sound minus picture; `av_offset_in_window` is the share of impacts whose sound lies within the
    detectability window of ITU-R BT.1359 (45 ms early to 125 ms late); pan agreement is the share of heard impacts
    away from the middle (|x| > 0.15) whose sound comes from the same side, pan error |x - pan| on the scale -1 to 1.
    """
    return [
        event_f1(0.05),
        event_f1(0.075),
        event_recall(0.075),
        event_precision(0.075),
        ItemMetric("av_offset_median", _matched, statistic="median", unit="ms", direction="none"),
        ItemMetric("av_offset_median_abs", _matched_absolute, statistic="median", unit="ms", direction="lower"),
        ItemMetric("av_offset_mean_abs", _absolute_sum, unit="ms", direction="lower"),
        ItemMetric("av_offset_in_window", _in_window),
        ItemMetric("pan_agreement", _side),
        ItemMetric("pan_error", _pan_error, direction="lower"),
    ]
