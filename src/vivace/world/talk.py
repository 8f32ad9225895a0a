"""Talking scenes: who is in the picture, what they say and when, and how their lips move."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from vivace.world.articulation import TRACK_RATE, Movements, Utterance, movements, utterance
from vivace.world.cast import Character, Line, Talk
from vivace.world.palette import COLOURS, HAIR_RGB, SKINS, are_neighbours
from vivace.world.phones import WORDS
from vivace.world.speech import Spoken, speak
from vivace.world.speech_splits import pair_split, voice_split
from vivace.world.voices import PERSONS, Voice, draw_voice

TWO_SHARE = 0.5
LEAD_IN, LEAD_OUT = 0.12, 0.12  # seconds before the first phone and after the last
# People begin to talk soon and answer soon: no caption tells when, and what cannot be told must be guessed.
_HESITATION = 0.1  # seconds at most before the first line
_PAUSES = 0.2, 0.3  # seconds between lines
MOST_LINES = 4
_TRIES = 6  # drawings of lines among which the one that fewest events disturb is taken
_UNSEEN_SHARE = 0.5  # of voices and of word pairs in val and test
STYLES: dict[str, tuple[str, ...]] = {
    "man": ("short", "short", "curly", "bald", "long"),
    "woman": ("long", "long", "bun", "curly", "short"),
    "child": ("short", "curly", "long", "bun"),
}
_HEADS = {"man": ("square", "long", "round"), "woman": ("round", "long"), "child": ("round",)}
_WORDS = tuple(WORDS)


def draw_talk(rng: np.random.Generator, split: str, seconds: float, two: bool | None = None) -> Talk:
    """One or two characters and their lines, which fit `seconds`; `two` None draws the number of characters."""
    if two is None:
        two = bool(rng.random() < TWO_SHARE)
    characters = _pair(rng, split) if two else (draw_character(rng, split, float(rng.uniform(-0.3, 0.3)), False),)
    while True:
        lines = draw_lines(rng, split, characters, seconds)
        # With two in the picture usually both speak, yet not always: then the silent one must keep the mouth shut.
        if lines and (not two or len({line.speaker for line in lines}) == 2 or rng.random() < 0.25):
            return Talk(characters, lines)


def draw_talk_beside(rng: np.random.Generator, split: str, seconds: float, side: int, events: list[float]) -> Talk:
    """One character at the left (-1) or right (1), whose lines keep clear of most `events` (seconds)."""
    character = draw_character(rng, split, side * float(rng.uniform(0.46, 0.52)), True)
    best: tuple[int, tuple[Line, ...]] | None = None
    for _ in range(_TRIES):
        lines: tuple[Line, ...] = ()
        while not lines:
            lines = draw_lines(rng, split, (character,), seconds, most=2)
        # Not always first: what sounds beside them may be over before.
        end = lines[-1].start + utterance(lines[-1].words, character.voice).seconds
        later = float(rng.uniform(0, max(seconds - LEAD_OUT - end, 0.0)))
        lines = tuple(replace(line, start=round(line.start + later, 3)) for line in lines)
        spans = [(line.start, line.start + utterance(line.words, character.voice).seconds) for line in lines]
        covered = sum(start - 0.05 < event < end + 0.05 for event in events for start, end in spans)
        if best is None or covered < best[0]:
            best = covered, lines
    assert best is not None
    return Talk((character,), best[1])


def _pair(rng: np.random.Generator, split: str) -> tuple[Character, Character]:
    """Two who cannot be mistaken for one another, by clothes and by hair or person."""
    places = float(rng.uniform(-0.54, -0.44)), float(rng.uniform(0.44, 0.54))
    while True:
        left, right = (draw_character(rng, split, x, True) for x in places)
        if not are_neighbours(left.clothes, right.clothes) and left.hair != right.hair:
            return left, right


def draw_character(rng: np.random.Generator, split: str, x: float, small: bool) -> Character:
    """Somebody whose head's middle is at `x`; `small` leaves room for something beside."""
    person = str(rng.choice(list(PERSONS), p=[0.4, 0.4, 0.2]))
    low, high = (0.160, 0.178) if small else (0.185, 0.225)
    size = float(rng.uniform(low, high)) * (0.95 if person == "child" else 1.0)
    style = str(rng.choice(STYLES[person]))
    old = person != "child"
    return Character(
        person=person,
        x=_round(x),
        y=_round(rng.uniform(0.42, 0.48) + (0.05 if person == "child" else 0.0)),
        size=_round(size),
        head=str(rng.choice(_HEADS[person])),
        skin=int(rng.integers(len(SKINS))),
        hair=str(rng.choice([name for name in HAIR_RGB if old or name != "white"])),
        style=style,
        glasses=bool(rng.random() < (0.35 if old else 0.15)),
        beard=bool(person == "man" and rng.random() < 0.35),
        clothes=str(rng.choice(list(COLOURS))),
        voice=_voice(rng, split, person),
        manner=int(rng.integers(2**31)),
    )


def _round(value: float) -> float:
    return round(float(value), 4)


def _voice(rng: np.random.Generator, split: str, person: str) -> Voice:
    wanted = split if split != "train" and rng.random() < _UNSEEN_SHARE else "train"
    while True:
        voice = draw_voice(rng, person)
        if voice_split(voice) == wanted:
            return voice


def draw_lines(
    rng: np.random.Generator, split: str, characters: tuple[Character, ...], seconds: float, most: int = MOST_LINES
) -> tuple[Line, ...]:
    """Lines one after another until their number is reached or the time is used up."""
    wanted = min(int(rng.choice([1, 2, 3, 4], p=[0.3, 0.4, 0.2, 0.1])), most)
    speaker = int(rng.integers(len(characters)))
    lines: list[Line] = []
    now = LEAD_IN + float(rng.uniform(0, _HESITATION))
    while len(lines) < wanted:
        words = _words(rng, split, int(rng.choice([1, 2, 3], p=[0.35, 0.4, 0.25])))
        length = utterance(words, characters[speaker].voice).seconds
        if now + length > seconds - LEAD_OUT:
            break
        # Whole milliseconds, so that every line starts on a sample.
        lines.append(Line(speaker, words, round(now, 3)))
        now += length + float(rng.uniform(*_PAUSES))
        speaker = int(rng.integers(len(characters))) if rng.random() < 0.2 else (speaker + 1) % len(characters)
    return tuple(lines)


def _words(rng: np.random.Generator, split: str, count: int) -> tuple[str, ...]:
    """Different words, whose neighbours form only pairs that the split may use."""
    unseen = split != "train" and rng.random() < _UNSEEN_SHARE
    while True:
        words = tuple(str(word) for word in rng.choice(_WORDS, count, replace=False))
        kinds = {pair_split(*pair) for pair in pairwise(words)}
        if kinds <= {"train", split} and (count == 1 or unseen == (split in kinds and split != "train")):
            return words


def line_utterance(talk: Talk, line: Line) -> Utterance:
    """When the words and phones of this line are spoken, in seconds from its start."""
    return utterance(line.words, talk.characters[line.speaker].voice)


def line_movements(talk: Talk, line: Line) -> Movements:
    """How the speaker of this line moves."""
    return movements(line_utterance(talk, line), talk.characters[line.speaker].voice)


def spoken_line(talk: Talk, number: int, seed: int, rate: int) -> Spoken:
    """The sound of line `number`, counted from 0; `seed` is the scene's."""
    line = talk.lines[number]
    return speak(line.words, talk.characters[line.speaker].voice, seed * MOST_LINES + number, rate)


def lips(talk: Talk, times: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Per character the opening (0 to 1) and width (-1 to 1) of its lips at `times` in seconds, each [T]."""
    found = [(np.zeros(len(times)), np.zeros(len(times))) for _ in talk.characters]
    for line in talk.lines:
        moved = line_movements(talk, line)
        at = np.arange(len(moved.opening)) / TRACK_RATE + moved.start + line.start
        opening, width = found[line.speaker]
        opening += np.interp(times, at, moved.opening, left=0.0, right=0.0)
        width += np.interp(times, at, moved.width, left=0.0, right=0.0)
    return found
