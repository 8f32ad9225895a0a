"""Voice-like syllables, tones and chords, wind and rain, sweeps, clicks and silence."""

from __future__ import annotations

import math

import numpy as np
from scipy.signal import lfilter

from vivace.world.sound import panned

# Formants F1, F2, F3 in Hz of vowels, for a middle-sized vocal tract.
_VOWELS = (
    (730, 1090, 2440),
    (270, 2290, 3010),
    (300, 870, 2240),
    (530, 1840, 2480),
    (570, 840, 2410),
    (490, 1350, 1690),
)
_CHORDS = ((0, 4, 7), (0, 3, 7), (0, 5, 9), (0, 7, 12), (0,), (0, 12))


def variety_audio(seed: int, samples: int, sample_rate: int) -> np.ndarray:
    """A sound for codec training, float32 stereo [2, samples] in [-1, 1]; the same seed gives the same sound.

    One or two of: a voice speaking syllables, sustained tones, filtered noise, a sweep, clicks; now and then silence.
    """
    rng = np.random.default_rng([202, seed])
    total = np.zeros((2, samples))
    makers = (_voice, _voice, _tones, _noise, _sweep, _clicks)
    for layer in range(1 + int(rng.random() < 0.35)):
        maker = makers[int(rng.integers(len(makers)))]
        mono = maker(rng, samples, sample_rate)
        mono = mono / max(float(np.abs(mono).max(initial=0.0)), 1e-9)
        total += panned(mono, float(rng.uniform(-1, 1))) * (1.0 if layer == 0 else rng.uniform(0.1, 0.6))
    if rng.random() < 0.12:
        edge = int(rng.integers(samples // 4, samples))
        total[:, edge:] = 0 if rng.random() < 0.3 else total[:, edge:] * np.exp(-np.arange(samples - edge) / 400)
    level = 0.0 if rng.random() < 0.02 else float(rng.uniform(0.15, 0.85))
    return (total * (level / max(float(np.abs(total).max(initial=0.0)), 1e-9))).astype(np.float32)


def _smooth(rng: np.random.Generator, samples: int, rate: int, per_second: float) -> np.ndarray:
    """A slowly wandering curve in [-1, 1], [samples]."""
    knots = rng.uniform(-1, 1, int(samples / rate * per_second) + 4)
    return np.interp(np.arange(samples) / rate * per_second, np.arange(len(knots)), knots)


def _resonate(sound: np.ndarray, frequency: float, bandwidth: float, rate: int) -> np.ndarray:
    """A two-pole resonator with unit gain at 0 Hz."""
    radius = math.exp(-math.pi * bandwidth / rate)
    feedback = (1.0, -2 * radius * math.cos(2 * math.pi * frequency / rate), radius**2)
    return lfilter([sum(feedback)], feedback, sound)


def _voice(rng: np.random.Generator, samples: int, rate: int) -> np.ndarray:
    pitch = float(np.exp(rng.uniform(math.log(85), math.log(330))))
    tract = float(np.clip((pitch / 150) ** 0.25 * rng.uniform(0.92, 1.08), 0.8, 1.35))
    glide = pitch * (1 + 0.14 * _smooth(rng, samples, rate, 4) + 0.012 * np.sin(np.arange(samples) / rate * 33))
    phase = np.cumsum(glide) / rate
    # A glottal flow with a soft opening and a quick closing; its derivative is what excites the tract.
    cycle = phase % 1.0
    flow = np.where(cycle < 0.6, 0.5 - 0.5 * np.cos(math.pi * cycle / 0.6), np.maximum(1 - (cycle - 0.6) / 0.12, 0))
    source = np.diff(flow, prepend=0.0) + rng.uniform(0.002, 0.02) * rng.standard_normal(samples) * glide.mean() / rate
    out = np.zeros(samples)
    place = int(rng.uniform(0, 0.15) * rate)
    while place < samples:
        length = int(rng.uniform(0.09, 0.32) * rate)
        vowel = np.array(_VOWELS[int(rng.integers(len(_VOWELS)))]) * tract
        stretch = slice(place, min(place + length, samples))
        count = stretch.stop - stretch.start
        sound = source[stretch]
        for formant, width in zip(vowel, (70, 100, 150), strict=True):
            if formant < 0.45 * rate:
                sound = _resonate(sound, float(formant), width, rate)
        rise = np.minimum(np.arange(count) / (0.02 * rate), 1) * np.minimum(
            (count - np.arange(count)) / (0.04 * rate), 1
        )
        out[stretch] += sound / max(float(np.abs(sound).max(initial=0.0)), 1e-9) * rise * rng.uniform(0.5, 1)
        if rng.random() < 0.45:
            _consonant(rng, out, max(place - int(0.05 * rate), 0), rate)
        place += length + int(rng.choice([0.02, 0.05, 0.12, 0.3], p=[0.4, 0.3, 0.2, 0.1]) * rate)
    return out


def _consonant(rng: np.random.Generator, out: np.ndarray, place: int, rate: int) -> None:
    """Add a hiss or a burst before a vowel."""
    count = min(int(rng.uniform(0.015, 0.09) * rate), len(out) - place)
    if count > 0:
        hiss = np.diff(rng.standard_normal(count + 1)) if rng.random() < 0.6 else rng.standard_normal(count)
        hiss = _resonate(hiss, float(rng.uniform(0.12, 0.42) * rate), 1500, rate)
        out[place : place + count] += 0.3 * hiss / (np.abs(hiss).max() + 1e-9) * np.hanning(count)


def _tones(rng: np.random.Generator, samples: int, rate: int) -> np.ndarray:
    times = np.arange(samples) / rate
    root = float(np.exp(rng.uniform(math.log(70), math.log(1100))))
    sound = np.zeros(samples)
    vibrato = rng.uniform(0, 0.006) * np.sin(2 * math.pi * rng.uniform(4, 7) * times)
    for step in _CHORDS[int(rng.integers(len(_CHORDS)))]:
        phase = 2 * math.pi * root * 2 ** (step / 12) * np.cumsum(1 + vibrato) / rate
        darkness = rng.uniform(0.8, 2.2)
        for harmonic in range(1, 13):
            if harmonic * root * 2 ** (step / 12) < 0.45 * rate:
                sound += harmonic**-darkness * np.sin(harmonic * phase + rng.uniform(0, 6))
    if rng.random() < 0.5:
        gate = rng.uniform(0.2, 0.7)
        sound *= np.exp(-(times % gate) * rng.uniform(0, 8)) * np.minimum((times % gate) / 0.008, 1)
    return sound * (0.75 + 0.25 * _smooth(rng, samples, rate, 5))


def _noise(rng: np.random.Generator, samples: int, rate: int) -> np.ndarray:
    white = rng.standard_normal(samples)
    if rng.random() < 0.5:
        # Wind: a resonance that wanders, in short overlapping steps.
        step, out = int(0.05 * rate), np.zeros(samples)
        wander = _smooth(rng, samples, rate, 3)
        window = np.hanning(2 * step)
        for start in range(0, samples, step):
            stop = min(start + 2 * step, samples)
            tone = 500 * 2 ** (1.6 * wander[start])
            out[start:stop] += _resonate(white[start:stop], tone, 0.4 * tone, rate) * window[: stop - start]
        return out * (0.6 + 0.4 * _smooth(rng, samples, rate, 2))
    rain = np.diff(white, prepend=0.0) * rng.uniform(0.1, 0.4)
    drops = rng.random(samples) < rng.uniform(20, 200) / rate
    return rain + _resonate(drops * rng.uniform(0.5, 3, samples), float(rng.uniform(1200, 5000)), 900, rate) * 8


def _sweep(rng: np.random.Generator, samples: int, rate: int) -> np.ndarray:
    low, high = math.log(rng.uniform(60, 400)), math.log(rng.uniform(800, 0.42 * rate))
    path = np.linspace(low, high, samples) if rng.random() < 0.5 else np.linspace(high, low, samples)
    path = path + 0.3 * _smooth(rng, samples, rate, 4)
    return np.sin(2 * math.pi * np.cumsum(np.minimum(np.exp(path), 0.45 * rate)) / rate)


def _clicks(rng: np.random.Generator, samples: int, rate: int) -> np.ndarray:
    out = np.zeros(samples)
    for place in rng.integers(0, samples, int(rng.integers(1, 14))):
        count = min(int(rng.uniform(0.001, 0.09) * rate), samples - int(place))
        if count > 0:
            decay = np.exp(-np.arange(count) / count * 6)
            burst = (
                rng.standard_normal(count) if rng.random() < 0.5 else np.cos(np.arange(count) * rng.uniform(0.1, 2.6))
            )
            out[place : place + count] += burst * decay * rng.uniform(0.3, 1)
    return out
