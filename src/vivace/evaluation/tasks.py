"""What a model is given for each task of the benchmark, and what of its clips is judged."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from vivace.evaluation.fidelity import psnr
from vivace.evaluation.groups import is_talk
from vivace.evaluation.metric import ItemMetric, Sample, Undefined
from vivace.evaluation.prompts import WorldItem, true_clip
from vivace.media import Clip
from vivace.pipelines.capabilities import TaskName
from vivace.world import voice_references
from vivace.world.speech import SPEECH_RATE

REFERENCE_RATE = SPEECH_RATE  # Hz, of `references`
# What a prompt states of a whole clip and not of a part of it.
_OF_THE_WHOLE = ("count", "count_each", "rhythm", "melody", "tempo")


def suits(item: WorldItem, task: TaskName) -> bool:
    """Whether the item can be asked for in this task.

    What is given comes from a true clip, which prompts written by hand do not have. Where a clip is continued, the
    prompt tells the whole: talk, shots and passings could have happened before.
    """
    if task in ("t2av", "t2a", "t2v"):
        return True
    if item.scene is None:
        return False
    return task != "extend" or not (is_talk(item.group) or item.group in ("shots", "vehicle"))


def for_task(item: WorldItem, task: TaskName) -> WorldItem:
    """The item with what its prompt states of the part that is judged."""
    if task != "extend":
        return item
    stated = {name: value for name, value in item.expected.items() if name not in _OF_THE_WHOLE}
    return dataclasses.replace(item, expected=stated)


def given(item: WorldItem, task: TaskName) -> dict[str, Any]:
    """The arguments of `NavaPipeline` that hold what is given, of this item's true clip."""
    if task in ("t2av", "t2a", "t2v"):
        return {}
    clip = true_clip(item)
    assert clip.frames is not None
    match task:
        case "ti2av":
            return {"image": clip.frames[0]}
        case "a2v":
            return {"audio": dataclasses.replace(clip, frames=None)}
        case "v2a":
            return {"video": dataclasses.replace(clip, audio=None)}
        case _:
            return {"extend": _part(clip, 0, half(item))}


def half(item: WorldItem) -> int:
    """The pictures of an item that are given to be continued."""
    return (item.timeline.frames + 1) // 2


def first_judged(item: WorldItem, task: TaskName) -> int:
    """The first picture of what is judged."""
    return half(item) if task == "extend" else 0


def references(item: WorldItem) -> list[np.ndarray]:
    """The recordings (mono at `REFERENCE_RATE`) of the voices of an item's spans; none where nobody talks."""
    return voice_references(item.scene) if is_talk(item.group) and item.scene is not None else []


def judged(clip: Clip, item: WorldItem, task: TaskName) -> Clip:
    """What of a clip (made, true or through the codecs) is judged: the sides that were made, or what was added."""
    match task:
        case "t2a":
            return dataclasses.replace(clip, frames=None)
        case "t2v":
            return dataclasses.replace(clip, audio=None)
        case "extend":
            return _part(clip, half(item), None)
    return clip


def _part(clip: Clip, first: int, last: int | None) -> Clip:
    """Pictures `first` to `last` of a clip, and their sound."""
    assert clip.frames is not None
    start = round(first / float(clip.fps) * clip.sample_rate)
    end = None if last is None else round(last / float(clip.fps) * clip.sample_rate)
    sound = None if clip.audio is None else clip.audio[..., start:end]
    return dataclasses.replace(clip, frames=clip.frames[first:last], audio=sound)


def measured(clip: Clip, item: WorldItem, task: TaskName) -> dict[str, float]:
    """Figures against the given thing, which need the clip itself."""
    if task != "ti2av" or clip.frames is None or item.scene is None:
        return {}
    true = true_clip(item).frames
    assert true is not None
    names = ("first_frame_psnr", "second_frame_psnr")
    errors = [((clip.frames[n].astype(np.float32) - true[n]) ** 2).mean() for n in range(2)]
    return {name: round(psnr(float(error)), 3) for name, error in zip(names, errors, strict=True)}


def task_metrics(task: TaskName) -> list[ItemMetric]:
    """Metrics that a task has beside those of its groups.

    `first_frame_psnr` is that of the first picture against the given one, `second_frame_psnr` that of the next picture
    against the true clip's, in which hardly anything has moved.
    """
    if task != "ti2av":
        return []

    def reader(name: str) -> ItemMetric:
        def read(sample: Sample) -> list[float] | Undefined:
            value = sample.refs.get(name)
            return Undefined("no picture was given") if value is None else [float(value), 1.0]

        return ItemMetric(name, read, unit="dB", requires=("video",))

    return [reader("first_frame_psnr"), reader("second_frame_psnr")]
