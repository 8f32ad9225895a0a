"""Clips of two or three shots with hard cuts: each shot is a scene of its own, in picture and in sound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from vivace.world.palette import WALLS
from vivace.world.scene import KINDS, Camera, Scene, Shot

SHORTEST_SHOT = 0.62  # seconds: one event with the time around it; half of the clip where it is shorter
SHORTEST_WITH_CUT = 1.0  # seconds
CUT_GRID = 24  # cuts lie on whole pictures at this rate, so that picture and sound change together
AGAIN_SHARE = 0.4  # of cuts: the same object is seen after it, elsewhere
THREE_SHARE = 0.35
FADE = 0.012  # seconds over which a shot's sound ends, so that the cut does not click


@dataclass(frozen=True)
class Span:
    """One shot with its end in seconds."""

    start: float
    end: float
    scene: Scene


def spans(scene: Scene, until: float) -> list[Span]:
    """The shots that begin before `until` seconds; the last one lasts until then."""
    starts = [shot.start for shot in scene.shots if shot.start < until]
    ends = [*starts[1:], until]
    return [Span(shot.start, end, shot.scene) for shot, end in zip(scene.shots, ends, strict=False)]


def look_of(scene: Scene) -> tuple[str, ...]:
    """What makes the scene's object the same one in another shot: kind, and colour (and material) of each part."""
    if scene.instrument is not None:
        return scene.kind, scene.instrument.colour, str(scene.instrument.bars)
    return (scene.kind, *(f"{ball.colour} {ball.material}" for ball in scene.balls))


def is_same_object(first: Scene, second: Scene) -> bool:
    """Whether two shots show the same object or objects."""
    return look_of(first) == look_of(second)


def with_shots(
    rng: np.random.Generator, scene: Scene, draw: Callable[[str, float], Scene], again: Callable[[Scene, float], Scene]
) -> Scene:
    """The scene as two or three shots.

    Args:
        draw: makes a scene of this kind and length, with one ball at most (two need more time than a shot has).
        again: makes a scene of this length with the object of another.
    """
    three = scene.seconds >= 3 * SHORTEST_SHOT and rng.random() < THREE_SHARE
    edges = [0.0, *_cuts(rng, scene.seconds, 3 if three else 2), scene.seconds]
    shots: list[Shot] = []
    for start, end in pairwise(edges):
        length = end - start
        while True:
            if shots and rng.random() < AGAIN_SHARE:
                shown = again(shots[-1].scene, length)
            else:
                shown = draw(str(rng.choice(KINDS)), length)
            # A cut must be one that can be seen.
            if not (shots and _alike(shots[-1].scene, shown)):
                break
        shots.append(Shot(start, replace(shown, camera=Camera())))
    return replace(scene, shots=tuple(shots), camera=Camera())


def _cuts(rng: np.random.Generator, seconds: float, count: int) -> list[float]:
    """Times of the cuts between `count` shots, on whole pictures."""
    shortest = min(SHORTEST_SHOT, seconds / count)
    spare = seconds - count * shortest
    # Cuts near the middle are likelier than very short shots.
    lengths = shortest + spare * rng.dirichlet(np.full(count, 3.0))
    return [round(float(cut) * CUT_GRID) / CUT_GRID for cut in np.cumsum(lengths)[:-1]]


def _alike(first: Scene, second: Scene) -> bool:
    if first.stage.floor == second.stage.floor:
        return True
    walls = np.array([WALLS[scene.stage.wall] for scene in (first, second)], dtype=float)
    return bool(np.abs(walls[0] - walls[1]).mean() < 8)
