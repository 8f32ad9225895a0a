"""Drawing scenes without a sound: something that would sound and does not, or a thing or a view at rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from vivace.world.landscapes import DAYLIGHTS, PLACES
from vivace.world.sample_landscapes import with_landscape
from vivace.world.scene import KINDS, Scene

ACTING_SHARE, RESTING_SHARE = 0.55, 0.25  # the other silent scenes are views


def with_silence(rng: np.random.Generator, scene: Scene, draw: Callable[[str], Scene]) -> Scene:
    """A silent scene; `draw` makes a scene of one of the kinds that sound."""
    share = float(rng.random())
    if share >= ACTING_SHARE + RESTING_SHARE:
        return replace(with_landscape(rng, scene, PLACES, DAYLIGHTS), silent=True)
    quiet = replace(draw(str(rng.choice(KINDS))), kind=scene.kind, silent=True)
    return quiet if share < ACTING_SHARE else at_rest(quiet)


def at_rest(scene: Scene) -> Scene:
    """The scene's balls lying where they were above the floor, its instrument without a mallet."""
    balls = tuple(replace(ball, height=0.0, speed_x=0.0, speed_up=0.0) for ball in scene.balls)
    return replace(scene, balls=balls, strokes=(), rhythm=None, melody=None)


def content(scene: Scene) -> str:
    """What a silent scene shows: the kind of scene that it would be with sound, or "view"."""
    if scene.landscape is not None:
        return "view"
    return "impacts" if scene.instrument is None else scene.instrument.kind


def is_at_rest(scene: Scene) -> bool:
    """Whether nothing in a scene of balls or an instrument happens."""
    return not scene.strokes and not any(ball.height or ball.speed_up for ball in scene.balls)
