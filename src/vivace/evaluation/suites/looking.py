"""What the blind detectors find in a suite's clip, for its report: ticks under a strip, and what a shift would do.

They know the world's things (what bounces, what is struck); of other clips their onsets of sound are what counts.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vivace.media import Clip
from vivace.perception.percept import Percept, perceive

LONGEST = 20.0  # seconds of a clip whose pictures are looked at
SIDE = 96  # pixels: a shorter side of at least twice this is made smaller by a whole number, but not below this


def found_in(clip: Clip) -> Percept:
    """The detectors' findings, in pictures that are small: all their places and sizes are shares of the picture.

    Of a clip longer than `LONGEST` only the sound: following what moves takes time that grows with its square.
    """
    if clip.frames is None:
        return perceive(clip)
    if clip.seconds > LONGEST:
        return Percept(None, None) if clip.audio is None else perceive(replace(clip, frames=None))
    factor = min(clip.frames.shape[1:3]) // SIDE
    return perceive(clip if factor < 2 else replace(clip, frames=_smaller(clip.frames, factor)))


def _smaller(frames: np.ndarray, factor: int) -> np.ndarray:
    """Pictures [T, H, W, 3] by means over `factor` x `factor` pixels; what does not fill one is cut off."""
    height, width = (side // factor for side in frames.shape[1:3])
    whole = frames[:, : height * factor, : width * factor]
    small = np.empty((len(frames), height, width, 3), np.uint8)
    for number, picture in enumerate(whole):
        small[number] = picture.reshape(height, factor, width, factor, 3).mean(axis=(1, 3)).round()
    return small
