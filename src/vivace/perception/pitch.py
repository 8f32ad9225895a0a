"""The fundamental of a voice over time, by autocorrelation (after Boersma 1993), in numpy.

Each frame's autocorrelation is divided by its window's; its peaks and "no voice" are candidates, and the path through
them that changes least is chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from vivace.perception.spectra import SAMPLE_RATE, at_detector_rate

HOP = 160  # 10 ms
LOWEST, HIGHEST = 65.0, 420.0  # Hz
WINDOW = 3 * 246  # three periods of the lowest pitch
_FFT = 2048
_CANDIDATES = 6
VOICED = 0.45  # autocorrelation from which a frame is voiced
_QUIET = 0.03  # frames below this share of the loudest sample count less as voiced
_OCTAVE_COST = 0.02  # per octave, in favour of high candidates: a period's double is a period too
_JUMP_COST = 0.35  # per octave and 10 ms
_SWITCH_COST = 0.14  # between voice and no voice


@dataclass(frozen=True)
class PitchTrack:
    """A frame every 10 ms, the first centred on time 0.

    hz: fundamental, NaN where there is no voice. strength: autocorrelation at its period, 0 to 1. Both [frames].
    """

    hz: np.ndarray
    strength: np.ndarray

    @property
    def times(self) -> np.ndarray:
        """Seconds."""
        return np.arange(len(self.hz)) * HOP / SAMPLE_RATE

    def median(self, start: float = 0.0, end: float = np.inf) -> float | None:
        """The median fundamental (Hz) of a part, None where less than 50 ms of it are voiced."""
        within = (self.times >= start) & (self.times <= end) & np.isfinite(self.hz)
        return float(np.median(self.hz[within])) if within.sum() >= 5 else None


@lru_cache(maxsize=1)
def _window() -> tuple[np.ndarray, np.ndarray]:
    """The window and its normalised autocorrelation."""
    window = np.hanning(WINDOW + 1)[:WINDOW].astype(np.float32)
    own = np.fft.irfft(np.abs(np.fft.rfft(window, _FFT)) ** 2, _FFT)
    return window, (own / own[0]).astype(np.float32)


def track_pitch(audio: np.ndarray, sample_rate: int) -> PitchTrack:
    """Follow the fundamental of a sound, float [C, N] or [N] of any rate."""
    sound = at_detector_rate(audio, sample_rate).mean(axis=0)
    window, own = _window()
    padded = np.pad(sound, WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    frames = frames - frames.mean(axis=1, keepdims=True)
    peaks = np.abs(frames).max(axis=1)
    power = np.abs(np.fft.rfft(frames * window, _FFT, axis=1)) ** 2
    shortest, longest = int(SAMPLE_RATE / HIGHEST), int(SAMPLE_RATE / LOWEST) + 1
    correlation = np.fft.irfft(power, _FFT, axis=1)[:, : longest + 2]
    correlation = correlation / np.maximum(correlation[:, :1], 1e-9) / own[: longest + 2]

    hz, strength = _peaks(correlation, shortest, longest)
    loudness = peaks / max(float(peaks.max(initial=0.0)), 1e-9)
    unvoiced = VOICED + np.maximum(0.0, 2.0 - loudness * (1 + VOICED) / _QUIET)
    score = np.where(hz > 0, strength - _OCTAVE_COST * np.log2(HIGHEST / np.maximum(hz, 1.0)), -np.inf)
    score = np.concatenate((unvoiced[:, None], score), axis=1)
    pitch = np.concatenate((np.zeros((len(hz), 1)), hz), axis=1)
    path = _best_path(score, pitch)
    rows = np.arange(len(path))
    chosen = pitch[rows, path]
    heard = np.concatenate((np.zeros((len(hz), 1)), strength), axis=1)[rows, path]
    return PitchTrack(np.where(chosen > 0, chosen, np.nan), heard)


def _peaks(correlation: np.ndarray, shortest: int, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """The highest peaks of each frame: Hz (0 for none) and height, each [frames, candidates]."""
    left, middle, right = (correlation[:, shortest + k : longest + k] for k in (-1, 0, 1))
    is_peak = (middle >= left) & (middle > right) & (middle > 0.2)
    heights = np.where(is_peak, middle, -1.0)
    best = np.argsort(-heights, axis=1)[:, :_CANDIDATES]
    a, b, c = (np.take_along_axis(x, best, axis=1) for x in (left, middle, right))
    # The peak of the parabola through three neighbours.
    curve = a - 2 * b + c
    shift = np.where(np.abs(curve) > 1e-9, 0.5 * (a - c) / np.where(np.abs(curve) > 1e-9, curve, 1.0), 0.0)
    found = np.take_along_axis(heights, best, axis=1) > 0
    hz = np.where(found, SAMPLE_RATE / (best + shortest + np.clip(shift, -0.5, 0.5)), 0.0)
    return hz, np.where(found, np.minimum(b - 0.25 * (a - c) * shift, 1.0), 0.0)


def _best_path(score: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """The candidate of each frame on the path of the highest score; candidate 0 is "no voice". int [frames]"""
    octaves = np.log2(np.maximum(pitch, 1.0))
    voiced = pitch > 0
    total = score[0]
    back = np.zeros(score.shape, dtype=np.int64)
    for t in range(1, len(score)):
        both = voiced[t - 1][:, None] & voiced[t][None]
        step = np.where(both, _JUMP_COST * np.abs(octaves[t - 1][:, None] - octaves[t][None]), 0.0)
        step = step + np.where(voiced[t - 1][:, None] != voiced[t][None], _SWITCH_COST, 0.0)
        reached = total[:, None] - step
        back[t] = reached.argmax(axis=0)
        total = reached.max(axis=0) + score[t]
    path = np.empty(len(score), dtype=np.int64)
    path[-1] = int(total.argmax())
    for t in range(len(score) - 1, 0, -1):
        path[t - 1] = back[t, path[t]]
    return path
