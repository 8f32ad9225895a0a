"""Whether lips and voice belong together: how open a mouth sounds, against how open it looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vivace.perception.lips import Mouth
from vivace.perception.spectra import SAMPLE_RATE, at_detector_rate, mel_power
from vivace.perception.thresholds import LipSyncThresholds, thresholds

RATE = 100  # Hz of how open a mouth sounds
_HOP = SAMPLE_RATE // RATE
BANDS = 8
_LOWEST, _HIGHEST = 100.0, 7000.0  # Hz
_LOUD = 0.95  # quantile of the power that counts as loud
_EXPONENT = 0.4  # from power to loudness
_WINDOW = 0.09  # seconds, about as fast as lips are
_LAG_STEP = 0.005  # seconds


@dataclass(frozen=True)
class LipSync:
    """How lips and voice go together.

    Args:
        correlation: at lag 0.
        lag: seconds by which the voice is late, where the correlation is greatest.
        best: that correlation.
    """

    correlation: float
    lag: float
    best: float


def band_loudness(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Loudness in bands as fast as lips can follow, [frames at `RATE`, BANDS]; frame k is centred on k / `RATE`.

    Args:
        audio: float [C, N] or [N], any rate.
        sample_rate: Hz.
    """
    sound = at_detector_rate(audio, sample_rate).mean(axis=0, keepdims=True)
    power = mel_power(sound, hop=_HOP, window=400, bands=BANDS, low=_LOWEST, high=_HIGHEST)[0]
    loudness = (power / (float(np.quantile(power.sum(axis=1), _LOUD)) + 1e-12)) ** _EXPONENT
    window = np.hanning((round(_WINDOW * RATE) | 1) + 2)[1:-1]
    window /= window.sum()
    return np.stack([np.convolve(band, window, mode="same") for band in loudness.T], axis=1)


def sounding_opening(audio: np.ndarray, sample_rate: int, settings: LipSyncThresholds | None = None) -> np.ndarray:
    """How open the mouth sounds, 0 to about 1, at `RATE`, [frames]; arguments as for `band_loudness`."""
    settings = settings or thresholds().lip_sync
    opening: np.ndarray = band_loudness(audio, sample_rate) @ np.array(settings.bands) + settings.rest
    return opening


def lip_sync(
    mouths: Sequence[Mouth],
    sounding: Sequence[float] | np.ndarray,
    fps: float,
    settings: LipSyncThresholds | None = None,
) -> LipSync | None:
    """All mouths of a clip against its sound; None where no mouth moves or nothing sounds.

    Args:
        mouths: with openings per picture at `fps`.
        sounding: how open the mouth sounds, at `RATE`.
    """
    settings = settings or thresholds().lip_sync
    if not mouths or len(sounding) < 2:
        return None
    seen = np.sum([mouth.opening for mouth in mouths], axis=0)
    heard = np.asarray(sounding, dtype=float)
    if float(seen.std()) < settings.moves or float(heard.std()) < 1e-3:
        return None
    times = np.arange(len(seen)) / fps
    at = np.arange(len(heard)) / RATE
    count = round(settings.farthest / _LAG_STEP)
    lags = np.arange(-count, count + 1) * _LAG_STEP
    found = np.array([_correlation(seen, np.interp(times + lag, at, heard)) for lag in lags])
    top = int(found.argmax())
    lag = float(lags[top])
    if 0 < top < len(lags) - 1:
        low, mid, high = found[top - 1 : top + 2]
        lag += _LAG_STEP * 0.5 * float((low - high) / min(low - 2 * mid + high, -1e-12))
    return LipSync(float(found[count]), lag - settings.bias, float(found[top]))


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    if float(second.std()) < 1e-6:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def speaking(mouths: Sequence[Mouth], start: float, end: float, fps: float) -> int | None:
    """The index of the mouth that is open most from `start` to `end` (seconds); None without mouths."""
    if not mouths:
        return None
    first = round(start * fps)
    last = max(round(end * fps), first + 1)
    moved = [float(np.mean(mouth.opening[first:last] or (0.0,))) for mouth in mouths]
    return int(np.argmax(moved))
