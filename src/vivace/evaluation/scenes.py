"""Silence, ambience, passings, shots and camera: is it what the prompt states. All from blind detections."""

from __future__ import annotations

from collections import Counter

from vivace.evaluation.across_cuts import cut_metrics, sounds_of_shots
from vivace.evaluation.matching import match_times
from vivace.evaluation.metric import ItemMetric, Sample, Undefined
from vivace.perception.scenery import Scenery, Soundscape

Outcome = list[float] | Undefined
_SAME_CUT = 0.25  # seconds: a cut farther from a true one is another


def _scenery(sample: Sample) -> Scenery | Undefined:
    return sample.sees.scenery or Undefined("the scenery was not looked at")


def _soundscape(sample: Sample) -> Soundscape | Undefined:
    return sample.hears.soundscape or Undefined("the soundscape was not listened to")


def _silence_kept(sample: Sample) -> Outcome:
    heard = _soundscape(sample)
    return heard if isinstance(heard, Undefined) else [float(heard.silent), 1.0]


def _ambience(sample: Sample) -> Outcome:
    heard = _soundscape(sample)
    return heard if isinstance(heard, Undefined) else [float(heard.ambience == sample.expected["ambience"]), 1.0]


def _passing_seen(sample: Sample) -> Outcome:
    seen = _scenery(sample)
    return seen if isinstance(seen, Undefined) else [float(seen.passing is not None), 1.0]


def _passing_heard(sample: Sample) -> Outcome:
    heard = _soundscape(sample)
    return heard if isinstance(heard, Undefined) else [float(heard.passing is not None), 1.0]


def _direction_seen(sample: Sample) -> Outcome:
    seen = _scenery(sample)
    if isinstance(seen, Undefined):
        return seen
    return [float(seen.passing is not None and seen.passing.direction == sample.expected["direction"]), 1.0]


def _direction_heard(sample: Sample) -> Outcome:
    heard = _soundscape(sample)
    if isinstance(heard, Undefined):
        return heard
    return [float(heard.passing is not None and heard.passing.direction == sample.expected["direction"]), 1.0]


def _directions_agree(sample: Sample) -> Outcome:
    seen, heard = _scenery(sample), _soundscape(sample)
    if isinstance(seen, Undefined) or isinstance(heard, Undefined):
        return Undefined("the scenery was not looked at")
    both = seen.passing is not None and heard.passing is not None
    agree = seen.passing is not None and heard.passing is not None and seen.passing.direction == heard.passing.direction
    return [float(both and agree), 1.0]


def _passing_offset(sample: Sample) -> Outcome:
    seen, heard = _scenery(sample), _soundscape(sample)
    if isinstance(seen, Undefined) or isinstance(heard, Undefined):
        return Undefined("the scenery was not looked at")
    if seen.passing is None or heard.passing is None:
        return Undefined("nothing passes in picture or sound")
    return [1000.0 * abs(heard.passing.time - seen.passing.time)]


def _vehicle_colour(sample: Sample) -> Outcome:
    seen = _scenery(sample)
    if isinstance(seen, Undefined):
        return seen
    return [float(seen.passing is not None and [seen.passing.colour] == list(sample.expected["colours"])), 1.0]


def _cut_count(sample: Sample) -> Outcome:
    seen = _scenery(sample)
    return seen if isinstance(seen, Undefined) else [float(len(seen.cuts) == sample.expected["cuts"]), 1.0]


def _cut_errors(sample: Sample) -> Outcome:
    seen, true = _scenery(sample), sample.refs.get("cuts")
    if isinstance(seen, Undefined):
        return seen
    if true is None:
        return Undefined("nothing fixes when the shots begin")
    pairs = match_times(true, seen.cuts, _SAME_CUT)
    return [1000.0 * abs(true[i] - seen.cuts[j]) for i, j in pairs] or Undefined("no cut was found")


def _shot_colours(sample: Sample) -> Outcome:
    seen = _scenery(sample)
    if isinstance(seen, Undefined):
        return seen
    stated = [shot.get("colours") for shot in sample.expected["shots"]]
    if not any(stated):
        return Undefined("the prompt states no colour of a shot")
    if len(stated) != len(seen.shots):
        return [0.0, float(sum(colours is not None for colours in stated))]
    right = [
        not Counter(colours) - Counter(shot.colours)
        for colours, shot in zip(stated, seen.shots, strict=True)
        if colours is not None
    ]
    return [float(sum(right)), float(len(right))]


def _shot_sounds(sample: Sample) -> Outcome:
    seen = _scenery(sample)
    if isinstance(seen, Undefined):
        return seen
    stated = [shot["kind"] for shot in sample.expected["shots"]]
    if len(stated) != len(seen.shots):
        return [0.0, float(len(stated))]
    heard = sounds_of_shots(sample, seen)
    right = sum(kind == sound for kind, sound in zip(stated, heard, strict=True))
    return [float(right), float(len(stated))]


def _camera(sample: Sample) -> Outcome:
    seen = _scenery(sample)
    return seen if isinstance(seen, Undefined) else [float(seen.camera.move == sample.expected["camera"]), 1.0]


def scene_metrics() -> list[ItemMetric]:
    """Fresh instances of every metric of silence, ambience, passings, shots and camera; shares but for two.

    `passing_offset` is the distance in time between the passing that is seen and the one that is heard,
    `cut_time_error` that of a cut from the true one where the given side or a true clip fixes it (medians).
    """
    picture, sound, both = ("video",), ("audio",), ("video", "audio")
    return [
        ItemMetric("silence_kept", _silence_kept, requires=(*sound, "expected:silent")),
        ItemMetric("ambience", _ambience, requires=(*sound, "expected:ambience")),
        ItemMetric("passing_seen", _passing_seen, requires=(*picture, "expected:vehicle")),
        ItemMetric("passing_heard", _passing_heard, requires=(*sound, "expected:vehicle")),
        ItemMetric("direction_seen", _direction_seen, requires=(*picture, "expected:direction")),
        ItemMetric("direction_heard", _direction_heard, requires=(*sound, "expected:direction")),
        ItemMetric("directions_agree", _directions_agree, requires=(*both, "expected:vehicle")),
        ItemMetric(
            "passing_offset",
            _passing_offset,
            requires=(*both, "expected:vehicle"),
            statistic="median",
            unit="ms",
            direction="lower",
        ),
        ItemMetric("vehicle_colour", _vehicle_colour, requires=(*picture, "expected:vehicle", "expected:colours")),
        ItemMetric("cut_count", _cut_count, requires=(*picture, "expected:cuts")),
        ItemMetric(
            "cut_time_error",
            _cut_errors,
            requires=(*picture, "expected:cuts"),
            statistic="median",
            unit="ms",
            direction="lower",
        ),
        ItemMetric("shot_colours", _shot_colours, requires=(*picture, "expected:shots")),
        ItemMetric("shot_sounds", _shot_sounds, requires=(*both, "expected:shots")),
        *cut_metrics(),
        ItemMetric("camera_move", _camera, requires=(*picture, "expected:camera")),
    ]
