"""The head of a mallet: a small dark or pale ball that swings, found without knowing where the instrument is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.signal import fftconvolve

from vivace.perception.thresholds import MalletThresholds


@dataclass(frozen=True)
class HeadPath:
    """Where the head is in every frame.

    Args:
        x, y: centre in shorter picture sides from the top left, [frames].
        clarity: mean likeness along the path, 0 to 1.
    """

    x: np.ndarray
    y: np.ndarray
    clarity: float

    def height_of_travel(self) -> float:
        """How far it moves up and down, the outermost twentieth at each end left out, in shorter picture sides."""
        low, high = np.quantile(self.y, [0.05, 0.95])
        return float(high - low)


def head_path(frames: np.ndarray, settings: MalletThresholds) -> HeadPath | None:
    """The path of the clearest head-like ball in a clip, or None where nothing like one swings.

    Args:
        frames: uint8 [T, H, W, 3].
    """
    red, green, blue = (frames[..., k].astype(np.float32) for k in range(3))
    light = (red + green + blue) / 3.0
    chroma = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    grey = np.clip((settings.chroma - chroma) / 25.0, 0.0, 1.0)
    paths = [_follow(_likeness(grey * clear, settings), settings) for clear in _clearness(light, settings)]
    swinging = [path for path in paths if path.height_of_travel() > settings.least_travel]
    clearest = max(swinging, key=lambda path: path.clarity, default=None)
    return clearest if clearest is not None and clearest.clarity > settings.least_clarity else None


def _clearness(light: np.ndarray, settings: MalletThresholds) -> tuple[np.ndarray, np.ndarray]:
    """How clearly each pixel is as dark, and as pale, as a head, in 0 to 1."""
    return np.clip((settings.dark - light) / 30.0, 0.0, 1.0), np.clip((light - settings.pale) / 30.0, 0.0, 1.0)


def _likeness(tone: np.ndarray, settings: MalletThresholds) -> np.ndarray:
    """How much each place looks like the middle of a ball of this tone, [T, H, W] in 0 to 1."""
    # What has the tone all the time (a slot, a foot, a drum's skin) is not what swings.
    tone = tone - tone.min(axis=0)
    kernel = _ball_kernel(settings.radius * min(tone.shape[1:3]))
    likeness: np.ndarray = np.clip(fftconvolve(tone, kernel[None], mode="same", axes=(1, 2)), 0.0, 1.0)
    return likeness


def _ball_kernel(radius: float) -> np.ndarray:
    """Mean inside a disc minus mean in the ring around it, for a radius in pixels."""
    reach = int(np.ceil(1.9 * radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    far = np.hypot(x, y)
    disc = np.clip(radius + 0.5 - far, 0.0, 1.0)
    ring = np.clip(1.9 * radius + 0.5 - far, 0.0, 1.0) * np.clip(far - 1.25 * radius + 0.5, 0.0, 1.0)
    return (disc / disc.sum() - ring / ring.sum()).astype(np.float32)


def _follow(likeness: np.ndarray, settings: MalletThresholds) -> HeadPath:
    """The path with the greatest likeness and the smallest jumps (dynamic programming over the best places)."""
    count, height, width = likeness.shape
    unit = min(height, width)
    places = [_peaks(frame, settings.candidates) for frame in likeness]
    score = [values for _, values in places]
    total, back = score[0], []
    for n in range(1, count):
        jump = np.linalg.norm(places[n][0][:, None, :] - places[n - 1][0][None, :, :], axis=2) / unit
        reach = total[None, :] - settings.jump_cost * np.minimum(jump / settings.farthest, 1.0) ** 2
        back.append(reach.argmax(axis=1))
        total = score[n] + reach.max(axis=1)
    chosen = [int(total.argmax())]
    for best in reversed(back):
        chosen.append(int(best[chosen[-1]]))
    chosen.reverse()
    path = np.array([_centre(likeness[n], places[n][0][k], settings.radius * unit) for n, k in enumerate(chosen)])
    clarity = float(np.mean([score[n][k] for n, k in enumerate(chosen)]))
    return HeadPath(x=(path[:, 1] + 0.5) / unit, y=(path[:, 0] + 0.5) / unit, clarity=clarity)


def _peaks(frame: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The highest local maxima: places [count, 2] (row, column) and values [count]."""
    top = np.where(frame == ndimage.maximum_filter(frame, size=5), frame, -1.0).ravel()
    best = np.argpartition(top, -count)[-count:]
    return np.stack(np.unravel_index(best, frame.shape), axis=1).astype(float), np.maximum(top[best], 0.0)


def _centre(frame: np.ndarray, place: np.ndarray, radius: float) -> tuple[float, float]:
    """Centre of likeness around a place, to a fraction of a pixel."""
    reach = max(2, round(0.8 * radius))
    row, column = int(place[0]), int(place[1])
    top, left = max(0, row - reach), max(0, column - reach)
    window = frame[top : row + reach + 1, left : column + reach + 1] ** 2
    mass = float(window.sum())
    if mass < 1e-9:
        return float(row), float(column)
    rows = float((window.sum(axis=1) * np.arange(window.shape[0])).sum()) / mass
    columns = float((window.sum(axis=0) * np.arange(window.shape[1])).sum()) / mass
    return top + rows, left + columns
