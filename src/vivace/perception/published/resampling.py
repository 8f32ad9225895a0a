"""One way for all published networks to get sound and pictures at the rates that they were trained on."""

from __future__ import annotations

from math import gcd

import numpy as np
from scipy.signal import resample, resample_poly


def mono_at(audio: np.ndarray, sample_rate: int, rate: int) -> np.ndarray:
    """Mean of the channels of [C, N] at `rate`, float32 [N']; polyphase."""
    sound = np.asarray(audio, dtype=np.float64).mean(axis=0)
    if sample_rate != rate:
        divisor = gcd(sample_rate, rate)
        sound = resample_poly(sound, rate // divisor, sample_rate // divisor)
    return np.asarray(sound, dtype=np.float32)


def mono_at_by_fourier(audio: np.ndarray, sample_rate: int, rate: int) -> np.ndarray:
    """The same by one Fourier transform of the whole sound, as Seed-TTS does it."""
    sound = np.asarray(audio, dtype=np.float64).mean(axis=0)
    if sample_rate != rate:
        sound = resample(sound, max(1, round(len(sound) * rate / sample_rate)))
    return np.asarray(sound, dtype=np.float32)


def peak_at(sound: np.ndarray, level: float) -> np.ndarray:
    """The sound with its highest sample at `level` dBFS; silence stays silence."""
    peak = float(np.abs(sound).max(initial=0.0))
    return sound if peak == 0 else sound * np.float32(10.0 ** (level / 20.0) / peak)


def picture_indices(count: int, fps: float, rate: float) -> np.ndarray:
    """Which of `count` pictures is nearest to each picture of the same time at `rate` per second, [count']."""
    wanted = max(1, round(count / fps * rate))
    times = np.arange(wanted) / rate
    return np.clip(np.round(times * fps), 0, count - 1).astype(int)
