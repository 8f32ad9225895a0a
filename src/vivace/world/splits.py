"""Which scenes belong to training, validation and test.

Two rules, both exact:

1. *Streams.* `train`, `val` and `test` draw from three disjoint random streams: the stream's number is part of the
   seed of every scene, so seed 7 of `train` and seed 7 of `test` have nothing in common. Every integer from 0 upwards
   is a scene; the train split is unlimited.
2. *Combinations.* About one sixth of three attribute tables never occurs in `train`: with every attribute numbered in
   the order of its list, (ball colour - floor) mod 6 = 1, (instrument colour - instrument) mod 6 = 2 and
   (number of strokes - instrument) mod 6 = 4. Each colour, floor, instrument and count is seen in training, and so a
   model that has learned them separately can make the unseen pairs. `val` and `test` hold both sorts. Likewise
   (ambient sound - place) mod 4 = 1, (vehicle's colour - vehicle) mod 6 = 3, a silent woodblock, and cuts with
   (second kind - first kind) mod 5 = 3.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from vivace.errors import VivaceError
from vivace.world.ambience import AMBIENCES
from vivace.world.landscapes import PLACES
from vivace.world.palette import COLOURS, FLOORS, RAINBOW
from vivace.world.scene import INSTRUMENTS, KINDS, WORLD_VERSION, Scene
from vivace.world.silence import content
from vivace.world.speech_splits import has_unseen_pair, has_unseen_voice
from vivace.world.vehicle import VEHICLES

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


def ambience_is_held_out(sound: str, place: str) -> bool:
    """Whether this sound over this landscape is kept out of training."""
    return (AMBIENCES.index(sound) - PLACES.index(place)) % 4 == 1


def vehicle_is_held_out(kind: str, colour: str) -> bool:
    """Whether this vehicle in this colour is kept out of training."""
    return (_COLOUR_NUMBER[colour] - VEHICLES.index(kind)) % 6 == 3


def silence_is_held_out(what: str) -> bool:
    """Whether this kind of scene is never silent in training."""
    return what == "woodblock"


def cut_is_held_out(first: str, second: str) -> bool:
    """Whether a cut from a scene of the first kind to one of the second is kept out of training."""
    return (KINDS.index(second) - KINDS.index(first)) % 5 == 3


def is_unseen_combination(scene: Scene) -> bool:
    """Whether the scene holds at least one combination of attributes, voice or pair of words that training lacks."""
    if scene.talk is not None and (has_unseen_voice(scene.talk) or has_unseen_pair(scene.talk)):
        return True
    if scene.shots:
        kinds = [shot.scene.kind for shot in scene.shots]
        shown = any(is_unseen_combination(shot.scene) for shot in scene.shots)
        return shown or any(cut_is_held_out(*pair) for pair in pairwise(kinds))
    if scene.ambience is not None and scene.landscape is not None:
        return ambience_is_held_out(scene.ambience.sound, scene.landscape.place)
    if scene.vehicle is not None:
        return vehicle_is_held_out(scene.vehicle.kind, scene.vehicle.colour)
    if scene.silent and silence_is_held_out(content(scene)):
        return True
    if scene.instrument is None:
        return any(ball_is_held_out(ball.colour, scene.stage.floor) for ball in scene.balls)
    kind = scene.instrument.kind
    return instrument_is_held_out(kind, scene.instrument.colour) or count_is_held_out(kind, len(scene.strokes))
