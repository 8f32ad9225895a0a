"""Does the clip show and sound what the prompt states: kind, colour, material, number, rhythm, place.

Each metric counts only prompts that state its attribute; a clip in which nothing is found is wrong, not left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vivace.evaluation.metric import ItemMetric, Sample, Undefined
from vivace.world.rhythm import EVEN, RHYTHMS

# A rhythm's gaps, each divided by their mean, may differ this much from what they are compared with (largest gap).
EVENNESS = 0.25
STEP = 0.04  # of the screen's half width: bars nearer than this are one bar

Outcome = list[float] | Undefined


def _right(answer: bool) -> list[float]:
    return [float(answer), 1.0]


def stated_floor(expected: Mapping[str, Any]) -> str | None:
    """The material that a ball falls on or an instrument stands on, where the text names it."""
    return expected.get("floor") or expected.get("surface")


def stated_count(expected: Mapping[str, Any]) -> int | None:
    """The number of impacts in the whole clip, where the text fixes it."""
    if expected.get("count") is not None:
        return int(expected["count"])
    return None if expected.get("count_each") is None else int(expected["count_each"]) * int(expected["objects"])


def one_is_asked_for(expected: Mapping[str, Any]) -> bool:
    """Whether the text asks for a single object: one ball, or an instrument."""
    return expected.get("kind") not in (None, "impacts") or expected.get("objects") == 1


def _sound_kind(sample: Sample) -> Outcome:
    name = sample.hears.kind
    if sample.expected["kind"] != "impacts":
        return _right(name == sample.expected["kind"])
    floor = sample.expected.get("floor")
    return _right(name is not None and (name == f"ball on {floor}" if floor else name.startswith("ball on ")))


def _material_seen(sample: Sample) -> Outcome:
    floor = stated_floor(sample.expected)
    return Undefined("the prompt states no floor") if floor is None else _right(sample.sees.floor == floor)


def _material_heard(sample: Sample) -> Outcome:
    return _right(sample.hears.kind == f"ball on {sample.expected['floor']}")


def _colours(sample: Sample) -> Outcome:
    return _right(not Counter(sample.expected["colours"]) - Counter(sample.sees.colours))


def _count_seen(sample: Sample) -> Outcome:
    count = stated_count(sample.expected)
    return Undefined("the prompt states no count") if count is None else _right(len(sample.sees.impacts) == count)


def _count_heard(sample: Sample) -> Outcome:
    count = stated_count(sample.expected)
    return Undefined("the prompt states no count") if count is None else _right(len(sample.hears.onsets) == count)


def _hit_seen(sample: Sample) -> Outcome:
    return _right(bool(sample.sees.impacts))


def _hit_heard(sample: Sample) -> Outcome:
    return _right(bool(sample.hears.onsets))


def _one_object(sample: Sample) -> Outcome:
    if not one_is_asked_for(sample.expected):
        return Undefined("the prompt asks for no single object")
    return _right(sample.sees.objects == 1)


def _two_objects(sample: Sample) -> Outcome:
    if sample.expected.get("objects") != 2:
        return Undefined("the prompt asks for no pair")
    return _right(sample.sees.objects == 2)


def rhythm_fits(times: Sequence[float], name: str) -> bool:
    """Whether events at `times` (seconds, ascending) are in the named rhythm of `vivace.world.rhythm`."""
    gaps = np.diff(times)
    if name == EVEN:
        wanted: Sequence[float] | None = (1.0,) * len(gaps)
    else:
        wanted = RHYTHMS[name].get(len(times))
    if wanted is None or not len(gaps):
        return False
    return bool(np.abs(gaps / gaps.mean() - np.array(wanted) / np.mean(wanted)).max() < EVENNESS)


def _rhythm_heard(sample: Sample) -> Outcome:
    return _right(rhythm_fits([onset.time for onset in sample.hears.onsets], sample.expected["rhythm"]))


def melody_fits(places: Sequence[float], name: str) -> bool:
    """Whether strokes at screen places `places` (in the order of time, -1 to 1) go the way of a named melody."""
    steps = np.diff(places)
    if name == "up":
        return bool(len(steps) and (steps > STEP).all())
    if name == "down":
        return bool(len(steps) and (steps < -STEP).all())
    return bool(len(places) and np.ptp(places) < 2 * STEP)


def _melody_seen(sample: Sample) -> Outcome:
    if sample.expected["melody"] == "free":
        return Undefined("the prompt leaves the melody free")
    return _right(melody_fits([impact.x for impact in sample.sees.impacts], sample.expected["melody"]))


def _side_seen(sample: Sample) -> Outcome:
    things = sample.sees.things
    side = 1.0 if sample.expected["position"] == "right" else -1.0
    return _right(bool(things) and side * things[0].x > 0)


def attribute_metrics() -> list[ItemMetric]:
    """Fresh instances of every attribute metric; all are shares of right clips.

    `sound_kind` is the instrument, or for balls the material of the floor that is heard (any ball where the prompt
    names no floor); `colour` asks that every stated colour is seen; `count_*` that the number of impacts is the stated
    one; `hit_*` that there is an impact at all (a clip without any has no value in the measures of sync);
    `one_object` that where one ball or an instrument is asked for exactly one coloured object is seen.
    """
    picture, sound = ("video",), ("audio",)
    return [
        ItemMetric("sound_kind", _sound_kind, requires=(*sound, "expected:kind")),
        ItemMetric("material_heard", _material_heard, requires=(*sound, "expected:floor")),
        ItemMetric("material_seen", _material_seen, requires=picture),
        ItemMetric("colour", _colours, requires=(*picture, "expected:colours")),
        ItemMetric("count_heard", _count_heard, requires=sound),
        ItemMetric("count_seen", _count_seen, requires=picture),
        ItemMetric("hit_seen", _hit_seen, requires=(*picture, "expected:kind")),
        ItemMetric("hit_heard", _hit_heard, requires=(*sound, "expected:kind")),
        ItemMetric("one_object", _one_object, requires=picture),
        ItemMetric("two_objects", _two_objects, requires=picture),
        ItemMetric("rhythm_heard", _rhythm_heard, requires=(*sound, "expected:rhythm")),
        ItemMetric("melody_seen", _melody_seen, requires=(*picture, "expected:melody")),
        ItemMetric("side_seen", _side_seen, requires=(*picture, "expected:position")),
    ]
