"""Short-time mel power for the detectors (numpy; not the codec's own mel, so that it cannot share its faults)."""

from __future__ import annotations

from functools import lru_cache
from math import gcd

import numpy as np
from scipy.signal import resample_poly

SAMPLE_RATE = 16000
N_FFT = 512


def at_detector_rate(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Sound [C, N] or [N] of any rate as float32 [2, N'] at 16 kHz; one channel is doubled, more than two are mixed."""
    sound = np.atleast_2d(np.asarray(audio, dtype=np.float32))
    if len(sound) == 1:
        sound = np.repeat(sound, 2, axis=0)
    elif len(sound) > 2:
        sound = np.repeat(sound.mean(axis=0, keepdims=True), 2, axis=0)
    if sample_rate != SAMPLE_RATE:
        divisor = gcd(int(sample_rate), SAMPLE_RATE)
        sound = resample_poly(sound, SAMPLE_RATE // divisor, sample_rate // divisor, axis=1).astype(np.float32)
    return sound


@lru_cache(maxsize=8)
def mel_matrix(bands: int, low: float, high: float) -> np.ndarray:
    """Triangular mel filters, [bands, N_FFT // 2 + 1], each summing to one (so that a band holds a mean power)."""

    def to_mel(hz: np.ndarray | float) -> np.ndarray:
        return 2595.0 * np.log10(1.0 + np.asarray(hz) / 700.0)

    edges = 700.0 * (10.0 ** (np.linspace(to_mel(low), to_mel(high), bands + 2) / 2595.0) - 1.0)
    bins = np.arange(N_FFT // 2 + 1) * SAMPLE_RATE / N_FFT
    # A band narrower than a bin would be empty: no band is taken narrower than one bin either side of its centre.
    step = SAMPLE_RATE / N_FFT
    centre = edges[1:-1, None]
    rise = (bins - centre) / np.maximum(centre - edges[:-2, None], step) + 1.0
    fall = (centre - bins) / np.maximum(edges[2:, None] - centre, step) + 1.0
    weights = np.clip(np.minimum(rise, fall), 0.0, 1.0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def mel_power(
    sound: np.ndarray, *, hop: int, window: int, bands: int = 64, low: float = 60.0, high: float = 7800.0
) -> np.ndarray:
    """Mel power of each channel, [C, frames, bands]; frame k is centred on sample k * hop (zeros beyond the ends).

    Args:
        sound: [C, N] at 16 kHz.
        hop, window: samples; the window is Hann and no longer than 512.
    """
    half = N_FFT // 2
    padded = np.pad(sound, ((0, 0), (half, half)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT, axis=1)[:, ::hop]
    taper = np.zeros(N_FFT, dtype=np.float32)
    start = (N_FFT - window) // 2
    taper[start : start + window] = np.hanning(window + 1)[:window]
    power = np.abs(np.fft.rfft(frames * taper, axis=2)) ** 2 / float((taper**2).sum())
    return power.astype(np.float32) @ mel_matrix(bands, low, high).T
