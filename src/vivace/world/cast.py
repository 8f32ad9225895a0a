"""Who speaks in a scene, and what: plain frozen values, parts of a `Scene`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vivace.world.voices import Voice


@dataclass(frozen=True)
class Character:
    """A talking head with shoulders.

    x: of the head's middle, in [-1, 1] of the picture's width. y: of its middle, in the central square.
    size: half the head's width in lengths of the shorter picture side.
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


def talk_from(fields: Mapping[str, Any] | None) -> Talk | None:
    """The talk that `dataclasses.asdict` took apart."""
    if fields is None:
        return None
    characters = (Character(**{**entry, "voice": Voice(**entry["voice"])}) for entry in fields["characters"])
    lines = (Line(entry["speaker"], tuple(entry["words"]), entry["start"]) for entry in fields["lines"])
    return Talk(tuple(characters), tuple(lines))
