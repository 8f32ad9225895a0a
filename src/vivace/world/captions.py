"""Telling a scene in words: a grammar that never says what is not so.

A caption always says what kind of scene it is and drops other attributes at random. With the text comes a dictionary
of what it states, so that a metric knows which attributes a prompt fixes:

    kind, objects (number of balls), colours, ball_materials, sizes, floor, count, count_each (two balls), rhythm,
    tempo, position, positions (two balls), motion, surface (under an instrument), bars, melody, rest, camera
"""

from __future__ import annotations

from typing import Any

import numpy as np

from vivace.world.caption_impacts import tell_impacts
from vivace.world.caption_music import tell_playing
from vivace.world.caption_pieces import Telling
from vivace.world.scene import Scene
from vivace.world.wording import CAMERA_WORDS

Stated = dict[str, Any]
SHORTEST, LONGEST = 12, 180  # bytes


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """A caption of the scene, drawn with `rng`; 12 to 180 bytes of ASCII."""
    return caption_with_attributes(scene, rng)[0]


def caption_with_attributes(scene: Scene, rng: np.random.Generator) -> tuple[str, Stated]:
    """A caption and the attributes that it states, each of them true of the scene.

    A camera that moves is always mentioned, one that stands still never.
    """
    while True:
        telling = Telling(rng)
        telling.state("kind", scene.kind)
        text = tell_impacts(telling, scene) if scene.instrument is None else tell_playing(telling, scene)
        if scene.camera.move != "still":
            telling.state("camera", scene.camera.move)
            moving = telling.one_of(CAMERA_WORDS[scene.camera.move])
            text = telling.one_of((f"{text}, {moving}", f"{text}; {moving}", f"{moving}: {text}"))
        text = _styled(text, rng)
        if SHORTEST <= len(text.encode()) <= LONGEST:
            return text, telling.stated


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
    if habit < 0.98:
        return text.upper()
    return text + "!"
