"""Takes: scenes in which one and the same character speaks, each elsewhere, in other light, clothes and pose.

What makes somebody who they are stays: sort of person, shape of the head, skin, hair, glasses, beard, what they wear
on the head, and the voice. References of a take are pictures of the same character: from other takes (cross pairs),
from this very take with pose, scene and colours changed (in pairs), or from this take as it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np

from vivace.errors import VivaceError
from vivace.world.cast import Character, Talk
from vivace.world.characters import covered, manner
from vivace.world.layout import view_at
from vivace.world.palette import COLOURS
from vivace.world.picture import pictures_at
from vivace.world.sample import sample_scene
from vivace.world.scene import Scene
from vivace.world.splits import SPLITS
from vivace.world.talk import draw_character, draw_lines

References = Literal["cross", "perturbed", "same"]
TAKES = 16  # of each character
ACCESSORIES: tuple[str, ...] = ("", "", "cap", "headband", "earrings")
PATTERNS: tuple[str, ...] = ("", "striped", "collared")
# Alive's window of likeness: of faces, of whole pictures, and the likeness of pictures that is preferred.
LEAST_FACE, LEAST_PICTURE, PREFERRED = 0.35, 0.7, 0.9
_HEAD, _PICTURE = 12, 8  # sides of the small pictures that are compared
_STREAMS = {"character": 606, "take": 607, "references": 608}


class Shown(NamedTuple):
    """A reference: the scene that it is a picture of, at which second, and what was done to its colours."""

    scene: Scene
    time: float
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)


class Likeness(NamedTuple):
    """How alike two pictures are, each from -1 to 1: the heads, and the pictures as wholes."""

    face: float
    picture: float


def identity(number: int, split: str) -> Character:
    """Character `number` of a split; every number from 0 upwards is somebody else.

    Raises:
        VivaceError: an unknown split, or a number below 0.
    """
    rng = _stream("character", split, number)
    character = draw_character(rng, split, 0.0, False)
    accessory = str(rng.choice(ACCESSORIES))
    return replace(character, accessory=accessory, accent=str(rng.choice(list(COLOURS))) if accessory else "")


def take_scene(number: int, take: int, split: str = "train", seconds: float | None = None) -> Scene:
    """The scene of one take of a character, whose seed is `number * TAKES + take`.

    Raises:
        VivaceError: an unknown split, a bad length, a number below 0, or a take that is not from 0 to `TAKES` - 1.
    """
    if isinstance(take, bool) or not isinstance(take, (int, np.integer)) or not 0 <= take < TAKES:
        raise VivaceError(f"take {take!r} is out of range; give a whole number from 0 to {TAKES - 1}.")
    scene = sample_scene(number * TAKES + take, split, kind="talk", seconds=seconds)
    rng = _stream("take", split, number, take)
    character = _posed(rng, identity(number, split), scene)
    character = replace(character, clothes=str(rng.choice(list(COLOURS))), pattern=str(rng.choice(PATTERNS)))
    while True:
        lines = draw_lines(rng, split, (character,), scene.seconds)
        if lines:
            return replace(scene, talk=Talk((character,), lines))


def reference_shots(
    number: int, take: int, split: str, seconds: float, kind: References, most: int, height: int, width: int
) -> list[Shown]:
    """From one to `most` references of a take, best first.

    Args:
        kind: "cross": of other takes, those whose likeness to this one lies in Alive's window, nearest to 0.9 first;
            "perturbed": of this take, with another pose, scene and light and other colours; "same": of this take.
        height, width: at which pictures are compared.

    Raises:
        VivaceError: as `take_scene`.
    """
    scene = take_scene(number, take, split, seconds)
    rng = _stream("references", split, number, take)
    if kind != "cross":
        times = rng.uniform(0, scene.seconds, most)
        if kind == "same":
            return [Shown(scene, float(time)) for time in times]
        return [perturbed(rng, scene, float(time)) for time in times]
    own = Shown(scene, float(rng.uniform(0, scene.seconds)))
    others = [other for other in range(TAKES) if other != take]
    candidates = []
    for other in rng.permutation(others)[: max(2 * most, 4)]:
        there = take_scene(number, int(other), split, seconds)
        candidates.append(Shown(there, float(rng.uniform(0, there.seconds))))
    seen = still(own, height, width)
    found = [likeness(own, shot, height, width, seen) for shot in candidates]
    return [candidates[place] for place in preferred(found)[:most]]


def preferred(found: list[Likeness]) -> list[int]:
    """Places of the candidates that may be references, nearest to 0.9 first; the most alike face where none may.

    Alive's rule as we read it: a face likeness above 0.35, a likeness of the pictures above 0.7, and of those the one
    that is nearest to 0.9, so that a copy is not preferred.
    """
    valid = [n for n, one in enumerate(found) if one.face > LEAST_FACE and one.picture > LEAST_PICTURE]
    if not valid:
        return [max(range(len(found)), key=lambda n: found[n].face)]
    return sorted(valid, key=lambda n: abs(found[n].picture - PREFERRED))


def perturbed(rng: np.random.Generator, scene: Scene, time: float) -> Shown:
    """A picture of a take's character and clothes in another pose, before another stage, in other light and colours."""
    elsewhere = sample_scene(int(rng.integers(2**31)), scene.split, kind="talk", seconds=scene.seconds)
    talk = _talk(scene)
    character = _posed(rng, talk.characters[0], elsewhere)
    changed = replace(elsewhere, talk=replace(talk, characters=(character,)))
    red, green, blue = (float(gain) for gain in rng.uniform(0.88, 1.12, 3))
    return Shown(changed, time, (red, green, blue))


def still(shot: Shown, height: int, width: int) -> np.ndarray:
    """The picture of a reference, uint8 [height, width, 3]."""
    picture = pictures_at(shot.scene, np.array([shot.time]), height, width)[0]
    if shot.gains == (1.0, 1.0, 1.0):
        return picture
    return np.clip(picture * np.array(shot.gains) + 0.5, 0, 255).astype(np.uint8)


def covering(shot: Shown, height: int, width: int) -> np.ndarray:
    """How much of every pixel of the reference its character covers, 0 to 1, [height, width]."""
    view = view_at(shot.scene, shot.time, height, width)
    cover: np.ndarray = covered(_talk(shot.scene).characters, np.array([shot.time]), [view])[0]
    return cover


def head_place(shot: Shown, height: int, width: int) -> tuple[float, float, float]:
    """Column and row of the middle of the head, and half its width, in pixels."""
    character, view = _talk(shot.scene).characters[0], view_at(shot.scene, shot.time, height, width)
    aside, down, _ = (float(value[0]) for value in manner(character, np.array([shot.time])))
    size = view.scale * character.size
    return view.column(character.x) + aside * size, view.row(character.y) + down * size, size


def likeness(first: Shown, second: Shown, height: int, width: int, seen: np.ndarray | None = None) -> Likeness:
    """How alike two references are; the world's stand-in for the likeness of face and picture embeddings.

    Args:
        seen: the picture of the first, where it is there already.
    """
    pictures = [still(first, height, width) if seen is None else seen, still(second, height, width)]
    heads = []
    for shot, picture in zip((first, second), pictures, strict=True):
        column, row, size = head_place(shot, height, width)
        rows = np.clip(np.round(row + np.linspace(-1.3, 1.2, _HEAD) * size), 0, height - 1).astype(int)
        columns = np.clip(np.round(column + np.linspace(-1.1, 1.1, _HEAD) * size), 0, width - 1).astype(int)
        heads.append(picture[rows][:, columns].astype(np.float64).ravel())
    # Without what all heads share, which is that they are mostly of one colour.
    face = float(np.corrcoef(heads[0], heads[1])[0, 1])
    whole = [_small(picture) for picture in pictures]
    return Likeness(face, float(whole[0] @ whole[1] / (np.linalg.norm(whole[0]) * np.linalg.norm(whole[1]))))


def _small(picture: np.ndarray) -> np.ndarray:
    """The means of a few fields of a picture, less black."""
    rows, columns = (np.linspace(0, side, _PICTURE + 1).astype(int)[:-1] for side in picture.shape[:2])
    sums = np.add.reduceat(np.add.reduceat(picture.astype(np.float64), rows, axis=0), columns, axis=1)
    sums /= picture.shape[0] * picture.shape[1] / _PICTURE**2
    small: np.ndarray = sums.ravel()
    return small


def _talk(scene: Scene) -> Talk:
    assert scene.talk is not None
    return scene.talk


def _posed(rng: np.random.Generator, character: Character, scene: Scene) -> Character:
    """Somewhere else in the picture, nearer or farther, turned, moving another way, in the scene's light."""
    size = rng.uniform(0.165, 0.225) * (0.95 if character.person == "child" else 1.0)
    return replace(
        character,
        x=round(float(rng.uniform(-0.38, 0.38)), 4),
        y=round(float(rng.uniform(0.42, 0.50)), 4),
        size=round(float(size), 4),
        turn=round(float(rng.uniform(-1, 1)), 4),
        light=scene.stage.light,
        manner=int(rng.integers(2**31)),
    )


def _stream(name: str, split: str, *key: int) -> np.random.Generator:
    if split not in SPLITS:
        raise VivaceError(f"split {split!r} is unknown; use one of {', '.join(SPLITS)}.")
    if any(isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 0 for k in key):
        raise VivaceError(f"character {key[0]!r} is no character's number; give a whole number from 0 upwards.")
    return np.random.default_rng([_STREAMS[name], SPLITS.index(split), *map(int, key)])
