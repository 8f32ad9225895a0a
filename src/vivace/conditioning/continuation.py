"""Continuing a clip: which part of it the model is shown, and how the parts are put together.

The end of the given clip is encoded as a causal sequence of its own, whose first latent covers one picture: latents of
a causal codec are never sliced. What is made begins with that tail, so that it decodes with its past, and the given
clip comes back as it was.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
from scipy.ndimage import gaussian_filter

from vivace.conditioning.given import Known
from vivace.errors import VivaceError
from vivace.media import Clip
from vivace.timeline import Timeline

LEVELLING_SECONDS = Fraction(1, 4)
_COARSE = 1 / 16  # of the shorter side: the width of the blur that leaves what is coarse
_NEAR = 1.5  # pixels around one that moves
_MOVED = 8.0  # of 255: the change by which a place has certainly moved


def cut_tail(clip: Clip, like: Timeline, context: float) -> tuple[Known, Known, Timeline]:
    """A clip at the model's size and rates, cut in two.

    Args:
        clip: with stereo sound, or none.
        like: a timeline with the model's rates.
        context: how much of the clip's end the model is shown (s), as far as the clip reaches.

    Returns:
        what stays outside, the tail that the model is shown, and the tail's timeline.

    Raises:
        VivaceError: shorter than one picture.
    """
    if clip.frames is not None:
        pictures = len(clip.frames)
    else:
        assert clip.audio is not None
        pictures = int(Fraction(clip.audio.shape[1], clip.sample_rate) * like.fps + Fraction(1, 1000))
    if pictures < 1:
        raise VivaceError(
            f"The given clip lasts {float(clip.seconds):.3f} s, less than one picture; give a longer one."
        )
    shown = like.fitting_frames(min(pictures, round(context * like.fps)))
    tail = replace(like, frames=shown)
    before, after = Known(), Known()
    if clip.frames is not None:
        before, after = Known(clip.frames[: pictures - shown]), Known(clip.frames[pictures - shown :])
    if clip.audio is not None:
        if clip.frames is not None:
            start = math.ceil((pictures - shown) / like.fps * clip.sample_rate)
        else:
            start = max(0, clip.audio.shape[1] - tail.samples)
        before, after = replace(before, sound=clip.audio[:, :start]), replace(after, sound=clip.audio[:, start:])
    return before, after, tail


def levelled(shown: np.ndarray, made: np.ndarray, fps: Fraction) -> np.ndarray:
    """What was made, without a step in brightness, colour or sharpness behind the pictures that were given.

    The codecs return what was given a little changed. That change at the last given picture is taken off what follows,
    less and less over a quarter of a second: its coarse part everywhere, fine detail only where nothing has moved
    since, for it would stay behind as a ghost (ours).

    Args:
        shown: the given pictures, uint8 [n, H, W, 3]. made: uint8 [T, H, W, 3], n of which show what was given.
    """
    count = min(len(made) - len(shown), round(LEVELLING_SECONDS * fps))
    if count < 1 or not len(shown):
        return made
    width = min(made.shape[1:3]) * _COARSE
    last = made[len(shown) - 1].astype(np.float32)
    change = shown[-1] - last
    coarse = gaussian_filter(change, (width, width, 0), mode="nearest")
    out, still = made.copy(), np.ones((*made.shape[1:3], 1), np.float32)
    for number in range(count):
        place = len(shown) + number
        moved = gaussian_filter(np.abs(made[place] - last).max(axis=2, keepdims=True), (_NEAR, _NEAR, 0))
        # What has moved once may have left something else behind: it is still no more.
        still = np.minimum(still, np.clip(1 - moved / _MOVED, 0, 1))
        taken_off = (1 - number / count) * (coarse + still * (change - coarse))
        out[place] = np.clip(made[place] + taken_off + 0.5, 0, 255).astype(np.uint8)
    return out


def prepend(
    before: Known, frames: np.ndarray | None, audio: np.ndarray | None
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The part that stayed outside, then the part that was made. uint8 [T, H, W, 3] and float32 [2, N], or None"""
    if frames is not None and before.pictures is not None:
        frames = np.concatenate([before.pictures, frames])
    if audio is not None and before.sound is not None:
        audio = np.concatenate([before.sound, audio], axis=1)
    return frames, audio
