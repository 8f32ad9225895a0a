"""How the camera moves: the motion that most of the picture shares."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.ndimage import gaussian_filter

from vivace.perception.thresholds import CameraThresholds, thresholds


@dataclass(frozen=True)
class CameraMotion:
    """The camera's way over a whole clip.

    Args:
        move: "still", "pan left", "pan right", "zoom in" or "zoom out".
        pan: how far it turned to the right (negative: left), in picture widths.
        zoom: natural logarithm of how much larger things became.
    """

    move: str
    pan: float
    zoom: float


def camera_motion(frames: np.ndarray, settings: CameraThresholds | None = None) -> CameraMotion:
    """The camera's move in one shot; where the clip has cuts, ask for each shot by itself.

    Args:
        frames: uint8 [T, H, W, 3].
        settings: thresholds other than the frozen ones (calibration only).
    """
    settings = settings or thresholds().camera
    places = sorted({*range(0, len(frames), settings.step), len(frames) - 1})
    pictures = _pictures(frames[places], settings)
    pan = zoom = 0.0
    for first, second in pairwise(pictures):
        shift, growth = _shared_motion(first, second, settings)
        pan -= shift / pictures.shape[2]
        zoom += growth
    share_pan, share_zoom = abs(pan) / settings.least_pan, abs(zoom) / settings.least_zoom
    if max(share_pan, share_zoom) < 1:
        move = "still"
    elif share_pan > share_zoom:
        move = "pan right" if pan > 0 else "pan left"
    else:
        move = "zoom in" if zoom > 0 else "zoom out"
    return CameraMotion(move, pan, zoom)


def _pictures(frames: np.ndarray, settings: CameraThresholds) -> np.ndarray:
    """Smoothed grey pictures [T, H', W'] whose shorter side has about `settings.side` pixels."""
    factor = max(1, round(min(frames.shape[1:3]) / settings.side))
    tall, broad = (size // factor * factor for size in frames.shape[1:3])
    grey = frames[:, :tall, :broad].astype(np.float32) @ np.full(3, 1 / 3, dtype=np.float32)
    small = grey.reshape(len(grey), tall // factor, factor, broad // factor, factor).mean(axis=(2, 4))
    smooth: np.ndarray = gaussian_filter(small, (0, settings.blur, settings.blur), mode="nearest")
    return smooth


def _shared_motion(first: np.ndarray, second: np.ndarray, settings: CameraThresholds) -> tuple[float, float]:
    """(shift to the right in pixels, growth) of the picture from one time to another a few pictures later.

    The change of every pixel is its gradient times its displacement (shift + growth about the middle): least squares
    over the picture, in which pixels that do not fit (what moves by itself) soon count little.
    """
    middle = (first + second) / 2
    down, across = np.gradient(middle)
    rows = np.arange(first.shape[0], dtype=np.float32)[:, None] - (first.shape[0] - 1) / 2
    columns = np.arange(first.shape[1], dtype=np.float32)[None, :] - (first.shape[1] - 1) / 2
    basis = np.stack([across, down, across * columns + down * rows]).reshape(3, -1)
    # Light that changes as a whole is no motion.
    basis = np.concatenate([basis, np.ones((1, basis.shape[1]), dtype=np.float32)])
    change = (first - second).ravel()
    solution = np.zeros(4, dtype=np.float32)
    for _ in range(settings.rounds):
        # It begins with a camera that stands still: where most of what can be seen does, the rest has no say.
        rest = change - solution @ basis
        scale = max(1.5 * float(np.median(np.abs(rest))), settings.change)
        weighted = basis / (1 + (rest / scale) ** 2)
        solution = np.linalg.solve(weighted @ basis.T + 1e-3 * np.eye(4, dtype=np.float32), weighted @ change)
    return float(solution[0]), float(solution[2])
