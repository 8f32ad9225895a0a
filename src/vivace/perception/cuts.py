"""Hard cuts: the moments at which the whole picture becomes another one."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from itertools import pairwise

import numpy as np

from vivace.media import Clip
from vivace.perception.thresholds import CutThresholds, thresholds

_AT_ONCE = 16  # pictures: a float copy of a whole clip may not fit in memory


def change_shares(grid: np.ndarray, settings: CutThresholds) -> np.ndarray:
    """Share of the picture that differs between the pictures before and those from n on, [T].

    Medians over a few pictures on either side pass over what merely moves through a cell, and a decoder's smear over
    two or three pictures still counts as one cut.

    Args:
        grid: mean colours of the pictures' parts, [T, cells, cells, 3].
    """
    shares = np.zeros(len(grid))
    for n in range(1, len(grid)):
        before = np.median(grid[max(0, n - settings.reach) : n], axis=0)
        after = np.median(grid[n : n + settings.reach], axis=0)
        shares[n] = (np.abs(after - before).mean(axis=-1) > settings.level).mean()
    return shares


def detect_cuts(frames: np.ndarray, fps: float, settings: CutThresholds | None = None) -> list[float]:
    """Times in seconds at which a new shot begins (the time of its first picture).

    Args:
        frames: uint8 [T, H, W, 3].
        fps: pictures per second.
        settings: thresholds other than the frozen ones (calibration only).
    """
    settings = settings or thresholds().cuts
    grid = mean_colours(frames, settings.cells)
    shares = change_shares(grid, settings)
    steps = np.zeros(len(grid))
    steps[1:] = np.abs(np.diff(grid, axis=0)).mean(axis=(1, 2, 3))
    cuts: list[float] = []
    above = np.flatnonzero(shares > settings.share)
    for run in np.split(above, np.flatnonzero(np.diff(above) > 1) + 1):
        if len(run):
            # Around a cut the shares stay high for a few pictures; the picture changes most at the cut itself.
            cuts.append(float(run[steps[run].argmax()]) / fps)
    return cuts


def split_at(clip: Clip, cuts: list[float]) -> list[Clip]:
    """The clip's shots as clips of their own, each of whose time begins at its cut.

    Args:
        clip: pictures and, if it has one, sound.
        cuts: seconds, ascending, as `detect_cuts` gives them.
    """
    edges = [0.0, *cuts, np.inf]
    shots = []
    for start, end in pairwise(edges):
        frames, audio = clip.frames, clip.audio
        if frames is not None:
            times = np.arange(len(frames)) / float(Fraction(clip.fps))
            frames = frames[(times > start - 1e-6) & (times < end - 1e-6)]
        if audio is not None:
            last = audio.shape[-1] if end == np.inf else round(end * clip.sample_rate)
            audio = audio[..., round(start * clip.sample_rate) : last]
        shots.append(dataclasses.replace(clip, frames=frames, audio=audio))
    return shots


def mean_colours(frames: np.ndarray, cells: int) -> np.ndarray:
    """Mean colours of `cells` x `cells` parts of each picture, [T, cells, cells, 3]."""
    count, height, width, _ = frames.shape
    rows, columns = _means(height, cells), _means(width, cells)
    grid = np.empty((count, cells, cells, 3), dtype=np.float32)
    for start in range(0, count, _AT_ONCE):
        part = frames[start : start + _AT_ONCE].astype(np.float32)
        means = rows @ part.reshape(len(part), height, width * 3)
        grid[start : start + _AT_ONCE] = columns @ means.reshape(len(part), cells, width, 3)
    return grid


def _means(size: int, cells: int) -> np.ndarray:
    """The matrix [cells, size] that takes the mean over each of `cells` equal parts of `size` pixels."""
    part = np.arange(size) * cells // size
    matrix = (part[None, :] == np.arange(cells)[:, None]).astype(np.float32)
    return matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
