"""Audio-visual coherence: whether what moves is what sounds, and by how much one is late.

Clips whose sound follows their pictures are "strong"; others, such as music over pictures, "weak". Both are kept and
kept apart: `balance` keeps weak ones at the share that is asked for (Alive).
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np
from pydantic import Field

from vivace.curation.clip import Clip, Rejected
from vivace.curation.motion import flow_of
from vivace.curation.stage import Bound, StageSettings

STRONG, WEAK = "strong", "weak"
_RATE = 100.0  # Hz at which both sides are compared
_SMOOTH = 0.03  # seconds


class CoherenceSettings(StageSettings):
    """Bounds: out_of_sync, of clips that are strongly coherent at some shift."""

    DEFAULT_BOUNDS: ClassVar = {"out_of_sync": Bound(column="coherence.shift", most=0.12)}

    strong: float = Field(default=0.35, ge=0, le=1, description="correlation from which a clip is strongly coherent")
    farthest: float = Field(default=0.6, gt=0, description="seconds of shift that are looked for")


class Coherence:
    """Correlates the sound's onsets with sudden ends of motion, and mouths with the voice where there are any."""

    name: ClassVar[str] = "coherence"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: CoherenceSettings) -> None:
        self.settings = settings

    def measure(self, clip: Clip) -> Clip | Rejected:
        from vivace.perception.flow import impact_envelope
        from vivace.perception.onsets import onset_envelope

        material = clip.material()
        if material.audio is None or material.frames is None:
            return Rejected("no_sound")
        fps = float(material.fps)
        seen = impact_envelope(flow_of(clip))
        heard = onset_envelope(material.audio, material.sample_rate)
        events, late = best_shift(seen, fps, heard, 200.0, self.settings.farthest)
        lips, lips_late = self._lips(clip)
        best, shift = max((events, late), (lips, lips_late))
        strong = best >= self.settings.strong
        return clip.with_columns(
            self.name,
            events=round(events, 4),
            lips=round(lips, 4),
            late=round(shift, 4) if strong else None,
            shift=round(abs(shift), 4) if strong else None,
            kind=STRONG if strong else WEAK,
        )

    def _lips(self, clip: Clip) -> tuple[float, float]:
        """Correlation of the mouths with the voice and the voice's delay; zeros without mouths or a voice."""
        from vivace.perception.lip_sync import lip_sync, sounding_opening
        from vivace.perception.lips import mouths
        from vivace.perception.thresholds import thresholds
        from vivace.perception.voice_activity import detect_voice

        material = clip.material()
        assert material.frames is not None
        assert material.audio is not None
        if not detect_voice(material.audio, material.sample_rate):
            return 0.0, 0.0
        settings = dataclasses.replace(thresholds().lip_sync, farthest=self.settings.farthest)
        found = lip_sync(
            mouths(material.frames),
            sounding_opening(material.audio, material.sample_rate),
            float(material.fps),
            settings,
        )
        return (0.0, 0.0) if found is None else (max(found.best, 0.0), found.lag)


def best_shift(
    seen: np.ndarray, seen_rate: float, heard: np.ndarray, heard_rate: float, farthest: float
) -> tuple[float, float]:
    """Highest correlation of two envelopes over shifts up to `farthest` seconds, and how late the sound then is.

    Zeros where either side never changes. Both are smoothed alike, so that a picture's time, which is known to 1/fps,
    does not count more sharply than it is.
    """
    seconds = min(len(seen) / seen_rate, len(heard) / heard_rate)
    times = np.arange(max(int(seconds * _RATE), 0)) / _RATE
    if len(times) < _RATE * 0.5:
        return 0.0, 0.0
    sides = []
    for values, rate in ((seen, seen_rate), (heard, heard_rate)):
        # Square roots: one loud event must not be all that counts.
        curve = np.interp(times, np.arange(len(values)) / rate, np.sqrt(np.maximum(values, 0.0)))
        width = round(3 * max(_SMOOTH, 1 / seen_rate) * _RATE)
        bell = np.exp(-0.5 * (np.arange(-width, width + 1) / (max(_SMOOTH, 1 / seen_rate) * _RATE)) ** 2)
        curve = np.convolve(curve, bell / bell.sum(), mode="same")
        sides.append(curve - curve.mean())
    first, second = sides
    norm = float(np.sqrt((first**2).sum() * (second**2).sum()))
    if norm < 1e-9:
        return 0.0, 0.0
    reach = min(round(farthest * _RATE), len(times) // 2)
    lags = np.arange(-reach, reach + 1)
    full = np.correlate(second, first, mode="full")
    found = full[len(times) - 1 + lags] / norm
    top = int(found.argmax())
    return max(float(found[top]), 0.0), float(lags[top] / _RATE)
