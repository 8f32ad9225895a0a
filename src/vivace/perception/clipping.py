"""Samples cut off at a ceiling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FULL_SCALE = 0.999
_NEAR = 1e-4  # of the highest sample: nearer than this counts as the same height; three steps of 16 bits at full scale
# The top of a slow wave is as flat as that too. But of a smooth top that holds three samples or more, the next one lies
# at most four times as deep; a wave that is cut off falls away at once. Both of the highest sample, and in full scale,
# where five steps of 16 bits may lie between them.
_EDGE, _EDGE_STEP = 6e-4, 1.5e-4
_LEAST_RUN = 3  # samples that stay at the ceiling
_QUIET = 0.05  # a sound whose highest sample is below this is not looked at: its steps are too coarse


@dataclass(frozen=True)
class Clipping:
    """How much of a sound is cut off.

    Args:
        share: samples inside flat tops (three or more in a row within 0.01 % of the highest sample, beside which the
            sound falls off steeply), of all.
        runs_per_second: flat tops per second, the mean over the channels.
        full_scale: samples at or above 0.999, of all.
    """

    share: float
    runs_per_second: float
    full_scale: float


def detect_clipping(audio: np.ndarray, sample_rate: int) -> Clipping:
    """Flat tops, at full scale or below it (a clip that was turned down after it was clipped).

    A square wave has flat tops too, and a lossy codec rounds them: after one, `full_scale` says more.

    Args:
        audio: float [C, N] or [N]; sample_rate: Hz.
    """
    sound = np.abs(np.atleast_2d(np.asarray(audio, dtype=np.float32)))
    if not sound.size:
        return Clipping(0.0, 0.0, 0.0)
    top = sound.max(axis=1, keepdims=True)
    at_top = (sound >= top * (1.0 - _NEAR)) & (top >= _QUIET)
    inside = runs = 0
    for channel, flat, height in zip(sound, at_top, top[:, 0], strict=True):
        edges = np.flatnonzero(np.diff(np.concatenate([[False], flat, [False]]).astype(np.int8)))
        starts, ends = edges[::2], edges[1::2]
        # Beyond the ends of the sound nothing is known, so nothing falls there.
        around = np.pad(channel, 1, constant_values=height)
        fall = height - np.minimum(around[starts], around[ends + 1])
        long = (ends - starts)[(ends - starts >= _LEAST_RUN) & (fall > max(_EDGE * height, _EDGE_STEP))]
        inside, runs = inside + int(long.sum()), runs + len(long)
    seconds = sound.shape[1] / sample_rate
    return Clipping(inside / sound.size, runs / len(sound) / seconds, float((sound >= FULL_SCALE).mean()))
