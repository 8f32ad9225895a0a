"""Every weight-free figure of a picture's and a sound's quality in one call, for reports and for curation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vivace.perception.band_limit import band_limit
from vivace.perception.clipping import detect_clipping
from vivace.perception.cuts import detect_cuts
from vivace.perception.exposure import measure_exposure
from vivace.perception.fades import detect_fades
from vivace.perception.flicker import measure_flicker
from vivace.perception.flow import measure_flow
from vivace.perception.loudness import measure_loudness
from vivace.perception.noise_floor import measure_noise_floor
from vivace.perception.sharpness import measure_sharpness
from vivace.perception.stills import detect_stills
from vivace.perception.text_overlay import text_share
from vivace.perception.voice_activity import detect_voice


@dataclass(frozen=True)
class PictureQuality:
    """Figures of pictures; what each means says the module that it comes from.

    frozen, black: shares of the clip; longest_frozen, longest_black: seconds (`stills`). flicker: 0 to 127.5, None for
    fewer than three pictures. sharpness: 0 to 1, None without detail. brightness, contrast, crushed, blown
    (`exposure`). motion: mean speed in shorter picture sides per second, None for one picture (`flow`). text: share of
    the picture (`text_overlay`). cuts, fades: how many.
    """

    frozen: float | None
    longest_frozen: float
    black: float
    longest_black: float
    flicker: float | None
    sharpness: float | None
    brightness: float
    contrast: float
    crushed: float
    blown: float
    motion: float | None
    text: float
    cuts: int
    fades: int


@dataclass(frozen=True)
class SoundQuality:
    """Figures of a sound; what each means says the module that it comes from.

    loudness, loudest: LUFS, None for silence; true_peak: dBTP (`loudness`). clipped, full_scale: shares (`clipping`).
    floor, active: dBFS (`noise_floor`). band_limit: Hz, None for silence. speech: share of the time (`voice_activity`).
    """

    loudness: float | None
    loudest: float | None
    true_peak: float
    clipped: float
    full_scale: float
    floor: float
    active: float
    band_limit: float | None
    speech: float


def picture_quality(frames: np.ndarray, fps: float) -> PictureQuality:
    """All figures of pictures uint8 [T, H, W, 3] at `fps` pictures per second."""
    stills, light = detect_stills(frames, fps), measure_exposure(frames)
    flow = measure_flow(frames, fps)
    return PictureQuality(
        frozen=stills.frozen,
        longest_frozen=stills.longest_frozen,
        black=stills.black,
        longest_black=stills.longest_black,
        flicker=measure_flicker(frames, fps),
        sharpness=measure_sharpness(frames),
        brightness=light.brightness,
        contrast=light.contrast,
        crushed=light.crushed,
        blown=light.blown,
        motion=float(flow.speed.mean()) if len(flow.vectors) else None,
        text=text_share(frames),
        cuts=len(detect_cuts(frames, fps)),
        fades=len(detect_fades(frames, fps)),
    )


def sound_quality(audio: np.ndarray, sample_rate: int) -> SoundQuality:
    """All figures of a sound, float [C, N] at `sample_rate` Hz."""
    loudness, clipping = measure_loudness(audio, sample_rate), detect_clipping(audio, sample_rate)
    noise = measure_noise_floor(audio, sample_rate)
    seconds = np.atleast_2d(audio).shape[1] / sample_rate
    spoken = sum(span.end - span.start for span in detect_voice(audio, sample_rate))
    return SoundQuality(
        loudness=loudness.integrated,
        loudest=loudness.loudest,
        true_peak=loudness.true_peak,
        clipped=clipping.share,
        full_scale=clipping.full_scale,
        floor=noise.floor,
        active=noise.active,
        band_limit=band_limit(audio, sample_rate),
        speech=spoken / seconds if seconds else 0.0,
    )
