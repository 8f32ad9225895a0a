"""Lasting sounds without a beginning: rain, wind, waves, traffic.

Ours: filtered noise with the few features that an ear tells them apart by. Every sound is made in the order of time
from streams of its own, so that a longer clip begins with the same sound, and none is scaled to the clip's peak: soft
rain stays soft.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.signal import butter, lfilter, sosfilt

from vivace.world.scene import Ambience
from vivace.world.sound_shapes import resonance, wandering

AMBIENCES: tuple[str, ...] = ("rain", "wind", "waves", "traffic")
STRENGTHS: tuple[str, ...] = ("soft", "strong")
# Root mean square at level 1, soft and strong.
_LOUDNESS = {"rain": (0.055, 0.16), "wind": (0.06, 0.17), "waves": (0.06, 0.17), "traffic": (0.06, 0.16)}


def ambience_sound(ambience: Ambience, samples: int, rate: int) -> np.ndarray:
    """The sound from its beginning, [2, samples] at `rate` Hz and level 1; the channels differ as in the open."""
    strong = STRENGTHS.index(ambience.strength)
    rng = np.random.default_rng([72, ambience.grain])
    make = {"rain": _rain, "wind": _wind, "waves": _waves, "traffic": _traffic}[ambience.sound]
    # Rare peaks are rounded off rather than clipped.
    return np.tanh(make(rng, strong, samples, rate) * _LOUDNESS[ambience.sound][strong])


def _noise(rng: np.random.Generator, samples: int) -> np.ndarray:
    """White noise [2, samples] of standard deviation 1: partly the same on both sides, partly each side's own."""
    own = rng.standard_normal((samples, 3)).T
    return 0.8 * own[:2] + 0.6 * own[2]


def _band(sound: np.ndarray, low: float, high: float, rate: int, order: int = 2) -> np.ndarray:
    """Noise of standard deviation 1 between two frequencies in Hz, scaled by the filter's own width (not the sound)."""
    top = min(high, 0.46 * rate)
    sections = butter(order, (low, top), btype="bandpass", fs=rate, output="sos")
    width = (top - low) / (rate / 2)
    passed: np.ndarray = sosfilt(sections, sound, axis=1) / math.sqrt(width)
    return passed


def _rain(rng: np.random.Generator, strong: int, samples: int, rate: int) -> np.ndarray:
    hiss_stream, moment_stream, size_stream = rng.spawn(3)
    hiss = _band(_noise(hiss_stream, samples), 1800, 7600, rate, 1)
    # Single drops: clicks at random moments, each side its own, that ring like a puddle or a pane.
    chance, size = moment_stream.random((samples, 2)).T, size_stream.exponential(1.0, (samples, 2)).T
    per_second = (55.0, 160.0)[strong]
    clicks = (chance < per_second / rate) * size
    drops = np.zeros((2, samples))
    for tone, weight in ((2300.0, 1.0), (3900.0, 0.8), (5600.0, 0.6)):
        drops += resonance(clicks * weight, tone * float(rng.uniform(0.9, 1.1)), 420.0, rate)
    drops *= 0.05 * rate / 16000 / math.sqrt(per_second / rate)
    murmur = _band(_noise(rng, samples), 300, 900, rate, 1)
    return (0.55, 0.75)[strong] * hiss + (0.9, 0.6)[strong] * drops + (0.03, 0.16)[strong] * murmur


def _wind(rng: np.random.Generator, strong: int, samples: int, rate: int) -> np.ndarray:
    air_stream, gust_stream, tone_stream = rng.spawn(3)
    air = _noise(air_stream, samples)
    gusts = np.exp((0.55 + 0.15 * strong) * wandering(gust_stream, samples, rate, 1.6))
    # The howl wanders between four narrow tones: each sounds as far as the wandering place is near to it.
    place = 1.5 + 1.5 * wandering(tone_stream, samples, rate, 1.2)
    base = float(rng.uniform(260, 330)) * (1.0 + 0.25 * strong)
    howl = np.zeros((2, samples))
    for step in range(4):
        tone = base * 1.32**step
        near = np.maximum(0.0, 1 - np.abs(place - step))
        howl += near * _band(air, 0.86 * tone, 1.16 * tone, rate, 1)
    rush = _band(_noise(rng, samples), 110, 420, rate, 1)
    return gusts * (0.8 * howl + 0.45 * rush) * 0.9


def _waves(rng: np.random.Generator, strong: int, samples: int, rate: int) -> np.ndarray:
    low_stream, high_stream = rng.spawn(2)
    times = np.arange(samples) / rate
    period, turn = float(rng.uniform(1.5, 2.6)), float(rng.uniform(0, 1))
    # A wave rises slowly, breaks, and runs out; its hiss comes with the breaking.
    phase = (times / period + turn) % 1
    swell = np.where(phase < 0.45, (phase / 0.45) ** 2, ((1 - phase) / 0.55) ** 1.3)
    breaking = np.where(phase < 0.45, (phase / 0.45) ** 4, ((1 - phase) / 0.55) ** 2)
    rumble = _band(_noise(low_stream, samples), 90, 700, rate, 1)
    hiss = _band(_noise(high_stream, samples), 900, 5200, rate, 1)
    return (0.28 + 1.05 * swell) * rumble * 0.75 + (0.10 + (0.85 + 0.25 * strong) * breaking) * hiss * 0.75


def _traffic(rng: np.random.Generator, strong: int, samples: int, rate: int) -> np.ndarray:
    low_stream, tyre_stream, flow_stream = rng.spawn(3)
    times = np.arange(samples) / rate
    rumble = _band(_noise(low_stream, samples), 45, 170, rate, 1)
    flow = np.exp(0.35 * wandering(flow_stream, samples, rate, 1.0))
    tyres = _band(_noise(tyre_stream, samples), 550, 1250, rate, 1)
    engines = np.zeros((2, samples))
    for _ in range(2 + 2 * strong):
        speed, side = float(rng.uniform(48, 86)), float(rng.uniform(-0.8, 0.8))
        glide = speed * (1 + 0.02 * np.sin(2 * math.pi * rng.uniform(0.2, 0.5) * times + rng.uniform(0, 6)))
        phase = 2 * math.pi * np.cumsum(glide) / rate
        tone = np.sin(phase) + 0.8 * np.sin(2 * phase + 1) + 0.5 * np.sin(3 * phase + 2) + 0.3 * np.sin(5 * phase)
        engines += np.array([[1 - 0.5 * side], [1 + 0.5 * side]]) * tone
    engines /= math.sqrt(2 + 2 * strong)
    dull = lfilter([0.4], [1, -0.6], 0.22 * (1 + strong) * tyres * flow, axis=1)
    return 0.75 * rumble * flow + 0.45 * engines + dull
