"""The weight-free figures of a clip's pictures and sound as metrics of any clip: the mean over clips.

What each figure means says `vivace.perception.quality`. They describe; few of them have a better end by themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from vivace.evaluation.av_align import av_align_metrics
from vivace.evaluation.env_sync import env_sync_metrics
from vivace.evaluation.fidelity import END_CLICK_SECONDS, end_click_db
from vivace.evaluation.metric import Direction, ItemMetric, Sample, Undefined, once_per_sample
from vivace.perception.quality import picture_quality, sound_quality
from vivace.perception.spectra import SAMPLE_RATE, at_detector_rate

PICTURE: dict[str, tuple[Direction, str]] = {
    "frozen": ("lower", ""),
    "black": ("lower", ""),
    "flicker": ("lower", "of 255"),
    "sharpness": ("higher", ""),
    "brightness": ("none", "of 255"),
    "contrast": ("none", "of 255"),
    "crushed": ("lower", ""),
    "blown": ("lower", ""),
    "motion": ("none", "sides/s"),
    "text": ("none", ""),
    "cuts": ("none", "a clip"),
    "fades": ("none", "a clip"),
}
SOUND: dict[str, tuple[Direction, str]] = {
    "loudness": ("none", "LUFS"),
    "loudest": ("none", "LUFS"),
    "true_peak": ("none", "dBTP"),
    "clipped": ("lower", ""),
    "full_scale": ("lower", ""),
    "floor": ("lower", "dBFS"),
    "active": ("none", "dBFS"),
    "band_limit": ("higher", "Hz"),
    "speech": ("none", ""),
}


def picture_metrics() -> list[ItemMetric]:
    """`picture_*`: every figure of `PictureQuality` but the lengths of stretches."""

    def find(sample: Sample) -> Any:
        assert sample.clip is not None
        assert sample.clip.frames is not None
        return picture_quality(sample.clip.frames, float(sample.clip.fps))

    return _metrics("picture", "pictures", once_per_sample(find), PICTURE)


def sound_metrics() -> list[ItemMetric]:
    """`sound_*`: every figure of `SoundQuality`, and `sound_end_click` (`end_click_db`)."""

    def find(sample: Sample) -> Any:
        assert sample.clip is not None
        assert sample.clip.audio is not None
        return sound_quality(sample.clip.audio, sample.clip.sample_rate)

    click = ItemMetric("sound_end_click", _end_click, requires=("sound",), direction="lower", unit="dB")
    return [*_metrics("sound", "sound", once_per_sample(find), SOUND), click]


def clip_metrics() -> list[ItemMetric]:
    """Every weight-free metric that needs nothing but a clip."""
    return [*env_sync_metrics(), *av_align_metrics(), *picture_metrics(), *sound_metrics()]


def _end_click(sample: Sample) -> list[float] | Undefined:
    assert sample.clip is not None
    assert sample.clip.audio is not None
    sound = at_detector_rate(sample.clip.audio, sample.clip.sample_rate)
    if sound.shape[1] < END_CLICK_SECONDS * SAMPLE_RATE:
        return Undefined("the sound is too short to have an end apart from its beginning")
    return [end_click_db(sound), 1.0]


def _metrics(
    side: str, need: str, find: Callable[[Sample], Any], figures: dict[str, tuple[Direction, str]]
) -> list[ItemMetric]:
    def metric(name: str, direction: Direction, unit: str) -> ItemMetric:
        def measure(sample: Sample) -> list[float] | Undefined:
            value = getattr(find(sample), name)
            if value is None or not math.isfinite(value):
                return Undefined(f"no {name.replace('_', ' ')} can be told")
            return [float(value), 1.0]

        return ItemMetric(f"{side}_{name}", measure, requires=(need,), direction=direction, unit=unit)

    return [metric(name, direction, unit) for name, (direction, unit) in figures.items()]
