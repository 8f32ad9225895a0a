"""Speech of the world for the small models of voices and words: many voices, several utterances of each."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from vivace.training.workers import ordered_map
from vivace.world.phones import WORDS
from vivace.world.speech import SPEECH_RATE, speak
from vivace.world.speech_splits import pair_split, voice_split
from vivace.world.splits import SPLITS
from vivace.world.voices import PERSONS, Voice, draw_voice

_STREAM = 4041  # no other stream of the world begins with this number


class SpeechSource(BaseModel):
    """Which voices say how much. All of voice v is a function of (split, seed, v)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    voices: int = Field(gt=1)
    utterances: int = Field(default=8, gt=1, description="of each voice")
    most_words: int = Field(default=3, gt=0, description="in an utterance")
    split: Literal["train", "val", "test"] = "train"
    seed: int = Field(default=0, ge=0)


@dataclass(frozen=True)
class SaidWord:
    """A word of the vocabulary, with seconds from the beginning of the utterance's sound."""

    word: str
    start: float
    end: float


@dataclass(frozen=True)
class Said:
    """One utterance.

    Args:
        voice: number of the voice in its source. pitch: its median fundamental, Hz.
        words: in order of time.
        sound: mono float32 [N] at 16 kHz.
    """

    voice: int
    pitch: float
    words: tuple[SaidWord, ...]
    sound: np.ndarray


def speech(source: SpeechSource, workers: int = 1) -> list[Said]:
    """All utterances of a source, voice by voice."""
    jobs = [(source, voice) for voice in range(source.voices)]
    return [said for group in ordered_map(_utterances, jobs, workers) for said in group]


def _utterances(job: tuple[SpeechSource, int]) -> list[Said]:
    source, number = job
    rng = np.random.default_rng([_STREAM, SPLITS.index(source.split), source.seed, number])
    voice = _voice(rng, source.split)
    said = []
    for _ in range(source.utterances):
        words = _words(rng, source)
        spoken = speak(words, voice, int(rng.integers(2**31)), SPEECH_RATE)
        times = tuple(SaidWord(w.word, w.start - spoken.start, w.end - spoken.start) for w in spoken.utterance.words)
        said.append(Said(number, voice.pitch, times, spoken.sound.astype(np.float32)))
    return said


def _voice(rng: np.random.Generator, split: str) -> Voice:
    while True:
        voice = draw_voice(rng, list(PERSONS)[int(rng.integers(len(PERSONS)))])
        if voice_split(voice) == split:
            return voice


def _words(rng: np.random.Generator, source: SpeechSource) -> tuple[str, ...]:
    """Words, repetitions allowed, whose neighbours form only pairs that the split may use."""
    while True:
        words = tuple(str(word) for word in rng.choice(list(WORDS), int(rng.integers(1, source.most_words + 1))))
        if {pair_split(*pair) for pair in pairwise(words)} <= {"train", source.split}:
            return words


def by_voice(said: list[Said]) -> list[list[Said]]:
    """The utterances of each voice."""
    groups: dict[int, list[Said]] = {}
    for utterance in said:
        groups.setdefault(utterance.voice, []).append(utterance)
    return list(groups.values())


def stretch_of(utterances: list[Said], samples: int, rng: np.random.Generator) -> np.ndarray:
    """So much speech of one voice, from any point of its utterances on, put together in random order. [samples]"""
    parts: list[np.ndarray] = []
    first = None
    while first is None or sum(map(len, parts)) < samples + first:
        parts += [utterances[k].sound for k in rng.permutation(len(utterances))]
        first = int(rng.integers(len(parts[0]))) if first is None else first
    return np.concatenate(parts)[first : first + samples]


def recorded(sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As some microphone would have taken it: another level, noise 15 to 50 dB below it, a narrower band. [N]"""
    level = np.sqrt(np.mean(sound**2)) + 1e-6
    if rng.random() < 0.7:
        sound = sound + coloured_noise(len(sound), rng) * level * 10 ** (-rng.uniform(15, 50) / 20)
    if rng.random() < 0.3:
        sound = low_passed(sound, float(rng.uniform(3000, 7500)))
    return (sound * 10 ** (rng.uniform(-18, 6) / 20)).astype(np.float32)


def coloured_noise(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Noise of RMS 1 between white and brown, [samples]."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    spectrum *= np.maximum(np.arange(len(spectrum)), 1) ** -float(rng.uniform(0, 1))
    spectrum[0] = 0
    noise = np.fft.irfft(spectrum, samples)
    return noise / (np.sqrt(np.mean(noise**2)) + 1e-9)


def low_passed(sound: np.ndarray, hertz: float) -> np.ndarray:
    """Without what lies above, falling by 24 dB an octave. [N]"""
    spectrum = np.fft.rfft(sound)
    frequencies = np.fft.rfftfreq(len(sound), 1 / SPEECH_RATE)
    return np.fft.irfft(spectrum / np.sqrt(1 + (frequencies / hertz) ** 8), len(sound))
