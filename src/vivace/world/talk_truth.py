"""What is true about the talk of a rendered clip: every line, word and phone, every mouth."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from vivace.world.articulation import PhoneTime, WordTime
from vivace.world.cast import Character, Talk
from vivace.world.characters import MOUTH_HALF_WIDTH, mouth_place
from vivace.world.layout import view_at
from vivace.world.scene import Scene
from vivace.world.speech_splits import has_unseen_pair, has_unseen_voice
from vivace.world.talk import line_utterance, lips

Timed = TypeVar("Timed", WordTime, PhoneTime)
MIDDLE = 0.4  # |x| from which a character stands at the left or right


@dataclass(frozen=True)
class LineTruth:
    """One span of speech; all times in seconds of the clip. `words` and `phones` cover it."""

    speaker: int  # index into the speakers
    text: str
    start: float
    end: float
    words: tuple[WordTime, ...]
    phones: tuple[PhoneTime, ...]


@dataclass(frozen=True)
class SpeakerTruth:
    """A character, speaking or not, with its mouth at each picture.

    place: "left", "middle" or "right". mouth: the middle of the lips as (x, y) in [-1, 1] of the picture, y downwards.
    mouth_size: half the width of the resting lips in lengths of the shorter picture side.
    opening: 0 closed to 1 widest. width: -1 rounded to 1 spread.
    """

    character: Character
    place: str
    mouth: tuple[tuple[float, float], ...]
    mouth_size: float
    opening: tuple[float, ...]
    width: tuple[float, ...]


@dataclass(frozen=True)
class TalkTruth:
    """All speakers from left to right and all lines in order of time.

    `unseen_pair`, `unseen_voice`: whether training never has two words in this order, or this voice.
    """

    speakers: tuple[SpeakerTruth, ...]
    lines: tuple[LineTruth, ...]
    unseen_pair: bool
    unseen_voice: bool


def place_of(character: Character) -> str:
    """Where in the picture the character is: "left", "middle" or "right"."""
    return "left" if character.x <= -MIDDLE else "right" if character.x >= MIDDLE else "middle"


def talk_truth(scene: Scene, talk: Talk, times: np.ndarray, seconds: float, height: int, width: int) -> TalkTruth:
    """The truth about the scene's talk as shown at `times` (seconds, [frames]); lines after `seconds` are left out."""
    speakers = []
    for character, (opening, breadth) in zip(talk.characters, lips(talk, times), strict=True):
        beside, below = mouth_place(character, times)
        path = []
        for time, dx, dy in zip(times, beside, below, strict=True):
            view = view_at(scene, float(time), height, width)
            unit = view.scale * character.size
            x, y = view.screen(view.column(character.x) + float(dx) * unit, view.row(character.y) + float(dy) * unit)
            path.append((round(x, 5), round(y, 5)))
        speakers.append(
            SpeakerTruth(
                character,
                place_of(character),
                tuple(path),
                round(MOUTH_HALF_WIDTH * character.size, 5),
                tuple(round(float(value), 4) for value in opening),
                tuple(round(float(value), 4) for value in breadth),
            )
        )
    lines = []
    for line in talk.lines:
        if line.start >= seconds:
            break
        spoken = line_utterance(talk, line)
        lines.append(
            LineTruth(
                line.speaker,
                " ".join(line.words),
                line.start,
                round(line.start + spoken.seconds, 6),
                tuple(_later(word, line.start) for word in spoken.words),
                tuple(_later(phone, line.start) for phone in spoken.phones),
            )
        )
    return TalkTruth(tuple(speakers), tuple(lines), has_unseen_pair(talk), has_unseen_voice(talk))


def _later(timed: Timed, seconds: float) -> Timed:
    return dataclasses.replace(timed, start=round(timed.start + seconds, 6), end=round(timed.end + seconds, 6))
