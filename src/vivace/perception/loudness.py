"""Loudness and true peak of a sound by ITU-R BS.1770-4."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
from scipy.signal import lfilter, resample_poly

BLOCK = 0.4  # seconds; blocks overlap by three quarters
STEP = 0.1
ABSOLUTE_GATE = -70.0  # LUFS
RELATIVE_GATE = -10.0  # LU below the mean of what passed the absolute gate
_OFFSET = -0.691  # so that a full-scale 997 Hz sine in one channel reads -3.01
_PEAK_RATE = 192000  # Hz to which peaks are interpolated at least
_LOWEST = -120.0  # dBTP of digital silence


@dataclass(frozen=True)
class Loudness:
    """How loud a sound is.

    Args:
        integrated: gated loudness of the whole in LUFS; None where no block passes the gate at -70 LUFS.
        loudest: the loudest 400 ms, LUFS; None where even they are digitally silent.
        true_peak: highest value between the samples too, dBTP (0: full scale); -120 for digital silence.
    """

    integrated: float | None
    loudest: float | None
    true_peak: float


def measure_loudness(audio: np.ndarray, sample_rate: int) -> Loudness:
    """Integrated loudness, loudest 400 ms and true peak.

    A sound shorter than 400 ms is one block (ours: the recommendation leaves it undefined).

    Args:
        audio: float [C, N] or [N]; every channel counts with weight 1 (front channels).
        sample_rate: Hz.

    Source: ITU-R BS.1770-4, annexes 1 and 2.
    """
    sound = np.atleast_2d(np.asarray(audio, dtype=np.float64))
    power = block_powers(sound, sample_rate)
    loud = to_lufs(power)
    kept = power[loud > ABSOLUTE_GATE]
    integrated = None
    if len(kept):
        relative = float(to_lufs(kept.mean())) + RELATIVE_GATE
        integrated = float(to_lufs(power[(loud > ABSOLUTE_GATE) & (loud > relative)].mean()))
    loudest = float(loud.max()) if len(loud) and np.isfinite(loud.max()) else None
    return Loudness(integrated, loudest, true_peak(sound, sample_rate))


def to_lufs(power: np.ndarray | float) -> np.ndarray:
    """LUFS of a weighted mean square, minus infinity for nothing."""
    with np.errstate(divide="ignore"):
        return _OFFSET + 10.0 * np.log10(np.asarray(power, dtype=np.float64))


def block_powers(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """K-weighted mean square, summed over the channels, of every 400 ms block (one each 100 ms). [blocks]"""
    square = (k_weighted(sound, sample_rate) ** 2).sum(axis=0)
    if not len(square):
        return np.zeros(0)
    length = min(round(BLOCK * sample_rate), len(square))
    total = np.concatenate([[0.0], np.cumsum(square)])
    starts = np.arange(0, len(square) - length + 1, max(1, round(STEP * sample_rate)))
    powers: np.ndarray = np.maximum(total[starts + length] - total[starts], 0.0) / length
    return powers


def k_weighted(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """The sound [C, N] through both filters of the recommendation."""
    for feed, back in k_filters(sample_rate):
        sound = lfilter(feed, back, sound, axis=-1)
    return sound


def k_filters(sample_rate: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(b, a) of the head's shelf and of the low cut, at any rate.

    The recommendation tabulates them at 48 kHz; these are the analogue filters behind the tables, transformed to the
    rate that is asked for, which gives the tables back at 48 kHz.
    """
    high, quality, gain = 1681.974450955533, 0.7071752369554196, 3.999843853973347
    k, top = np.tan(np.pi * high / sample_rate), 10.0 ** (gain / 20.0)
    middle, whole = top**0.4996667741545416, 1.0 + k / quality + k * k
    shelf = (
        np.array([top + middle * k / quality + k * k, 2.0 * (k * k - top), top - middle * k / quality + k * k]) / whole,
        np.array([whole, 2.0 * (k * k - 1.0), 1.0 - k / quality + k * k]) / whole,
    )
    low, quality = 38.13547087602444, 0.5003270373238773
    k = np.tan(np.pi * low / sample_rate)
    whole = 1.0 + k / quality + k * k
    cut = np.array([1.0, -2.0, 1.0]), np.array([whole, 2.0 * (k * k - 1.0), 1.0 - k / quality + k * k]) / whole
    return [shelf, cut]


def true_peak(sound: np.ndarray, sample_rate: int) -> float:
    """The highest absolute value of the sound [C, N] interpolated to at least 192 kHz, dBTP."""
    if not sound.size or not np.abs(sound).max() > 0:
        return _LOWEST
    factor = max(1, ceil(_PEAK_RATE / sample_rate))
    # In stretches of ten seconds, each with a little of its neighbours, so that an hour fits in memory too.
    stretch, margin = 10 * sample_rate, 64
    peak = float(np.abs(sound).max())
    for start in range(0, sound.shape[1], stretch):
        before = min(margin, start)
        part = resample_poly(sound[:, start - before : start + stretch + margin], factor, 1, axis=1)
        # The neighbours themselves do not count: where they are cut off the filter rings.
        peak = max(peak, float(np.abs(part[:, before * factor : (before + stretch) * factor]).max()))
    return max(20.0 * float(np.log10(peak)), _LOWEST)
