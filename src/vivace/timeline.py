"""Where time is converted: seconds, frames, latent frames, audio tokens, samples.

The causal video VAE maps its first latent frame to one picture and each further one to `temporal_stride` pictures.
The causal audio VAE does the same with mel frames. Nobody else in the house writes these formulas.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from vivace.errors import VivaceError

MAX_SECONDS = 60.0


def as_rate(fps: float | str | Fraction) -> Fraction:
    """A frame rate as an exact fraction; 29.97 and 23.976 become 30000/1001 and 24000/1001.

    Raises:
        VivaceError: not a finite positive number.
    """
    try:
        rate = Fraction(fps) if not isinstance(fps, float) else Fraction(fps).limit_denominator(1001)
    except (ValueError, OverflowError, ZeroDivisionError, TypeError):
        raise VivaceError(f"fps {fps!r} is not a number; give frames per second such as 24.") from None
    if not 0 < rate <= 1000:
        raise VivaceError(f"fps {fps!r} is out of range; give a rate from 0.001 to 1000, such as 24.")
    # Broadcast rates are written with two or three decimals: 29.97 means 30000/1001. None of them is 0.
    broadcast = Fraction(max(1, round(rate * 1001 / 1000)) * 1000, 1001)
    return (
        broadcast if isinstance(fps, (float, str)) and rate != round(rate) and abs(rate - broadcast) < 0.001 else rate
    )


@dataclass(frozen=True)
class Timeline:
    """The lengths of one clip in every unit.

    Args:
        frames: pictures in the clip, of the form `temporal_stride * k + 1`.
        fps: pictures per second.
        sample_rate: audio samples per second (Hz).
        temporal_stride: pictures per latent frame after the first.
        mel_rate: mel frames per second (Hz).
        mel_stride: mel frames per audio token after the first.
    """

    frames: int
    fps: Fraction = Fraction(24)
    sample_rate: int = 16000
    temporal_stride: int = 4
    mel_rate: int = 100
    mel_stride: int = 4

    def __post_init__(self) -> None:
        object.__setattr__(self, "fps", as_rate(self.fps))
        if self.frames < 1 or (self.frames - 1) % self.temporal_stride:
            low = max(0, (self.frames - 1) // self.temporal_stride) * self.temporal_stride + 1
            raise VivaceError(
                f"{self.frames} frames do not fit the video codec; use {self.temporal_stride} k + 1, "
                f"such as {low} or {low + self.temporal_stride}."
            )

    @classmethod
    def covering(cls, seconds: float | Fraction, fps: float | Fraction = 24, **rates: int) -> Timeline:
        """The shortest timeline that lasts at least `seconds`, never shorter than one picture.

        A length within half a picture of a fitting one takes that one (2.04 s at 24 fps is 49 pictures, not 53).

        Raises:
            VivaceError: seconds not finite, not positive or above `MAX_SECONDS`; a bad rate, or one at which a picture
                lasts longer than that.
        """
        if not (isinstance(seconds, (int, float, Fraction)) and math.isfinite(seconds) and 0 < seconds <= MAX_SECONDS):
            raise VivaceError(f"seconds {seconds!r} is out of range; give a length above 0 and up to {MAX_SECONDS:g}.")
        rate = as_rate(fps)
        if 1 / rate > MAX_SECONDS:
            raise VivaceError(
                f"fps {float(rate):g} shows a picture for {float(1 / rate):g} s and a clip lasts {MAX_SECONDS:g} s at "
                "most; give a higher rate, such as 24."
            )
        stride = rates.get("temporal_stride", cls.temporal_stride)
        asked = float(seconds * rate)
        steps = max(0, math.ceil((asked - 0.5 - 1) / stride))
        return cls(frames=steps * stride + 1, fps=rate, **rates)

    def extended(self, seconds: float | Fraction) -> Timeline:
        """This timeline with at least `seconds` more, to half a picture, and never less than one latent frame more."""
        steps = max(1, math.ceil((float(seconds * self.fps) - 0.5) / self.temporal_stride))
        return replace(self, frames=self.frames + steps * self.temporal_stride)

    @property
    def seconds(self) -> Fraction:
        return self.frames / self.fps

    @property
    def samples(self) -> int:
        return round(self.seconds * self.sample_rate)

    @property
    def latent_frames(self) -> int:
        return (self.frames - 1) // self.temporal_stride + 1

    @property
    def mel_frames(self) -> int:
        """Mel frames that cover the clip (the last may reach past its end)."""
        # Samples are a whole number, so the sound may end up to half a sample after the picture.
        return math.ceil(max(self.seconds, Fraction(self.samples, self.sample_rate)) * self.mel_rate)

    @property
    def audio_tokens(self) -> int:
        """Audio tokens whose causal decoding covers every sample of the clip.

        NAVA takes ceil(seconds * 25), which for four in six lengths at 24 fps leaves the last 5 to 25 ms without
        sound; this is that number or, for those lengths, one more (ours).
        """
        return (self.mel_frames - 1 + self.mel_stride - 1) // self.mel_stride + 1

    def fitting_frames(self, frames: int) -> int:
        """The most pictures out of `frames` that a causal sequence of their own can hold; at least one."""
        return max(0, frames - 1) // self.temporal_stride * self.temporal_stride + 1

    def latent_frames_within(self, frames: int) -> int:
        """Latent frames that the first `frames` pictures decide."""
        return (min(frames, self.frames) - 1) // self.temporal_stride + 1 if frames > 0 else 0

    def audio_tokens_within(self, seconds: float | Fraction, look_ahead: float = 0.0) -> int:
        """Audio tokens that the first `seconds` of sound decide.

        Args:
            look_ahead: how far (s) past its centre a mel frame listens.
        """
        last = math.floor((Fraction(seconds) - Fraction(look_ahead)) * self.mel_rate + Fraction(1, 1000))
        return min(max(0, last // self.mel_stride + 1), self.audio_tokens)

    @property
    def token_rate(self) -> Fraction:
        """Audio tokens per second."""
        return Fraction(self.mel_rate, self.mel_stride)

    @property
    def latent_rate(self) -> Fraction:
        """Video latent frames per second."""
        return self.fps / self.temporal_stride

    @property
    def audio_rope_scale(self) -> float:
        """Factor that puts audio token n at its position in video latent frames (NAVA §2.2; 0.24 at 24 fps)."""
        return float(self.latent_rate / self.token_rate)

    def frame_times(self) -> np.ndarray:
        """Time of each picture in seconds, [frames]."""
        return np.arange(self.frames) / float(self.fps)

    def latent_frame_times(self) -> np.ndarray:
        """Centre of each latent frame in seconds, [latent_frames]: the middle of the pictures that it covers."""
        k = np.arange(self.latent_frames)
        middle = np.where(k == 0, 0.0, self.temporal_stride * (k - 1) + (self.temporal_stride + 1) / 2)
        return middle / float(self.fps)

    def audio_token_times(self) -> np.ndarray:
        """Centre of each audio token in seconds, [audio_tokens]: the middle of the mel frames that it covers."""
        k = np.arange(self.audio_tokens)
        middle = np.where(k == 0, 0.0, self.mel_stride * (k - 1) + (self.mel_stride + 1) / 2)
        return middle / self.mel_rate

    def frame_of(self, seconds: float) -> int:
        """The picture shown at `seconds` (the last one that has begun), clamped to the clip."""
        # A time that is a whole number of pictures must not fall one short by a rounding error of the product.
        index = math.floor(Fraction(seconds).limit_denominator(10**6) * self.fps)
        return min(max(index, 0), self.frames - 1)

    def sample_of(self, seconds: float) -> int:
        """The nearest audio sample index to `seconds`."""
        return round(seconds * self.sample_rate)
