"""Groups of prompts beyond impacts and instruments: who has them, how their clips are perceived, what is measured.

| group | prompts |
|---|---|
| talk-seen, talk-unseen | people who talk; in the second with a voice or a pair of words that training never has |
| talk-effect | somebody who talks beside a ball or an instrument |
| talk-hand | talk, written by hand |
| silence, ambience, vehicle, shots | held-out scenes of these kinds |
| scene-hand | of these kinds and of camera moves, written by hand |
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from vivace.errors import VivaceError
from vivace.evaluation.attributes import attribute_metrics
from vivace.evaluation.metric import ItemMetric
from vivace.evaluation.prompts import CAPTION_STREAM, WorldItem, check_request
from vivace.evaluation.scenes import scene_metrics
from vivace.evaluation.script_metrics import script_metrics
from vivace.evaluation.speech import speech_metrics
from vivace.evaluation.sync import sync_metrics
from vivace.media import Clip
from vivace.perception.percept import Percept, perceive
from vivace.perception.senses import perceive_scene, perceive_talk
from vivace.pipelines.capabilities import Abilities, names_any
from vivace.timeline import Timeline
from vivace.world import SCENE_PROMPTS, TALK_PROMPTS, Scene, caption_with_attributes, sample_scene

# Kind of scene, and whether it holds an unseen combination (None: either).
_SCENES: dict[str, tuple[str, bool | None]] = {
    "talk-seen": ("talk", False),
    "talk-unseen": ("talk", True),
    "talk-effect": ("talk with effect", None),
    "silence": ("silent", None),
    "ambience": ("ambience", None),
    "vehicle": ("vehicle", None),
    "shots": ("shots", None),
}
_BY_HAND: dict[str, Mapping[str, Sequence[tuple[str, dict[str, Any]]]]] = {
    "talk-hand": TALK_PROMPTS,
    "scene-hand": SCENE_PROMPTS,
}
GROUPS: tuple[str, ...] = (*_SCENES, *_BY_HAND)
# A model has a group where its vocabulary names one of these words.
_WORDS: dict[str, tuple[str, ...]] = {
    "talk": ("man", "woman", "says"),
    "silence": ("silent", "silence"),
    "ambience": ("rain",),
    "vehicle": ("car",),
    "shots": ("cut",),
    "scene": ("rain", "car", "silent", "silence", "cut"),
}
# Of the metrics of impacts, those that stand beside others too.
_EVENTS = ("av_event_f1_50ms", "av_event_f1_75ms", "av_offset_median_abs", "av_event_recall_75ms")


def is_talk(group: str) -> bool:
    return group.startswith("talk-")


def groups_of(can: Abilities[Any]) -> tuple[str, ...]:
    """The groups that a model's folder says it knows; none where it has no vocabulary."""
    known = " ".join(can.vocabulary)
    return tuple(
        group
        for group in GROUPS
        if names_any(known, _WORDS[group.partition("-")[0]]) and (can.most_spans or not is_talk(group))
    )


def check_groups(groups: Sequence[str]) -> None:
    """Raises VivaceError for a group that does not exist."""
    for group in groups:
        if group not in GROUPS:
            raise VivaceError(f"The group {group!r} is unknown; use one of {', '.join(GROUPS)}.")


def group_items(
    split: str,
    groups: Sequence[str],
    count: int,
    *,
    seconds: float = 2.0,
    fps: float = 24.0,
    height: int = 128,
    width: int = 128,
    hand: bool = True,
) -> list[WorldItem]:
    """The prompts of these groups, `count` of each; those written by hand are as many as there are, or none.

    The n-th prompt of a group and its seed n are the same whatever the count.

    Raises:
        VivaceError: an unknown group, another split than val and test, a count below 2.
    """
    check_request(split, count)
    check_groups(groups)
    timeline = Timeline.covering(seconds, fps)
    items = []
    for group in groups:
        if group in _SCENES:
            for number, scene in enumerate(_drawn(split, group, float(timeline.seconds), count)):
                text, stated = caption_with_attributes(scene, np.random.default_rng([scene.seed, CAPTION_STREAM]))
                name = f"{group}-{number:04d}"
                items.append(WorldItem(name, group, text, stated, number, scene, timeline, height, width))
        elif hand:
            for number, (text, stated) in enumerate(_BY_HAND[group][split]):
                name = f"{group}-{number:04d}"
                items.append(WorldItem(name, group, text, stated, number, None, timeline, height, width))
    return items


def _drawn(split: str, group: str, seconds: float, count: int) -> list[Scene]:
    kind, unseen = _SCENES[group]
    drawn = (sample_scene(n, split, kind=kind, seconds=seconds, unseen_combination=unseen) for n in itertools.count())
    # A moving camera has a group of its own.
    return list(itertools.islice((scene for scene in drawn if scene.camera.move == "still"), count))


def senses(group: str) -> Callable[[Clip], Percept]:
    """What looks at and listens to the clips of a group."""
    if is_talk(group):
        return perceive_talk
    return perceive_scene if group in GROUPS or group == "camera" else perceive


def metrics_of(group: str) -> list[ItemMetric]:
    """Fresh instances of the metrics of a group."""
    classic, script = [*sync_metrics(), *attribute_metrics()], script_metrics()
    colour = [metric for metric in classic if metric.name == "colour"]
    events = [metric for metric in classic if metric.name in _EVENTS]
    if group in ("talk-effect", "talk-hand"):
        # Words are onsets too: only whether impacts are heard can be told.
        return [*speech_metrics(), *(metric for metric in events if "recall" in metric.name), *colour]
    if is_talk(group):
        return speech_metrics()
    if group in GROUPS:
        some = [metric for metric in classic if metric.name in ("colour", "count_seen")]
        return [*scene_metrics(), *events, *some, *script]
    if group == "camera":
        return [*classic, *(metric for metric in scene_metrics() if metric.name == "camera_move"), *script]
    return [*classic, *script]


def swap_metric(group: str) -> ItemMetric:
    """The score by which a group's clips are told from clips with another's sound."""
    name = "lip_correlation" if is_talk(group) else "av_event_f1_50ms"
    return next(metric for metric in metrics_of(group) if metric.name == name)
