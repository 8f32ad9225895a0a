"""Voices: points of a continuous space."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

LOWEST_PITCH, HIGHEST_PITCH = 80.0, 300.0  # Hz
SHORTEST_TRACT, LONGEST_TRACT = 0.85, 1.25  # factor on all formants; a long vocal tract has low ones
# Pitch (Hz) and formant factor of three sorts of person; they overlap, as people's do.
PERSONS: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "man": ((80.0, 165.0), (0.85, 1.0)),
    "woman": ((150.0, 260.0), (0.98, 1.14)),
    "child": ((215.0, 300.0), (1.11, 1.25)),
}


@dataclass(frozen=True)
class Voice:
    """How somebody sounds, whatever they say."""

    pitch: float  # Hz, the median of the fundamental
    tract: float  # factor on all formants
    breath: float  # 0 clear to 1 breathy
    rate: float  # factor on the speed
    vibrato: float  # semitones
    brightness: float  # -1 dull to 1 bright
    melody: float  # factor on the rise and fall of the fundamental


def draw_voice(rng: np.random.Generator, person: str) -> Voice:
    """A voice that suits a "man", "woman" or "child"; pitch is uniform on a scale of octaves."""
    (low, high), tract = PERSONS[person]
    return Voice(
        pitch=round(float(np.exp(rng.uniform(math.log(low), math.log(high)))), 2),
        tract=round(float(rng.uniform(*tract)), 4),
        breath=round(float(rng.uniform(0, 1) ** 1.5), 4),
        rate=round(float(rng.uniform(0.9, 1.2)), 4),
        vibrato=round(float(rng.uniform(0, 0.35)), 4),
        brightness=round(float(rng.uniform(-1, 1)), 4),
        melody=round(float(rng.uniform(0.4, 1.3)), 4),
    )
