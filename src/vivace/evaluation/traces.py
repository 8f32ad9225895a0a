"""What the measures of sound and picture together need of each side, so small that every clip's can be kept.

With them the pictures of one clip can be measured with the sound of another after both clips are gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vivace.evaluation.av_align import av_align_outcomes, motion_peaks
from vivace.evaluation.env_sync import env_sync_outcomes, of_envelopes
from vivace.evaluation.metric import Undefined
from vivace.evaluation.shared_flow import flow_of
from vivace.media import Clip
from vivace.perception.flow import impact_envelope
from vivace.perception.onsets import detect_onsets, onset_envelope

_DIGITS = 5


@dataclass(frozen=True)
class PictureTrace:
    """impacts: their envelope, one value a picture. peaks: seconds at which the motion is strongest."""

    fps: float
    impacts: tuple[float, ...]
    peaks: tuple[float, ...]


@dataclass(frozen=True)
class SoundTrace:
    """seconds: its length. onsets: their envelope, one value every 5 ms. peaks: seconds at which something begins."""

    seconds: float
    onsets: tuple[float, ...]
    peaks: tuple[float, ...]


def picture_trace(clip: Clip) -> PictureTrace:
    """Of a clip with pictures."""
    flow, fps = flow_of(clip), float(clip.fps)
    return PictureTrace(fps, _rounded(impact_envelope(flow)), _rounded(motion_peaks(flow.speed, fps)))


def sound_trace(clip: Clip) -> SoundTrace:
    """Of a clip with sound."""
    assert clip.audio is not None
    peaks = [onset.time for onset in detect_onsets(clip.audio, clip.sample_rate)]
    envelope = onset_envelope(clip.audio, clip.sample_rate)
    return SoundTrace(clip.audio.shape[1] / clip.sample_rate, _rounded(envelope), _rounded(peaks))


def outcomes_of_traces(pictures: PictureTrace, sound: SoundTrace) -> dict[str, list[float] | Undefined]:
    """Env-Sync and AV-Align of these pictures with this sound, by metric."""
    found = of_envelopes(np.array(pictures.impacts), pictures.fps, np.array(sound.onsets), sound.seconds)
    return env_sync_outcomes(found) | av_align_outcomes(sound.peaks, pictures.peaks, pictures.fps)


def picture_trace_from_json(stored: dict[str, Any]) -> PictureTrace:
    return PictureTrace(stored["fps"], tuple(stored["impacts"]), tuple(stored["peaks"]))


def sound_trace_from_json(stored: dict[str, Any]) -> SoundTrace:
    return SoundTrace(stored["seconds"], tuple(stored["onsets"]), tuple(stored["peaks"]))


def _rounded(values: Any) -> tuple[float, ...]:
    return tuple(round(float(value), _DIGITS) for value in values)
