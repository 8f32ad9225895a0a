"""A clip in memory: pictures, sound and their rates."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from vivace.errors import VivaceError
from vivace.timeline import as_rate


@dataclass(frozen=True, eq=False)
class Clip:
    """Pictures and sound that begin at the same moment; either may be None, not both.

    Args:
        frames: uint8 [T, H, W, 3], RGB, or None.
        fps: pictures per second, exact.
        audio: float32 [C, N] in [-1, 1], or None.
        sample_rate: audio samples per second (Hz).

    Raises:
        VivaceError: a wrong shape or type, an empty side, sound that is not finite, a rate out of range.
    """

    frames: np.ndarray | None
    fps: Fraction
    audio: np.ndarray | None
    sample_rate: int

    def __post_init__(self) -> None:
        if self.frames is None and self.audio is None:
            raise VivaceError("The clip has neither pictures nor sound; give frames, audio or both.")
        object.__setattr__(self, "fps", as_rate(self.fps))
        if self.frames is not None:
            check_frames(self.frames)
        if self.audio is not None:
            check_audio(self.audio, self.sample_rate)

    @property
    def seconds(self) -> Fraction:
        """Length of the pictures, or of the sound where there are none."""
        if self.frames is not None:
            return len(self.frames) / self.fps
        assert self.audio is not None
        return Fraction(self.audio.shape[1], self.sample_rate)


def check_frames(frames: np.ndarray) -> None:
    """Refuse anything but uint8 [T, H, W, 3] with T, H, W above 0.

    Raises:
        VivaceError: a wrong shape or type.
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or 0 in frames.shape:
        raise VivaceError(
            f"Frames of type {frames.dtype} and shape {list(frames.shape)} are not pictures; give uint8 [T, H, W, 3]."
        )


def check_audio(audio: np.ndarray, sample_rate: int) -> None:
    """Refuse anything but finite float32 [C, N] with N above 0 at a rate of 4 to 192 kHz.

    Raises:
        VivaceError: a wrong shape or type, a sample that is not finite, a rate out of range.
    """
    if audio.dtype != np.float32 or audio.ndim != 2 or 0 in audio.shape:
        raise VivaceError(
            f"Audio of type {audio.dtype} and shape {list(audio.shape)} is not sound; give float32 [channels, samples]."
        )
    if not np.isfinite(audio).all():
        raise VivaceError("Audio has samples that are not finite; replace them before the sound is used.")
    check_sample_rate(sample_rate)


def check_sample_rate(sample_rate: int) -> None:
    """Raises VivaceError unless the rate is a whole number of Hz from 4000 to 192000."""
    if not isinstance(sample_rate, (int, np.integer)) or not 4000 <= sample_rate <= 192000:
        raise VivaceError(f"Sample rate {sample_rate!r} is out of range; give a whole number of 4000 to 192000 Hz.")


def check_loudness(audio: np.ndarray) -> None:
    """Refuse samples outside [-1, 1], which a file would clip.

    Raises:
        VivaceError: the peak is above 1 by more than a 16-bit step.
    """
    peak = float(np.abs(audio).max())
    if peak > 1 + 1 / 32768:
        raise VivaceError(f"Audio peaks at {peak:.3g}, above 1; scale it first, as vivace.media.peak_limited does.")


def peak_limited(audio: np.ndarray) -> np.ndarray:
    """The same sound [C, N] with its gain lowered, as a whole, just so far that no sample leaves [-1, 1]."""
    peak = float(np.abs(audio).max(initial=0.0))
    return audio if peak <= 1 else (audio / np.float32(peak)).clip(-1, 1).astype(np.float32)
