"""Env-Sync: how well, and at which lag, the sound's onsets follow the picture's impacts. Ours; no weights.

A counterpart of SyncNet's measures for anything that hits, sounds and moves: the envelope of sound onsets is correlated
with the envelope of visual impacts at every lag.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from vivace.evaluation.metric import ItemMetric, Sample, Undefined, once_per_sample
from vivace.evaluation.shared_flow import flow_of
from vivace.media import Clip
from vivace.perception.flow import impact_envelope
from vivace.perception.onsets import HOP, onset_envelope
from vivace.perception.spectra import SAMPLE_RATE

STEP = 0.01  # seconds between the samples of both envelopes
FARTHEST = 1.0  # seconds of lag that are looked for
SMOOTH = 0.03  # seconds: an impact is seen no more exactly than to a picture
_LEAST_OVERLAP = 0.5  # seconds of both envelopes that a correlation needs


@dataclass(frozen=True)
class EnvSync:
    """confidence: highest correlation minus the median over all lags. distance: 1 minus the highest.

    offset: seconds by which the sound is late (negative: early), at the highest correlation.
    """

    confidence: float
    distance: float
    offset: float


def lag_correlations(seen: np.ndarray, heard: np.ndarray, farthest: int) -> np.ndarray:
    """Pearson's correlation of seen[i] with heard[i + s] over the part where both exist, s = -farthest .. farthest.

    NaN where the part is shorter than half a second or one of them does not change in it. [2 farthest + 1]
    """
    result = np.full(2 * farthest + 1, np.nan)
    for place, lag in enumerate(range(-farthest, farthest + 1)):
        first = seen[max(0, -lag) : len(seen) - max(0, lag)]
        second = heard[max(0, lag) : len(heard) - max(0, -lag)]
        if len(first) < _LEAST_OVERLAP / STEP or min(np.ptp(first), np.ptp(second)) < 1e-12:
            continue
        result[place] = np.corrcoef(first, second)[0, 1]
    return result


def from_correlations(correlations: np.ndarray, step: float = STEP) -> EnvSync | None:
    """The three figures from correlations over lags that are centred on 0; None where none is defined."""
    if not np.isfinite(correlations).any():
        return None
    best = int(np.nanargmax(correlations))
    top = float(correlations[best])
    return EnvSync(
        confidence=top - float(np.nanmedian(correlations)),
        distance=1.0 - top,
        offset=(best - len(correlations) // 2) * step,
    )


def env_sync(clip: Clip) -> EnvSync | None:
    """Env-Sync of a clip with pictures and sound; None where one of them never changes or both are too short."""
    assert clip.frames is not None
    assert clip.audio is not None
    heard = onset_envelope(clip.audio, clip.sample_rate)
    seconds = clip.audio.shape[1] / clip.sample_rate
    return of_envelopes(impact_envelope(flow_of(clip)), float(clip.fps), heard, seconds)


def of_envelopes(seen: np.ndarray, fps: float, heard: np.ndarray, seconds: float) -> EnvSync | None:
    """Env-Sync of a picture's impacts (one value a picture) and a sound's onsets (one every 5 ms)."""
    times = np.arange(0.0, min(len(seen) / fps, seconds), STEP)
    on_grid = [
        np.interp(times, np.arange(len(seen)) / fps, seen),
        np.interp(times, np.arange(len(heard)) * HOP / SAMPLE_RATE, heard),
    ]
    smooth = [gaussian_filter1d(envelope, SMOOTH / STEP) for envelope in on_grid]
    farthest = min(round(FARTHEST / STEP), max(0, len(times) - round(_LEAST_OVERLAP / STEP)))
    return from_correlations(lag_correlations(smooth[0], smooth[1], farthest))


def env_sync_outcomes(found: EnvSync | None) -> dict[str, list[float] | Undefined]:
    """Each metric's record, or why there is none."""
    if found is None:
        nothing = Undefined("picture or sound never changes, or is too short")
        return dict.fromkeys(("env_sync_c", "env_sync_d", "env_sync_offset_abs"), nothing)
    return {
        "env_sync_c": [found.confidence, 1.0],
        "env_sync_d": [found.distance, 1.0],
        "env_sync_offset_abs": [abs(found.offset) * 1000.0, 1.0],
    }


def env_sync_metrics() -> list[ItemMetric]:
    """Confidence, distance, and the absolute offset in ms (absolute per clip, then the mean: signs must not cancel)."""

    def compare(sample: Sample) -> EnvSync | None:
        assert sample.clip is not None
        return env_sync(sample.clip)

    find = once_per_sample(compare)

    def metric(name: str, **settings: str) -> ItemMetric:
        def measure(sample: Sample) -> list[float] | Undefined:
            return env_sync_outcomes(find(sample))[name]

        return ItemMetric(name, measure, requires=("pictures", "sound"), **settings)  # type: ignore[arg-type]

    return [
        metric("env_sync_c"),
        metric("env_sync_d", direction="lower"),
        metric("env_sync_offset_abs", direction="lower", unit="ms"),
    ]
