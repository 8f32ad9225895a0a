"""Who speaks in footage besides those of a scene's own: people who come again in other files, and three at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vivace.world.cast import Character, Talk
from vivace.world.palette import are_neighbours
from vivace.world.sample import sample_scene
from vivace.world.scene import Scene
from vivace.world.takes import TAKES, take_scene
from vivace.world.talk import draw_character, draw_lines

_PLACES = (-0.62, 0.0, 0.62)
_SIZE = 0.125  # half a head's width: three find room beside each other


def recurring_scene(character: int, take: int, seconds: float) -> Scene:
    """Character number `character` of the train split, with the same looks and voice in every take, who speaks."""
    return take_scene(character, take % TAKES, "train", seconds)


def trio_scene(rng: np.random.Generator, seed: int, seconds: float) -> Scene:
    """Three who differ in clothes and hair, at least two of whom speak."""
    while True:
        people = [_smaller(draw_character(rng, "train", x + float(rng.uniform(-0.02, 0.02)), True)) for x in _PLACES]
        pairs = [(first, second) for n, first in enumerate(people) for second in people[n + 1 :]]
        if all(not are_neighbours(a.clothes, b.clothes) and a.hair != b.hair for a, b in pairs):
            break
    while True:
        lines = draw_lines(rng, "train", tuple(people), seconds)
        if len({line.speaker for line in lines}) > 1:
            break
    scene = sample_scene(seed, "train", kind="talk", seconds=seconds)
    return replace(scene, talk=Talk(tuple(people), lines))


def _smaller(character: Character) -> Character:
    return replace(character, size=_SIZE * (0.95 if character.person == "child" else 1.0))
