"""Mel-frequency cepstra as SyncNet was trained on: the defaults of the library that its authors used."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.fft import dct

RATE = 16000
WINDOW, HOP = 400, 160  # 25 ms and 10 ms
_FFT, _BANDS, _KEPT, _LIFTER, _PREEMPHASIS = 512, 26, 13, 22, 0.97


def mfcc(sound: np.ndarray) -> np.ndarray:
    """13 coefficients every 10 ms, the first replaced by the logarithm of the frame's energy, [frames, 13].

    Rectangular windows of 25 ms, 512-point power spectra, 26 triangular bands up to 8 kHz whose edges are rounded to
    bins, orthonormal DCT, lifter of 22.

    Args:
        sound: [N] at 16 kHz in the range of 16-bit samples.
    """
    signal = np.asarray(sound, dtype=np.float64)
    signal = np.concatenate([signal[:1], signal[1:] - _PREEMPHASIS * signal[:-1]])
    count = 1 if len(signal) <= WINDOW else 1 + -(-(len(signal) - WINDOW) // HOP)
    signal = np.pad(signal, (0, max(0, (count - 1) * HOP + WINDOW - len(signal))))
    frames = np.lib.stride_tricks.sliding_window_view(signal, WINDOW)[::HOP][:count]
    power = np.abs(np.fft.rfft(frames, _FFT)) ** 2 / _FFT
    tiny = np.finfo(float).eps
    energy = power.sum(axis=1)
    bands = power @ _bands().T
    logs = np.log(np.where(bands == 0, tiny, bands))
    cepstra = dct(logs, type=2, axis=1, norm="ortho")[:, :_KEPT]
    cepstra *= 1.0 + _LIFTER / 2.0 * np.sin(np.pi * np.arange(_KEPT) / _LIFTER)
    cepstra[:, 0] = np.log(np.where(energy == 0, tiny, energy))
    return np.asarray(cepstra)


@lru_cache(maxsize=1)
def _bands() -> np.ndarray:
    """Triangles [26, 257] on the mel scale 2595 log10(1 + f / 700) from 0 to 8 kHz."""
    top = 2595.0 * np.log10(1.0 + RATE / 2 / 700.0)
    edges = 700.0 * (10.0 ** (np.linspace(0.0, top, _BANDS + 2) / 2595.0) - 1.0)
    bins = np.floor((_FFT + 1) * edges / RATE)
    k = np.arange(_FFT // 2 + 1)
    low, centre, high = bins[:-2, None], bins[1:-1, None], bins[2:, None]
    rise, fall = (k - low) / (centre - low), (high - k) / (high - centre)
    inside = (k >= low) & (k < high)
    weights: np.ndarray = np.where(k < centre, rise, fall) * inside
    return weights
