"""AV-Align as others compute it: its three forms over librosa's onsets and Farneback's flow.

A step of the flow is counted at the earlier of its two pictures, as in the published code. JavisBench's and the first
form hear at 22,050 Hz; MOVA's tools hear at 44,100 Hz with 32 ms between spectra (our reading of their setting).
"""

from __future__ import annotations

from vivace.evaluation.av_align import FORMS, align_outcome, motion_peaks
from vivace.evaluation.metric import ItemMetric, Sample, Undefined, once_per_sample
from vivace.evaluation.published import Skipped
from vivace.evaluation.published_metric import clip_of, pictures_of, sound_of
from vivace.perception.published.av_align_peaks import (
    MOVA_HOP,
    MOVA_RATE,
    flow_sizes,
    packages_lacking,
    sound_peaks,
)

EXTRA = "eval-video"


def published_av_align() -> tuple[list[ItemMetric], list[Skipped]]:
    """The three metrics, or that they are skipped where librosa or OpenCV is not installed."""
    lacking = packages_lacking()
    if not lacking:
        return published_av_align_metrics(), []
    reason = f'It needs {" and ".join(lacking)}; install them by pip install "vivace[{EXTRA}]".'
    return [], [
        Skipped(f"av_align_{form}", EXTRA, " and ".join(lacking), "PyPI", "ISC (librosa), Apache-2.0 (OpenCV)", reason)
        for form in FORMS
    ]


def published_av_align_metrics() -> list[ItemMetric]:
    """`av_align_code`, `av_align_javisbench`, `av_align_mova`; they need the two packages."""

    @once_per_sample
    def moving(sample: Sample) -> list[float]:
        clip = clip_of(sample)
        return motion_peaks(flow_sizes(pictures_of(clip)), float(clip.fps), first=0)

    @once_per_sample
    def heard(sample: Sample) -> list[float]:
        return sound_peaks(*sound_of(sample.clip))

    @once_per_sample
    def heard_by_mova(sample: Sample) -> list[float]:
        return sound_peaks(*sound_of(sample.clip), rate=MOVA_RATE, hop=MOVA_HOP)

    def metric(form: str) -> ItemMetric:
        sound = heard_by_mova if form == "mova" else heard

        def measure(sample: Sample) -> list[float] | Undefined:
            return align_outcome(form, sound(sample), moving(sample), float(clip_of(sample).fps))

        return ItemMetric(f"av_align_{form}", measure, requires=("pictures", "sound"))

    return [metric(form) for form in FORMS]
