"""Whether a clip is silent."""

from __future__ import annotations

import numpy as np

from vivace.perception.spectra import SAMPLE_RATE, at_detector_rate
from vivace.perception.thresholds import SilenceThresholds, thresholds

_LOWEST = -120.0  # dBFS of digital silence


def loudest(audio: np.ndarray, sample_rate: int, settings: SilenceThresholds | None = None) -> float:
    """Root mean square of the loudest stretch of the louder channel, dBFS; -120 for digital silence.

    Args:
        audio: float [C, N] or [N], any rate.
        sample_rate: Hz.
        settings: thresholds other than the frozen ones (calibration only).
    """
    settings = settings or thresholds().silence
    power = at_detector_rate(audio, sample_rate).astype(np.float64) ** 2
    if not power.shape[1]:
        return _LOWEST
    length = min(round(settings.stretch * SAMPLE_RATE), power.shape[1])
    total = np.concatenate([np.zeros((len(power), 1)), np.cumsum(power, axis=1)], axis=1)
    mean = float((total[:, length:] - total[:, :-length]).max()) / length
    return max(10.0 * float(np.log10(max(mean, 1e-30))), _LOWEST)


def is_silent(audio: np.ndarray, sample_rate: int, settings: SilenceThresholds | None = None) -> bool:
    """Whether nothing can be heard in the whole clip; arguments as for `loudest`."""
    settings = settings or thresholds().silence
    return loudest(audio, sample_rate, settings) < settings.level
