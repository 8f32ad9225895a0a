"""Who speaks in a scene, and what: plain frozen values, parts of a `Scene`."""

from __future__ import annotations

from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any

from vivace.world.voices import Voice


@dataclass(frozen=True)
class Character:
    """A talking head with shoulders.

    x: of the head's middle, in [-1, 1] of the picture's width. y: of its middle, in the central square.
    size: half the head's width in lengths of the shorter picture side.
    accessory: "cap", "headband", "earrings" or none; accent: its colour.
    pattern: of the clothes, "striped", "collared" or plain. turn: of the head, -1 left to 1 right of us.
    light: where it comes from, -1 left to 1 right.
    """

    person: str  # a key of `voices.PERSONS`
    x: float
    y: float
    size: float
    head: str
    skin: int
    hair: str
    style: str
    glasses: bool
    beard: bool
    clothes: str
    voice: Voice
    manner: int  # seed of blinking and swaying
    accessory: str = ""
    accent: str = ""
    pattern: str = ""
    turn: float = 0.0
    light: float = 0.0


_DEFAULTS = {field.name: field.default for field in fields(Character) if field.default is not MISSING}


@dataclass(frozen=True)
class Line:
    """What one character says in one breath; `start` is the first phone's time in seconds."""

    speaker: int
    words: tuple[str, ...]
    start: float


@dataclass(frozen=True)
class Talk:
    """The characters from left to right, and their lines in order of time."""

    characters: tuple[Character, ...]
    lines: tuple[Line, ...]


def plain_talk(talk: Talk) -> dict[str, Any]:
    """The talk as plain values; what a character has at its default is left out, so that old scenes stay as written."""
    values = asdict(talk)
    values["characters"] = [
        {name: value for name, value in entry.items() if name not in _DEFAULTS or value != _DEFAULTS[name]}
        for entry in values["characters"]
    ]
    return values
