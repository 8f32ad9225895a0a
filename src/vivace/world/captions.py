"""Telling a scene in words: a grammar that never says what is not so.

A caption always says what kind of scene it is and drops other attributes at random. With the text comes a dictionary
of what it states, so that a metric knows which attributes a prompt fixes:

    kind, objects (number of balls), colours, ball_materials, sizes, floor, count, count_each (two balls), rhythm,
    tempo, position, positions (two balls), motion, surface (under an instrument), bars, melody, rest, camera

Further kinds of scene state: ambience, strength, place, daylight; vehicle, direction, pace; silent, shows (what would
sound), still; cuts, and under shots what each one states, with same_object where it shows that of the shot before;
people, spans, persons, effect (`vivace.world.caption_speech`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from vivace.world.caption_ambience import tell_ambience
from vivace.world.caption_impacts import tell_impacts
from vivace.world.caption_music import tell_playing
from vivace.world.caption_pieces import Telling
from vivace.world.caption_shots import tell_shots
from vivace.world.caption_silence import tell_silence
from vivace.world.caption_speech import tell_talk, tell_talk_beside
from vivace.world.caption_vehicle import tell_vehicle
from vivace.world.scene import Scene
from vivace.world.wording import CAMERA_WORDS

Stated = dict[str, Any]
SHORTEST, LONGEST = 12, 180  # bytes
LONGEST_TALK = 240  # four lines of three words need more than other captions


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """A caption of the scene, drawn with `rng`; 12 to 180 bytes of ASCII, or 240 with speech."""
    return caption_with_attributes(scene, rng)[0]


def caption_with_attributes(scene: Scene, rng: np.random.Generator) -> tuple[str, Stated]:
    """A caption and the attributes that it states, each of them true of the scene.

    A camera that moves is always mentioned, one that stands still never.
    """
    while True:
        telling = Telling(rng)
        telling.state("kind", scene.kind)
        text = _tell(telling, scene)
        if scene.camera.move != "still":
            telling.state("camera", scene.camera.move)
            moving = telling.one_of(CAMERA_WORDS[scene.camera.move])
            text = telling.one_of((f"{text}, {moving}", f"{text}; {moving}", f"{moving}: {text}"))
        text = _styled(text, rng)
        if SHORTEST <= len(text.encode()) <= (LONGEST if scene.talk is None else LONGEST_TALK):
            return text, telling.stated


def _tell(telling: Telling, scene: Scene) -> str:
    match scene.kind:
        case "talk":
            return tell_talk(telling, scene)
        case "talk with effect":
            return tell_talk_beside(telling, scene, _tell_events)
        case "ambience":
            return tell_ambience(telling, scene)
        case "vehicle":
            return tell_vehicle(telling, scene)
        case "silent":
            return tell_silence(telling, scene, _tell_events)
        case "shots":
            return tell_shots(telling, scene, _tell_events)
    return _tell_events(telling, scene)


def _tell_events(telling: Telling, scene: Scene) -> str:
    return tell_impacts(telling, scene) if scene.instrument is None else tell_playing(telling, scene)


def _styled(text: str, rng: np.random.Generator) -> str:
    """The text with the punctuation and capitals of one habit of writing."""
    text = " ".join(text.split()).replace(" ,", ",").replace(" .", ".")
    habit = rng.random()
    if habit < 0.45:
        return text
    if habit < 0.82:
        sentences = [part[:1].upper() + part[1:] for part in text.split(". ")]
        return ". ".join(sentences) + "."
    if habit < 0.90:
        return text[:1].upper() + text[1:]
    if habit < 0.96:
        return text + "."
    if habit < 0.98 and "<S>" not in text:
        return text.upper()
    return text + "!"
