"""A scene: everything that decides one clip's picture and sound, as plain frozen values.

Lengths are in units of the shorter picture side, heights and depths downwards from the top of the central square,
horizontal positions in [-1, 1] of the picture's width (so that what is heard at the left is seen at the left at
every aspect ratio), times in seconds.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from vivace.errors import VivaceError
from vivace.plain_json import parsed_object
from vivace.world.cast import Talk, plain_talk

WORLD_VERSION = 1
KINDS: tuple[str, ...] = ("impacts", "drum", "bell", "woodblock", "xylophone")
INSTRUMENTS: tuple[str, ...] = KINDS[1:]
# `KINDS` are what a seed alone draws from; the others are made only when asked for by name.
ALL_KINDS: tuple[str, ...] = (*KINDS, "ambience", "vehicle", "silent", "shots", "talk", "talk with effect")
DEFAULT_SECONDS = 49 / 24
CAMERA_MOVES: tuple[str, ...] = ("still", "pan left", "pan right", "zoom in", "zoom out")


@dataclass(frozen=True)
class Stage:
    """Wall, floor (or table) and light behind the action."""

    wall: str
    floor: str
    horizon: float
    light: float  # -1 the light comes from the left, 1 from the right
    decor: str
    decor_seed: int


@dataclass(frozen=True)
class Ball:
    """A ball as it is let go at time 0."""

    colour: str
    material: str
    radius: float
    lane: float  # y of the floor under it
    x: float
    height: float  # of its lowest point above the floor
    speed_x: float  # per second, in units of x
    speed_up: float
    restitution: float


@dataclass(frozen=True)
class Instrument:
    """What the mallet plays."""

    kind: str
    colour: str
    size: float  # 1 is the middle size
    x: float
    lane: float
    bars: int  # of a xylophone; 0 otherwise


@dataclass(frozen=True)
class Stroke:
    """One beat of the mallet."""

    time: float
    strength: float  # 0 to 1
    bar: int  # of a xylophone, 0 is the leftmost; 0 otherwise


@dataclass(frozen=True)
class Camera:
    """A still camera, or one that moves over the whole scene. `amount`: how far it goes from its middle."""

    move: str = "still"
    amount: float = 0.0


@dataclass(frozen=True)
class Landscape:
    """A wide view in which nothing acts: the picture of ambient sounds, and what vehicles drive through."""

    place: str  # one of `vivace.world.landscapes.PLACES`
    daylight: str  # one of `vivace.world.landscapes.DAYLIGHTS`
    breeze: float  # 0 to 1: how much clouds, leaves, water and cloth move
    shapes: int  # seed of everything that stands in it


@dataclass(frozen=True)
class Ambience:
    """A lasting sound whose source is not in the picture."""

    sound: str  # one of `vivace.world.ambience.AMBIENCES`
    strength: str  # "soft" or "strong"
    grain: int  # seed of its noise


@dataclass(frozen=True)
class Vehicle:
    """A vehicle that passes once, at constant speed."""

    kind: str  # one of `vivace.world.vehicle.VEHICLES`
    colour: str
    direction: int  # 1 drives to the right, -1 to the left
    speed: float  # m/s
    passing: float  # seconds: its middle crosses the middle of the picture
    engine: float  # Hz, of the running engine at rest
    grain: int  # seed of its noise


@dataclass(frozen=True)
class Shot:
    """A part of a clip that is a scene of its own, whose time 0 is `start`."""

    start: float
    scene: Scene


@dataclass(frozen=True)
class Scene:
    """One scene; `sample_scene` draws it, `render_video` and `render_audio` show it."""

    seed: int
    split: str
    kind: str
    seconds: float
    stage: Stage
    balls: tuple[Ball, ...]
    instrument: Instrument | None
    strokes: tuple[Stroke, ...]
    rhythm: str | None
    melody: str | None
    hand: int  # the side from which the mallet comes: -1 left, 1 right
    mallet: str  # "dark" or "cream"
    tuning: float  # factor on all frequencies that are not notes
    room: float  # 0 dry to 1 live
    level: float  # peak of the sound
    camera: Camera
    landscape: Landscape | None = None
    ambience: Ambience | None = None
    vehicle: Vehicle | None = None
    silent: bool = False  # what is seen makes no sound
    shots: tuple[Shot, ...] = ()
    talk: Talk | None = None

    def to_json(self) -> str:
        """The scene as one line of JSON; `from_json` gives back an equal scene."""
        return json.dumps({"world": WORLD_VERSION, **_plain(self)}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Scene:
        """The scene that `to_json` wrote.

        Raises:
            VivaceError: not a scene, one of another version of the world, or one with a value that it cannot have.
        """
        from vivace.world.stored_scene import scene_from  # which knows the words of all parts, and they know scenes

        fields = parsed_object(text, "the scene's JSON", "render the clip again")
        version = fields.pop("world", None)
        if version != WORLD_VERSION:
            told = f"is of world version {version}" if isinstance(version, int) else "names no version of the world"
            raise VivaceError(f"the scene {told}, and this is version {WORLD_VERSION}; render the clip again.")
        return scene_from(fields)


def _plain(scene: Scene) -> dict[str, Any]:
    """The scene's fields; those that only some kinds have are left out where they are at their default."""
    values = dataclasses.asdict(scene)
    for item in dataclasses.fields(Scene):
        if item.default is not dataclasses.MISSING and getattr(scene, item.name) == item.default:
            del values[item.name]
    if scene.talk is not None:
        values["talk"] = plain_talk(scene.talk)
    if scene.shots:
        values["shots"] = [{"start": shot.start, "scene": _plain(shot.scene)} for shot in scene.shots]
    return values
