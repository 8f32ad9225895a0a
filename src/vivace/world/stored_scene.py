"""A scene out of JSON that somebody may have changed: every value is of its field's type and in its range.

What passes can be drawn, heard and described; nothing later asks again.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from functools import cache
from itertools import pairwise
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from vivace.errors import VivaceError
from vivace.world.ambience import AMBIENCES, STRENGTHS
from vivace.world.cast import Character, Line, Talk
from vivace.world.characters import HEADS
from vivace.world.landscapes import DAYLIGHTS, PLACES
from vivace.world.palette import BALL_MATERIALS, COLOURS, FLOORS, HAIR_RGB, RAINBOW, SKINS, WALLS
from vivace.world.phones import WORDS
from vivace.world.rhythm import EVEN, MELODIES, RHYTHMS
from vivace.world.sample import DECORS, LONGEST_COVERED
from vivace.world.scene import (
    ALL_KINDS,
    CAMERA_MOVES,
    INSTRUMENTS,
    KINDS,
    Ambience,
    Ball,
    Camera,
    Instrument,
    Landscape,
    Scene,
    Shot,
    Stage,
    Stroke,
    Vehicle,
)
from vivace.world.splits import SPLITS
from vivace.world.vehicle import VEHICLES
from vivace.world.voices import PERSONS, Voice

_AGAIN = "render the clip again"
_SEED = (0, 2**63 - 1)
_X = (-2.0, 2.0)
_SHARE = (0.0, 1.0)
_SIDES = (-1, 1)
_COLOURS = tuple(COLOURS)


@dataclasses.dataclass(frozen=True)
class _Range:
    """Both ends included."""

    low: float
    high: float


# Of each field that has one: the words it may be (a tuple), the numbers between which it lies (a `_Range`), or how many
# there may be. Wider than what is drawn, and narrow enough for whatever is computed from it.
_RULES: Mapping[Any, Mapping[str, tuple[Any, ...] | _Range]] = {
    Stage: {
        "wall": tuple(WALLS),
        "floor": FLOORS,
        "horizon": _Range(0.1, 0.95),
        "light": _Range(*_SIDES),
        "decor": DECORS,
        "decor_seed": _Range(*_SEED),
    },
    Ball: {
        "colour": _COLOURS,
        "material": BALL_MATERIALS,
        "radius": _Range(0.01, 0.5),
        "lane": _Range(0.1, 1.5),
        "x": _Range(*_X),
        "height": _Range(0.0, 3.0),
        "speed_x": _Range(-20.0, 20.0),
        "speed_up": _Range(-10.0, 10.0),
        "restitution": _Range(0.0, 0.95),  # of 1 it would bounce for ever
    },
    Instrument: {
        "kind": INSTRUMENTS,
        "colour": (*_COLOURS, RAINBOW),
        "size": _Range(0.2, 3.0),
        "x": _Range(*_X),
        "lane": _Range(0.1, 1.5),
        "bars": _Range(0, 30),
    },
    Stroke: {"time": _Range(0.0, LONGEST_COVERED), "strength": _Range(*_SHARE), "bar": _Range(0, 29)},
    Camera: {"move": CAMERA_MOVES, "amount": _Range(0.0, 0.5)},
    Landscape: {"place": PLACES, "daylight": DAYLIGHTS, "breeze": _Range(*_SHARE), "shapes": _Range(*_SEED)},
    Ambience: {"sound": AMBIENCES, "strength": STRENGTHS, "grain": _Range(*_SEED)},
    Vehicle: {
        "kind": VEHICLES,
        "colour": _COLOURS,
        "direction": _SIDES,
        "speed": _Range(1.0, 60.0),
        "passing": _Range(-LONGEST_COVERED, 2 * LONGEST_COVERED),
        "engine": _Range(20.0, 400.0),
        "grain": _Range(*_SEED),
    },
    Voice: {
        "pitch": _Range(50.0, 500.0),
        "tract": _Range(0.6, 1.6),
        "breath": _Range(*_SHARE),
        "rate": _Range(0.5, 2.0),
        "vibrato": _Range(0.0, 2.0),
        "brightness": _Range(*_SIDES),
        "melody": _Range(0.0, 3.0),
    },
    Character: {
        "person": tuple(PERSONS),
        "x": _Range(*_X),
        "y": _Range(-0.5, 1.5),
        "size": _Range(0.02, 0.6),
        "head": tuple(HEADS),
        "skin": _Range(0, len(SKINS) - 1),
        "hair": tuple(HAIR_RGB),
        "style": ("short", "curly", "bald", "long", "bun"),
        "clothes": _COLOURS,
        "manner": _Range(*_SEED),
        "accessory": ("", "cap", "headband", "earrings"),
        "accent": ("", *_COLOURS),
        "pattern": ("", "striped", "collared"),
        "turn": _Range(*_SIDES),
        "light": _Range(*_SIDES),
    },
    Line: {"speaker": _Range(0, 9), "words": tuple(WORDS), "start": _Range(0.0, LONGEST_COVERED)},
    Talk: {},
    Shot: {"start": _Range(0.0, LONGEST_COVERED)},
    Scene: {
        "seed": _Range(0, math.inf),
        "split": SPLITS,
        "kind": ALL_KINDS,
        "seconds": _Range(0.01, LONGEST_COVERED),  # shots are shorter than what can be drawn alone
        "rhythm": (*RHYTHMS, EVEN),
        "melody": MELODIES,
        "hand": _SIDES,
        "mallet": ("dark", "cream"),
        "tuning": _Range(0.5, 2.0),
        "room": _Range(*_SHARE),
        "level": _Range(*_SHARE),
    },
}
_MOST = 100  # of anything that a scene has several of
_Part = TypeVar("_Part")


def scene_from(fields: Mapping[str, Any]) -> Scene:
    """The scene of plain values, without the version of the world.

    Raises:
        VivaceError: a field is missing, unknown, of another type or out of range, or the kind lacks what it shows.
    """
    try:
        scene = _part(Scene, fields, "")
    except RecursionError:
        raise VivaceError(f"the scene has shots inside of shots, too many to be read; {_AGAIN}.") from None
    _check_whole(scene, "")
    for number, shot in enumerate(scene.shots):
        _check_whole(shot.scene, f"shots.{number}.scene.")
    return scene


def _part(kind: Callable[..., _Part], stored: Any, place: str) -> _Part:
    """One dataclass of its plain values; `place` is the dotted name before those of its fields."""
    if not isinstance(stored, Mapping):
        raise _refused(place.rstrip("."), stored, "an object")
    hints, needed = _fields_of(kind)
    for name in stored:
        if name not in hints:
            raise VivaceError(f"the scene has the unknown field {_shown(place + str(name))}; {_AGAIN}.")
    for name in needed:
        if name not in stored:
            raise VivaceError(f"the scene lacks the field {place + name!r}; {_AGAIN}.")
    rules = _RULES[kind]
    return kind(**{name: _value(hints[name], rules.get(name), x, place + name) for name, x in stored.items()})


@cache
def _fields_of(kind: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The types of a dataclass's fields, and those that have no default."""
    needed = tuple(
        field.name
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    )
    return get_type_hints(kind), needed


def _value(hint: Any, rule: tuple[Any, ...] | _Range | None, stored: Any, place: str) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return None if stored is None else _value(inner[0], rule, stored, place)
    if origin is tuple:
        if not isinstance(stored, (list, tuple)) or len(stored) > _MOST:
            raise _refused(place, stored, f"a list of at most {_MOST}")
        return tuple(_value(inner[0], rule, entry, f"{place}.{n}") for n, entry in enumerate(stored))
    if dataclasses.is_dataclass(hint):
        part: Any = hint
        return _part(part, stored, f"{place}.")
    right, wanted = _PLAIN[hint]
    if not right(stored):
        raise _refused(place, stored, wanted)
    if isinstance(rule, _Range) and not rule.low <= stored <= rule.high:
        raise _refused(place, stored, f"from {rule.low:g} to {rule.high:g}")
    if isinstance(rule, tuple) and stored not in rule:
        raise _refused(place, stored, f"one of {', '.join(map(str, rule))}")
    return stored


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return _is_whole(value) or (isinstance(value, float) and math.isfinite(value))


_PLAIN: dict[Any, tuple[Callable[[Any], bool], str]] = {
    bool: (lambda value: isinstance(value, bool), "true or false"),
    int: (_is_whole, "a whole number"),
    float: (_is_number, "a number"),
    str: (lambda value: isinstance(value, str), "a text"),
}


def _check_whole(scene: Scene, place: str) -> None:
    """Raises VivaceError where a scene's parts do not make what its kind shows."""
    played, thrown = scene.instrument is not None, bool(scene.balls)
    talks = scene.kind in ("talk", "talk with effect")
    # What is silent may be a view in which nothing acts.
    view = scene.kind in ("ambience", "vehicle") or (scene.kind == "silent" and not played and not thrown)
    needs = {
        "an instrument of that kind": scene.kind not in INSTRUMENTS
        or (scene.instrument is not None and scene.instrument.kind == scene.kind),
        "a ball": scene.kind != "impacts" or thrown,
        "balls or an instrument, not both": not (thrown and played),
        "a landscape": (scene.landscape is not None) == view,
        "an ambience": (scene.ambience is not None) == (scene.kind == "ambience"),
        "a vehicle": (scene.vehicle is not None) == (scene.kind == "vehicle"),
        "somebody who talks": (scene.talk is not None) == talks,
        "no sound": scene.silent == (scene.kind == "silent"),
        "shots": bool(scene.shots) == (scene.kind == "shots"),
        "strokes on what it shows": _strokes_fit(scene),
        "lines of its characters": scene.talk is None or _lines_fit(scene.talk),
        "shots of plain kinds, one after another from 0 on": _shots_fit(scene),
    }
    for what, there in needs.items():
        if not there:
            raise VivaceError(
                f"the scene's {place}kind {scene.kind!r} is to have {what} (and only such a one), which does not hold "
                f"for its other fields; {_AGAIN}."
            )


def _strokes_fit(scene: Scene) -> bool:
    instrument = scene.instrument
    if instrument is None:
        return not scene.strokes
    if instrument.kind != "xylophone":
        one = instrument.bars == 0 and all(stroke.bar == 0 for stroke in scene.strokes)
        return one and instrument.colour != RAINBOW
    return instrument.bars >= 2 and all(stroke.bar < instrument.bars for stroke in scene.strokes)


def _lines_fit(talk: Talk) -> bool:
    return bool(talk.characters) and all(line.words and line.speaker < len(talk.characters) for line in talk.lines)


def _shots_fit(scene: Scene) -> bool:
    starts = [shot.start for shot in scene.shots]
    plain = all(shot.scene.kind in KINDS for shot in scene.shots)
    return plain and starts[:1] in ([], [0]) and all(a < b for a, b in pairwise(starts))


def _refused(place: str, value: Any, wanted: str) -> VivaceError:
    return VivaceError(f"the scene's {place or 'JSON'} is {_shown(value)} and must be {wanted}; {_AGAIN}.")


def _shown(value: Any) -> str:
    """A value in few characters; of lists and objects only what they are, since they may be of any depth."""
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    try:
        told = repr(value)
    except ValueError:  # a whole number of too many digits
        return "a number too long to be shown"
    return told if len(told) <= 60 else f"{told[:60]}..."
