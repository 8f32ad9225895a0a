"""AV-Align: peaks of the sound against peaks of the motion, in the three forms that are published under this name.

The numbers of different forms cannot be compared, so each is a metric of its own, and so are our peaks:
`av_align_own_*` are made of our own onsets and block-matching flow, and `vivace.evaluation.av_align_published` has the
published peaks. All of them tell little: on perfectly synchronous impacts a mean speed peaks before and after the
impact and not at it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from vivace.evaluation.matching import match_times
from vivace.evaluation.metric import ItemMetric, Sample, Undefined, once_per_sample
from vivace.evaluation.shared_flow import flow_of
from vivace.perception.onsets import detect_onsets

_SMALL = 1e-6  # in the published denominator
MUTUAL_FRAMES = 3.0


def motion_peaks(speed: Sequence[float] | np.ndarray, fps: float, first: int = 1) -> list[float]:
    """Seconds of the strict local maxima of the mean flow magnitude; step n is counted at picture n + `first`."""
    values = np.asarray(speed, dtype=float)
    inner = np.flatnonzero((values[1:-1] > values[:-2]) & (values[1:-1] > values[2:])) + 1
    return [float(n + first) / fps for n in inner]


def one_sided(sound: Sequence[float], motion: Sequence[float], fps: float) -> float:
    """The form of the published code: a sound peak is a hit with any motion peak within one frame; intersection over
    union, hits / (sound + motion - hits)."""
    hits = _near(sound, motion, 1.0 / fps)
    return hits / (len(sound) + len(motion) - hits + _SMALL)


def mutual(sound: Sequence[float], motion: Sequence[float], fps: float) -> float:
    """The form of JavisBench's description: hits from either side within three frames, over the number of peaks."""
    reach = MUTUAL_FRAMES / fps
    return (_near(sound, motion, reach) + _near(motion, sound, reach)) / (len(sound) + len(motion))


def one_to_one(sound: Sequence[float], motion: Sequence[float], fps: float) -> float:
    """The form of MOVA's tools: each peak is matched once, within one frame; pairs / (sound + motion - pairs)."""
    pairs = len(match_times(sound, motion, 1.0 / fps))
    return pairs / (len(sound) + len(motion) - pairs)


def _near(peaks: Sequence[float], others: Sequence[float], reach: float) -> int:
    if not len(others):
        return 0
    distance = np.abs(np.asarray(peaks, float)[:, None] - np.asarray(others, float)[None])
    return int((distance.min(axis=1) <= reach + 1e-9).sum()) if len(peaks) else 0


FORMS: dict[str, Callable[[Sequence[float], Sequence[float], float], float]] = {
    "code": one_sided,
    "javisbench": mutual,
    "mova": one_to_one,
}


def align_outcome(form: str, sound: Sequence[float], motion: Sequence[float], fps: float) -> list[float] | Undefined:
    """A form's record from the peaks in seconds, or why there is none."""
    if not motion and not sound:
        return Undefined("neither motion nor sound has a peak")
    return [FORMS[form](sound, motion, fps), 1.0]


def av_align_outcomes(
    sound: Sequence[float], motion: Sequence[float], fps: float
) -> dict[str, list[float] | Undefined]:
    """Each form's record from our own peaks in seconds, by the metrics' names."""
    return {f"av_align_own_{form}": align_outcome(form, sound, motion, fps) for form in FORMS}


def av_align_metrics() -> list[ItemMetric]:
    """The three forms over our own onsets and block-matching flow."""

    def find(sample: Sample) -> tuple[list[float], list[float], float]:
        assert sample.clip is not None
        assert sample.clip.frames is not None
        assert sample.clip.audio is not None
        fps = float(sample.clip.fps)
        motion = motion_peaks(flow_of(sample.clip).speed, fps)
        return [onset.time for onset in detect_onsets(sample.clip.audio, sample.clip.sample_rate)], motion, fps

    peaks = once_per_sample(find)

    def metric(name: str) -> ItemMetric:
        def measure(sample: Sample) -> list[float] | Undefined:
            return av_align_outcomes(*peaks(sample))[name]

        return ItemMetric(name, measure, requires=("pictures", "sound"))

    return [metric(f"av_align_own_{form}") for form in FORMS]
