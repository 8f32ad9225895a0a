"""Which ambient sound a clip has: the nearest of the spectra of true clips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vivace.perception.spectra import SAMPLE_RATE, at_detector_rate, mel_power
from vivace.perception.thresholds import AmbienceThresholds, thresholds

HOP = 320  # 20 ms
BANDS = 24
_MEAN_OVER = 5  # hops, 0.1 s
_RANGE = 1e-5  # 50 dB below the loudest band nothing is told apart


@dataclass(frozen=True)
class HeardAmbience:
    """An ambient sound.

    Args:
        name: of the nearest template, or None where the clip is far from all of them.
        distances: to each template, in standard deviations per feature.
    """

    name: str | None
    distances: dict[str, float]


def ambience_features(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """The mean spectrum in nepers about its mean, and how much each band rises and falls, [2 * BANDS].

    Args:
        audio: float [C, N] or [N], any rate.
        sample_rate: Hz.
    """
    power = mel_power(at_detector_rate(audio, sample_rate), hop=HOP, window=512, bands=BANDS).mean(axis=0)
    count = max(1, len(power) // _MEAN_OVER)
    slow = np.stack([part.mean(axis=0) for part in np.array_split(power, count)])
    floor = _RANGE * float(power.mean(axis=0).max()) + 1e-20
    spectrum = np.log(power.mean(axis=0) + floor)
    motion = np.log(slow + floor).std(axis=0)
    return np.concatenate([spectrum - spectrum.mean(), motion])


def heard_ambience(audio: np.ndarray, sample_rate: int, settings: AmbienceThresholds | None = None) -> HeardAmbience:
    """The ambient sound of a clip.

    Args:
        audio: float [C, N] or [N], any rate.
        sample_rate: Hz.
        settings: thresholds other than the frozen ones (calibration only).
    """
    settings = settings or thresholds().ambience
    sound = at_detector_rate(audio, sample_rate)
    if float(np.abs(sound).max(initial=0.0)) < settings.silence:
        return HeardAmbience(None, {})
    found = ambience_features(sound, SAMPLE_RATE)
    scale = np.array(settings.scale)
    distances = {
        name: float(np.sqrt((((found - np.array(template)) / scale) ** 2).mean()))
        for name, template in settings.templates.items()
    }
    nearest = min(distances, key=lambda name: distances[name])
    return HeardAmbience(nearest if distances[nearest] < settings.farthest else None, distances)
