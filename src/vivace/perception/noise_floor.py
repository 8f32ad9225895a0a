"""How loud a sound is where nothing happens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WINDOW = 0.05  # seconds
QUIET, LOUD = 5.0, 95.0  # percentiles of the windows' levels
_LOWEST = -120.0  # dBFS of digital silence


@dataclass(frozen=True)
class NoiseFloor:
    """Levels of the quiet and the loud parts of a sound, root mean square over 50 ms, dBFS (-120: digital silence).

    Args:
        floor: 5th percentile of the windows. Steady noise is its own floor.
        active: 95th percentile.
    """

    floor: float
    active: float

    @property
    def span(self) -> float:
        """dB between the loud and the quiet parts: a lower bound of the ratio of signal to noise."""
        return self.active - self.floor


def measure_noise_floor(audio: np.ndarray, sample_rate: int) -> NoiseFloor:
    """Levels of a sound, float [C, N] or [N]; of several channels the mean power counts."""
    power = (np.atleast_2d(np.asarray(audio, dtype=np.float64)) ** 2).mean(axis=0)
    if not len(power):
        return NoiseFloor(_LOWEST, _LOWEST)
    length = min(max(1, round(WINDOW * sample_rate)), len(power))
    total = np.concatenate([[0.0], np.cumsum(power)])
    starts = np.arange(0, len(power) - length + 1, max(1, length // 2))
    means = np.maximum(total[starts + length] - total[starts], 0.0) / length
    levels = 10.0 * np.log10(np.maximum(means, 10.0 ** (_LOWEST / 10.0)))
    return NoiseFloor(float(np.percentile(levels, QUIET)), float(np.percentile(levels, LOUD)))
