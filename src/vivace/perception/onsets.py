"""Sound events: when something begins to sound, how strongly, and from which side.

Own log-mel spectral flux with an adaptive median threshold. It knows neither the prompt nor the events that were meant.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import maximum_filter1d, median_filter

from vivace.perception.spectra import SAMPLE_RATE, at_detector_rate, mel_power
from vivace.perception.thresholds import OnsetThresholds, thresholds

HOP = 80  # 5 ms
WINDOW = 256  # 16 ms


@dataclass(frozen=True)
class Onset:
    """The beginning of one sound.

    Args:
        time: seconds.
        strength: how far the spectrum rises, in nepers, mean over the bands.
        pan: where it comes from by the levels of the two channels, -1 (left edge of the screen) to 1 (right edge).
        level: power that the event adds, dB relative to full scale.
    """

    time: float
    strength: float
    pan: float
    level: float


def onset_envelope(audio: np.ndarray, sample_rate: int, settings: OnsetThresholds | None = None) -> np.ndarray:
    """Half-wave rectified rise of the log-mel spectrum over `settings.lag` frames, nepers, [frames] every 5 ms.

    The floor under the logarithm lies a fixed distance below the clip's loudest band, so that what cannot be heard
    beside the events (a codec's residue, a fading tail) does not count.
    """
    return _envelope(_mel(audio, sample_rate), settings or thresholds().onsets)


def detect_onsets(audio: np.ndarray, sample_rate: int, settings: OnsetThresholds | None = None) -> list[Onset]:
    """Sound events of a clip in the order of time.

    Args:
        audio: float [C, N] or [N], any rate.
        sample_rate: Hz.
        settings: thresholds other than the frozen ones (calibration only).
    """
    settings = settings or thresholds().onsets
    mel = _mel(audio, sample_rate)
    envelope = _envelope(mel, settings)
    if not envelope.any():
        return []
    gap = max(1, round(settings.min_gap * SAMPLE_RATE / HOP))
    background = median_filter(envelope, size=2 * round(settings.median_window * SAMPLE_RATE / HOP / 2) + 1)
    peaks = (envelope == maximum_filter1d(envelope, 2 * gap + 1)) & (envelope > background + settings.rise)
    return [_onset(mel, envelope, int(k), settings) for k in _firsts(np.flatnonzero(peaks), gap)]


def _firsts(peaks: np.ndarray, gap: int) -> list[int]:
    """Equal values next to each other are one peak."""
    kept: list[int] = []
    for k in peaks:
        if not kept or k - kept[-1] > gap:
            kept.append(int(k))
    return kept


def _mel(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    sound = at_detector_rate(audio, sample_rate)
    mel = mel_power(sound, hop=HOP, window=WINDOW)
    # A ringing sound that the clip's end cuts off is no event: frames that reach past the end repeat the last whole.
    whole = max(0, (sound.shape[1] - WINDOW // 2) // HOP)
    mel[:, whole + 1 :] = mel[:, whole : whole + 1]
    return mel


def _envelope(mel: np.ndarray, settings: OnsetThresholds) -> np.ndarray:
    power = mel.sum(axis=0)
    top = float(power.max())
    if not np.isfinite(top) or top < settings.silence:
        return np.zeros(len(power), dtype=np.float32)
    level = np.log1p(power / (top * 10.0 ** (-settings.range_db / 10.0)))
    # The maximum over neighbouring bands before the difference keeps a gliding or beating partial from counting.
    before = np.pad(maximum_filter1d(level, 3, axis=1), ((settings.lag, 0), (0, 0)))[: len(level)]
    return np.maximum(level - before, 0.0).mean(axis=1)


def _onset(mel: np.ndarray, envelope: np.ndarray, k: int, settings: OnsetThresholds) -> Onset:
    # The rise lasts about a window; where it passes half its height is steadier than where it peaks.
    half = envelope[k] / 2.0
    left = k
    while left > 0 and envelope[left - 1] > half:
        left -= 1
    if left == 0:
        crossing = 0.0
    else:
        low, high = float(envelope[left - 1]), float(envelope[left])
        crossing = left - 1 + (half - low) / max(high - low, 1e-9)
    after = mel[:, k + 1 : k + 1 + settings.after_frames].sum(axis=1)
    span = max(1, min(settings.after_frames, mel.shape[1] - k - 1))
    earlier = mel[:, max(0, left - settings.lag - 3) : max(1, left - settings.lag)].mean(axis=1) * span
    added = np.maximum(after - earlier, 0.0).sum(axis=1) + 1e-20
    pan = float((np.arctan2(np.sqrt(added[1]), np.sqrt(added[0])) * 4.0 / np.pi - 1.0) / settings.pan_range)
    level = float(10.0 * np.log10(added.sum() / span / mel.shape[2]))
    time = max(0.0, float(crossing) * HOP / SAMPLE_RATE - settings.bias)
    return Onset(time=time, strength=float(envelope[k]), pan=pan, level=level)
