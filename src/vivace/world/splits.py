"""Which scenes belong to training, validation and test.

Two rules, both exact:

1. *Streams.* `train`, `val` and `test` draw from three disjoint random streams: the stream's number is part of the
   seed of every scene, so seed 7 of `train` and seed 7 of `test` have nothing in common. Every integer from 0 upwards
   is a scene; the train split is unlimited.
2. *Combinations.* About one sixth of three attribute tables never occurs in `train`: with every attribute numbered in
   the order of its list, (ball colour - floor) mod 6 = 1, (instrument colour - instrument) mod 6 = 2 and
   (number of strokes - instrument) mod 6 = 4. Each colour, floor, instrument and count is seen in training, and so a
   model that has learned them separately can make the unseen pairs. `val` and `test` hold both sorts.
"""

from __future__ import annotations

import numpy as np

from vivace.errors import VivaceError
from vivace.world.palette import COLOURS, FLOORS, RAINBOW
from vivace.world.scene import INSTRUMENTS, WORLD_VERSION, Scene

SPLITS: tuple[str, ...] = ("train", "val", "test")
_COLOUR_NUMBER = {name: i for i, name in enumerate(COLOURS)}


def generator(seed: int, split: str) -> np.random.Generator:
    """The random stream of one scene.

    Raises:
        VivaceError: an unknown split or a seed that is not an integer from 0 upwards.
    """
    if split not in SPLITS:
        raise VivaceError(f"split {split!r} is unknown; use one of {', '.join(SPLITS)}.")
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise VivaceError(f"seed {seed!r} is not usable; give a whole number from 0 upwards.")
    return np.random.default_rng([WORLD_VERSION, SPLITS.index(split), int(seed)])


def ball_is_held_out(colour: str, floor: str) -> bool:
    """Whether a ball of this colour on this floor is kept out of training."""
    return (_COLOUR_NUMBER[colour] - FLOORS.index(floor)) % 6 == 1


def instrument_is_held_out(kind: str, colour: str) -> bool:
    """Whether this instrument in this colour is kept out of training; a rainbow xylophone never is."""
    return colour != RAINBOW and (_COLOUR_NUMBER[colour] - INSTRUMENTS.index(kind)) % 6 == 2


def count_is_held_out(kind: str, count: int) -> bool:
    """Whether this number of strokes on this instrument is kept out of training."""
    return (count - INSTRUMENTS.index(kind)) % 6 == 4


def is_unseen_combination(scene: Scene) -> bool:
    """Whether the scene holds at least one combination of attributes that training never shows."""
    if scene.instrument is None:
        return any(ball_is_held_out(ball.colour, scene.stage.floor) for ball in scene.balls)
    kind = scene.instrument.kind
    return instrument_is_held_out(kind, scene.instrument.colour) or count_is_held_out(kind, len(scene.strokes))
