"""What a clip may be compared with beside its prompt: voices that were given, and times that a given side fixes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vivace.evaluation.groups import is_talk
from vivace.evaluation.prompts import WorldItem
from vivace.perception.voices import voice_vector
from vivace.world import truth, voice_references
from vivace.world.speech import SPEECH_RATE


def voice_refs(items: Sequence[WorldItem]) -> dict[str, dict[str, Any]]:
    """For each item that talks and has a true scene, per span: the judge's vector of its reference, that of another
    voice (the other speaker's, else the next item's), and the voice's fundamental in Hz. By id.
    """
    talking = [item for item in items if is_talk(item.group) and item.scene is not None]
    vectors: dict[str, list[np.ndarray]] = {
        item.id: [voice_vector(sound, SPEECH_RATE) for sound in voice_references(item.scene)]
        for item in talking
        if item.scene is not None
    }
    refs: dict[str, dict[str, Any]] = {}
    for number, item in enumerate(talking):
        assert item.scene is not None
        assert item.scene.talk is not None
        talk, own = item.scene.talk, vectors[item.id]
        next_one = vectors[talking[(number + 1) % len(talking)].id][0]
        strangers = []
        for line in talk.lines:
            other = [k for k, their in enumerate(talk.lines) if their.speaker != line.speaker]
            strangers.append(own[other[0]] if other else next_one)
        refs[item.id] = {
            "voices": own,
            "strangers": strangers,
            "pitches": [talk.characters[line.speaker].voice.pitch for line in talk.lines],
        }
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
