"""What a clip may be compared with beside its prompt: given voices, times that a given side fixes, the true clip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vivace.evaluation.groups import is_talk
from vivace.evaluation.prompts import WorldItem
from vivace.evaluation.script_metrics import Path, ScriptEvent
from vivace.evaluation.tasks import first_judged, judged
from vivace.media import Clip
from vivace.perception.spectra import at_detector_rate
from vivace.perception.voices import voice_vector
from vivace.pipelines.capabilities import TaskName
from vivace.world import truth, voice_references
from vivace.world.speech import SPEECH_RATE


def own_voices(item: WorldItem) -> dict[str, Any]:
    """Per span of an item that talks and has a true scene: the judge's vector of its reference, "voices", and the
    voice's fundamental in Hz, "pitches". Empty for others.
    """
    if not is_talk(item.group) or item.scene is None or item.scene.talk is None:
        return {}
    talk = item.scene.talk
    return {
        "voices": [voice_vector(sound, SPEECH_RATE) for sound in voice_references(item.scene)],
        "pitches": [talk.characters[line.speaker].voice.pitch for line in talk.lines],
    }


def voice_refs(items: Sequence[WorldItem]) -> dict[str, dict[str, Any]]:
    """What `own_voices` has of each item, with "strangers": per span the vector of another voice (the other speaker's,
    else the next item's). By id.
    """
    refs = {item.id: own for item in items if (own := own_voices(item))}
    talking = [item for item in items if item.id in refs]
    for item, following in zip(talking, [*talking[1:], *talking[:1]], strict=True):
        assert item.scene is not None
        assert item.scene.talk is not None
        lines = item.scene.talk.lines
        own, next_one = refs[item.id]["voices"], refs[following.id]["voices"][0]
        strangers = []
        for line in lines:
            other = [k for k, their in enumerate(lines) if their.speaker != line.speaker]
            strangers.append(own[other[0]] if other else next_one)
        refs[item.id]["strangers"] = strangers
    return refs


def true_times(item: WorldItem) -> dict[str, Any]:
    """When spans and shots begin in the true clip, seconds; empty for prompts written by hand."""
    if item.scene is None:
        return {}
    true = truth(item.scene, item.timeline, item.height, item.width)
    times: dict[str, Any] = {"cuts": list(true.cuts)} if true.cuts else {}
    if true.talk is not None:
        times["lines"] = [line.start for line in true.talk.lines]
    return times


# Tasks in which the true clip, or a part of it, is given, and so what of a made clip can be compared with it. A given
# sound or its length of time fixes no pictures, and given pictures fix the moments of the sound but not its waveform.
_SCRIPTED = ("a2v", "v2a", "extend")
_PATHS = _PICTURES = ("v2a", "ti2av", "extend")
_SOUND = ("a2v", "v2a", "extend")
_WAVEFORM = ("a2v",)


def script_events(item: WorldItem, task: TaskName, *, true: bool) -> dict[str, Any]:
    """The script's events in the part that is judged, where they bind; empty where nothing fixes when they happen.

    Args:
        true: the clip is the true one, as it is or through the codecs.
    """
    if item.scene is None or item.scene.talk is not None or not (true or task in _SCRIPTED):
        return {}
    script = truth(item.scene, item.timeline, item.height, item.width)
    start = first_judged(item, task) / float(item.timeline.fps)
    return {
        "events": [
            ScriptEvent(event.time - start, sound_of(event.kind), event.x, not script.silent)
            for event in script.events
            if event.time >= start
        ]
    }


def sound_of(kind: str) -> str:
    """What an event of the script sounds like, as the detectors call it ("ball:rubber>wood" is a ball on wood)."""
    return f"ball on {kind.partition('>')[2]}" if kind.startswith("ball:") else kind


def clip_refs(
    item: WorldItem, task: TaskName, clip: Clip | None, *, true: bool, itself: bool = False
) -> dict[str, Any]:
    """What the judged part of a clip is compared with (`vivace.evaluation.clip_figures`).

    Args:
        clip: the item's true clip; None where it has none.
        true: the judged clip is the true one, as it is or through the codecs. itself: as it is; against itself it would
            tell nothing.
    """
    first, fps = first_judged(item, task), float(item.timeline.fps)
    refs: dict[str, Any] = {"seconds": float(item.timeline.seconds) - first / fps}
    if clip is None or item.scene is None:
        return refs
    part = judged(clip, item, task)
    if part.frames is not None and (true or task in _PATHS):
        paths = _paths(item, first)
        refs |= {"paths": paths} if paths else {}
    if itself:
        return refs
    if part.frames is not None and (true or task in _PICTURES):
        refs["true_pictures"] = part.frames
    if part.audio is not None:
        sound = at_detector_rate(part.audio, part.sample_rate)
        refs |= {"true_sound": sound} if true or task in _SOUND else {}
        refs |= {"given_sound": sound} if true or task in _WAVEFORM else {}
    return refs


def needs_true_clip(task: TaskName) -> bool:
    """Whether made clips of a task are compared with the true one."""
    return task in (*_PATHS, *_SOUND)


def _paths(item: WorldItem, first: int) -> list[Path]:
    """The true paths of the balls from picture `first` on."""
    assert item.scene is not None
    short = min(item.height, item.width)
    scale = np.array([item.width, item.height]) / (2.0 * short)
    found = []
    for thing in truth(item.scene, item.timeline, item.height, item.width).objects:
        skipped = max(0, first - thing.first_frame)
        if thing.kind == "ball" and len(thing.path) > skipped:
            places = (np.array(thing.path[skipped:]) + 1.0) * scale
            found.append(Path(max(0, thing.first_frame - first), places))
    return found
