"""Drawing scenes that play in a landscape: an ambient sound, a passing vehicle, a view in which nothing happens."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vivace.world.ambience import AMBIENCES, STRENGTHS
from vivace.world.landscapes import DAYLIGHTS, PLACES
from vivace.world.palette import COLOURS
from vivace.world.scene import CAMERA_MOVES, Ambience, Camera, Landscape, Scene, Vehicle
from vivace.world.vehicle import SPEEDS, VEHICLES, engine_notes

ROADS: tuple[str, ...] = ("street", "trees")  # the places with a road
MOVING_CAMERA_SHARE = 0.35  # of ambient scenes: a view invites the camera to move
PASSING_MARGIN = 0.65  # seconds before and after a passing, in a clip long enough for it


def with_landscape(
    rng: np.random.Generator, scene: Scene, places: tuple[str, ...], daylights: tuple[str, ...]
) -> Scene:
    """The scene in one of these places at one of these times of day."""
    landscape = Landscape(
        place=str(rng.choice(places)),
        daylight=str(rng.choice(daylights)),
        breeze=round(float(rng.uniform(0.15, 0.7)), 4),
        shapes=int(rng.integers(2**31)),
    )
    return replace(scene, landscape=landscape)


def with_ambience(rng: np.random.Generator, scene: Scene) -> Scene:
    """An ambient sound over a landscape; in a strong wind more of it moves."""
    scene = with_landscape(rng, scene, PLACES, DAYLIGHTS)
    ambience = Ambience(str(rng.choice(AMBIENCES)), str(rng.choice(STRENGTHS)), int(rng.integers(2**31)))
    landscape = scene.landscape
    assert landscape is not None
    if ambience.sound == "wind":
        low, high = (0.25, 0.5) if ambience.strength == "soft" else (0.75, 1.0)
        landscape = replace(landscape, breeze=round(float(rng.uniform(low, high)), 4))
    camera = Camera()
    if rng.random() < MOVING_CAMERA_SHARE:
        camera = Camera(str(rng.choice(CAMERA_MOVES[1:])), round(float(rng.uniform(0.10, 0.14)), 4))
    return replace(scene, landscape=landscape, ambience=ambience, camera=camera)


def with_vehicle(rng: np.random.Generator, scene: Scene) -> Scene:
    """A vehicle that passes in front of a camera that stands still."""
    scene = with_landscape(rng, scene, ROADS, DAYLIGHTS[:2])
    kind = str(rng.choice(VEHICLES))
    margin = min(PASSING_MARGIN, 0.35 * scene.seconds)
    vehicle = Vehicle(
        kind=kind,
        colour=str(rng.choice(list(COLOURS))),
        direction=int(rng.choice([-1, 1])),
        speed=round(float(rng.uniform(*SPEEDS)), 4),
        passing=round(float(rng.uniform(margin, scene.seconds - margin)), 4),
        engine=round(float(rng.uniform(*engine_notes(kind))), 4),
        grain=int(rng.integers(2**31)),
    )
    return replace(scene, vehicle=vehicle, camera=Camera())
