"""From words to movements: when each phone is spoken, and how formants, sources, pitch and lips move.

Movements are the targets of `vivace.world.phones`, smoothed over a time that suits each organ; neighbours blend into
each other thereby (coarticulation).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from vivace.errors import VivaceError
from vivace.world.phones import PHONES, WORDS, Phone, Segment
from vivace.world.voices import Voice

TRACK_RATE = 1000  # Hz of all movements
WORD_GAP = 0.045  # seconds at rate 1
# Seconds over which a target is reached: formants, voice, aspiration and frication, lips.
_TRACT, _VOICE, _NOISE, _LIPS = 0.066, 0.022, 0.007, 0.09
_EDGE = 0.06  # movements are computed this long before and after the words


@dataclass(frozen=True)
class PhoneTime:
    """One phone, with seconds from the start of its utterance."""

    phone: str
    word: int
    start: float
    end: float


@dataclass(frozen=True)
class WordTime:
    """One word, with seconds from the start of its utterance."""

    word: str
    start: float
    end: float


@dataclass(frozen=True)
class Movements:
    """All movements at `TRACK_RATE`, the first `_EDGE` seconds before the utterance starts; each array [N] or [N, 3].

    start: seconds of the first value, from the start of the utterance (negative).
    formants: Hz [N, 3], the voice's tract applied.
    noise: centre and width of the frication's band in Hz [N, 2].
    semitones: the fundamental relative to the voice's pitch.
    opening, width: the lips, 0 to 1 and -1 to 1.
    """

    start: float
    formants: np.ndarray
    voicing: np.ndarray
    aspiration: np.ndarray
    frication: np.ndarray
    noise: np.ndarray
    nasal: np.ndarray
    zero: np.ndarray
    semitones: np.ndarray
    opening: np.ndarray
    width: np.ndarray


@dataclass(frozen=True)
class Utterance:
    """Words in a voice, timed. `seconds` is the length from the first word's start to the last one's end."""

    words: tuple[WordTime, ...]
    phones: tuple[PhoneTime, ...]
    seconds: float


def utterance(words: Sequence[str], voice: Voice) -> Utterance:
    """When each word and phone is spoken; a function of words and voice alone.

    Raises:
        VivaceError: no words, or one that the world cannot speak.
    """
    check_words(words)
    phones: list[PhoneTime] = []
    timed: list[WordTime] = []
    now = 0.0
    for number, word in enumerate(words):
        if number:
            now += WORD_GAP / voice.rate
        begin = now
        for name, seconds in zip(WORDS[word], _lengths(word, number == len(words) - 1, voice), strict=True):
            phones.append(PhoneTime(name, number, round(now, 6), round(now + seconds, 6)))
            now += seconds
        timed.append(WordTime(word, round(begin, 6), round(now, 6)))
    return Utterance(tuple(timed), tuple(phones), round(now, 6))


def check_words(words: Sequence[str]) -> None:
    """Raises VivaceError unless there are words and the world can speak each of them."""
    if not words:
        raise VivaceError("there are no words to speak; give at least one.")
    for word in words:
        if word not in WORDS:
            raise VivaceError(f"the word {word!r} is not in the world's vocabulary; use one of {', '.join(WORDS)}.")


def _lengths(word: str, last: bool, voice: Voice) -> list[float]:
    """Seconds of each phone: long words hurry a little, and the last vowel of an utterance is drawn out."""
    phones = [PHONES[name] for name in WORDS[word]]
    hurry = 1.12 - 0.06 * len(phones)
    final = max((i for i, phone in enumerate(phones) if phone.vowel), default=-1)
    lengths = []
    for i, phone in enumerate(phones):
        wanted = hurry / voice.rate * (1.22 if last and i == final else 1.0)
        lengths.append(phone.seconds * (1 + phone.stretch * (wanted - 1)))
    return lengths


@lru_cache(maxsize=64)
def _window(seconds: float) -> np.ndarray:
    count = max(round(seconds * TRACK_RATE) | 1, 1)
    window: np.ndarray = np.hanning(count + 2)[1:-1]
    return window / window.sum()


def _smooth(track: np.ndarray, seconds: float) -> np.ndarray:
    """The track with its jumps spread over `seconds`; its ends are held."""
    window = _window(seconds)
    half = len(window) // 2
    return np.convolve(np.pad(track, half, mode="edge"), window, mode="valid")


def movements(spoken: Utterance, voice: Voice) -> Movements:
    """Every organ's movement while `spoken` is said."""
    segments, starts = _segments(spoken)
    count = math.ceil((spoken.seconds + 2 * _EDGE) * TRACK_RATE) + 1
    times = np.arange(count) / TRACK_RATE - _EDGE
    at = np.clip(np.searchsorted(starts, times + 1e-9, side="right") - 1, 0, len(segments) - 1)

    def track(values: list[float], seconds: float) -> np.ndarray:
        return _smooth(np.asarray(values, dtype=np.float64)[at], seconds)

    places, lips = _filled(segments)
    voicing = track([segment.voicing for segment in segments], _VOICE)
    noises = _noises(segments, places)
    return Movements(
        start=-_EDGE,
        formants=np.stack([track([place[k] for place in places], _TRACT) for k in range(3)], axis=1) * voice.tract,
        voicing=voicing,
        aspiration=track([segment.aspiration for segment in segments], _NOISE * 2),
        frication=track([segment.frication for segment in segments], _NOISE),
        noise=np.array(noises)[at] * voice.tract,
        nasal=track([segment.nasal for segment in segments], _VOICE),
        zero=track([segment.zero for segment in segments], _TRACT) * voice.tract,
        semitones=_melody(spoken, voice, times, voicing > 0.3),
        opening=track([lip[0] for lip in lips], _LIPS),
        width=track([lip[1] for lip in lips], _LIPS),
    )


_REST = Segment(0.0, None)  # between and around words: closed lips, no sound


def _segments(spoken: Utterance) -> tuple[list[Segment], np.ndarray]:
    """The segments in order, rests included, and the start of each in seconds."""
    found, starts = [_REST], [-10.0]
    for number, phone in enumerate(spoken.phones):
        plain: Phone = PHONES[phone.phone]
        pace = (phone.end - phone.start) / plain.seconds
        now = phone.start
        for segment in plain.segments:
            found.append(segment)
            starts.append(now)
            now += segment.seconds * pace
        follower = spoken.phones[number + 1] if number + 1 < len(spoken.phones) else None
        if follower is None or follower.word != phone.word:
            found.append(_REST)
            starts.append(phone.end)
    return found, np.array(starts)


def _filled(segments: list[Segment]) -> tuple[list[tuple[float, float, float]], list[tuple[float, float]]]:
    """Formants and lips of each segment; what a segment leaves open it takes from the next, else from the one before.

    Lips are closed at rest, and a noise or breath before a vowel opens them only in part.
    """
    places: list[tuple[float, float, float] | None] = [segment.formants for segment in segments]
    lips: list[tuple[float, float] | None] = [segment.lips for segment in segments]
    for i in range(len(segments) - 1, -1, -1):
        rest = segments[i] is _REST
        if places[i] is None and i + 1 < len(segments):
            places[i] = places[i + 1]
        if rest:
            lips[i] = (0.0, 0.0)
        elif lips[i] is None and i + 1 < len(segments):
            opening, width = lips[i + 1] or (0.0, 0.0)
            lips[i] = (0.35 * opening + 0.1, width)
    last = (500.0, 1500.0, 2500.0)
    known: list[tuple[float, float, float]] = []
    for place in places:
        last = place or last
        known.append(last)
    return known, [lip or (0.0, 0.0) for lip in lips]


def _noises(segments: list[Segment], places: list[tuple[float, float, float]]) -> list[tuple[float, float]]:
    """Centre and width of each segment's frication; where none sounds, those of the nearest that does."""
    found: list[tuple[float, float]] = []
    previous = (4000.0, 2000.0)
    for i, segment in enumerate(segments):
        if segment.noise is not None:
            # A velar burst sits at the second formant of its neighbour.
            beside = places[i + 2] if i + 2 < len(places) else places[i]
            centre = segment.noise.centre or 1.08 * beside[1]
            previous = (centre, segment.noise.width)
        found.append(previous)
    return found


def _melody(spoken: Utterance, voice: Voice, times: np.ndarray, sounding: np.ndarray) -> np.ndarray:
    """Semitones from the voice's pitch: falling over the utterance, a rise on each word, vibrato; median 0."""
    share = np.clip(times / max(spoken.seconds, 1e-6), 0, 1)
    curve = -2.4 * share - 1.0 * np.clip((share - 0.8) / 0.2, 0, 1)
    for number, word in enumerate(spoken.words):
        middle = word.start + 0.4 * (word.end - word.start)
        spread = 0.45 * (word.end - word.start)
        curve = curve + (1.7 if number == 0 else 1.2) * np.exp(-(((times - middle) / spread) ** 2))
    curve = voice.melody * curve + voice.vibrato * np.sin(2 * math.pi * 5.3 * times)
    return curve - float(np.median(curve[sounding]))
