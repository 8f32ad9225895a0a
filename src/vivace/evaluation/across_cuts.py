"""What stays over a cut: whether both shots show the same object, where the prompt says that they do, or do not.

An object is told by the colours of the coloured things, by whether something falls, and by the kind of what sounds; all
are found shot by shot by the blind detectors, which know neither the prompt nor the true cuts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from vivace.evaluation.metric import ItemMetric, Sample, Undefined
from vivace.perception.scenery import Scenery, ShotSeen

Outcome = list[float] | Undefined
UNSEEN = Undefined("the scenery was not looked at")
# Of an object: its colours, whether it falls (None where that was not looked for), what it sounds like.
Look = tuple[frozenset[str], bool | None, str]


def sounds_of_shots(sample: Sample, seen: Scenery) -> list[str | None]:
    """The commonest kind of the sounds heard during each shot, None in silence; a ball on any floor is "impacts"."""
    edges = [*(shot.start for shot in seen.shots), float("inf")]
    found: list[str | None] = []
    for start, end in pairwise(edges):
        kinds = [
            "impacts" if name.startswith("ball on ") else name
            for onset, name in zip(sample.hears.onsets, sample.hears.kinds, strict=True)
            if start <= onset.time < end
        ]
        found.append(Counter(kinds).most_common(1)[0][0] if kinds else None)
    return found


def _look(shot: ShotSeen, sound: str | None) -> Look | None:
    """What tells a shot's object; None where no coloured thing is seen, or nothing is heard."""
    return (frozenset(shot.colours), shot.falls, sound) if shot.colours and sound is not None else None


def _stays(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool | None:
    """Whether a prompt says of two successive shots that the object is the same; None where it may or may not be."""
    if after.get("same_object"):
        return True
    if before["kind"] != after["kind"]:
        return False
    colours = before.get("colours"), after.get("colours")
    return False if all(colours) and colours[0] != colours[1] else None


def _judged(sample: Sample, stays: bool, right: Callable[[Look, Look], bool]) -> Outcome:
    """Of the cuts over which the prompt says that the object stays (or not), how many are right, and their number."""
    seen, shots = sample.sees.scenery, sample.expected["shots"]
    if seen is None:
        return UNSEEN
    cuts = [number for number, pair in enumerate(pairwise(shots)) if _stays(*pair) is stays]
    if not cuts:
        return Undefined(f"the prompt {'keeps no' if stays else 'names no other'} object after a cut")
    if len(shots) != len(seen.shots):
        return [0.0, float(len(cuts))]
    looks = [_look(*pair) for pair in zip(seen.shots, sounds_of_shots(sample, seen), strict=True)]
    return [float(sum(_holds(looks[number : number + 2], right) for number in cuts)), float(len(cuts))]


def _holds(looks: Sequence[Look | None], right: Callable[[Look, Look], bool]) -> bool:
    before, after = looks
    return before is not None and after is not None and right(before, after)


def _kept(sample: Sample) -> Outcome:
    return _judged(sample, True, lambda before, after: before == after)


def _changed(sample: Sample) -> Outcome:
    return _judged(sample, False, lambda before, after: before != after)


def cut_metrics() -> list[ItemMetric]:
    """`same_object_kept`: of the cuts over which the prompt keeps the object, the share on whose two sides the same one
    is found; `other_object_shown`: of those over which it names another one, the share on whose sides they differ.

    Both are wrong where nothing is found on a side, or another number of shots; and neither is judged where the prompt
    leaves open whether the object stays.
    """
    needs = ("video", "audio", "expected:shots")
    return [
        ItemMetric("same_object_kept", _kept, requires=needs),
        ItemMetric("other_object_shown", _changed, requires=needs),
    ]
