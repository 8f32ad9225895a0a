"""How far each mouth of a clip is open, picture by picture.

Lips, teeth, tongue and the dark between them are whatever is not like the skin (or beard) beside the mouth: their
height in the middle of the mouth is the opening. A head that sways or a camera that moves changes nothing of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates

from vivace.perception.faces import FaceTrack, face_tracks
from vivace.perception.thresholds import Thresholds, thresholds

MOUTH = 0.60  # below the middle of the head, in half head widths, as are all lengths here
_TOP, _BOTTOM, _STEP = 0.42, 1.04, 0.02
_HALF = 0.14  # half the width of the middle of the mouth
_BESIDE = (0.54, 0.62)  # skin or beard beside the mouth
_BESIDE_ROWS = (0.46, 0.60)
_AT_REST = 0.1  # the share of the pictures in which the mouth is open least


@dataclass(frozen=True)
class Mouth:
    """One mouth.

    Args:
        x, y: mean place of the closed lips on the screen, -1 (left, top) to 1 (right, bottom).
        size: half the head's width in shorter picture sides.
        opening: per picture, 0 closed to about 1.
    """

    x: float
    y: float
    size: float
    opening: tuple[float, ...]


def mouths(frames: np.ndarray, settings: Thresholds | None = None) -> list[Mouth]:
    """The mouths of a clip from left to right.

    Args:
        frames: uint8 [T, H, W, 3].
        settings: thresholds other than the frozen ones (calibration only).
    """
    settings = settings or thresholds()
    height, width = frames.shape[1:3]
    found = []
    for track in face_tracks(frames, settings.faces):
        heights = lip_heights(frames, track, settings.lips.unlike, settings.lips.other)
        opening = (heights - np.quantile(heights, _AT_REST)) * settings.lips.gain
        x, y = float(track.columns.mean()), float((track.rows + MOUTH * track.sizes).mean())
        found.append(
            Mouth(
                2 * x / width - 1,
                2 * y / height - 1,
                float(track.sizes.mean()) / min(height, width),
                tuple(float(value) for value in opening),
            )
        )
    return found


def lip_heights(frames: np.ndarray, track: FaceTrack, unlike: float, other: float) -> np.ndarray:
    """Height of what is no skin in the middle of the mouth, in half head widths, [T].

    Args:
        frames: uint8 [T, H, W, 3].
        track: the mouth's face.
        unlike, other: as of `LipThresholds`.
    """
    rows = np.arange(_TOP, _BOTTOM, _STEP)
    columns = np.linspace(-_HALF, _HALF, 7)
    beside = np.linspace(*_BESIDE, 3)
    skin = np.median(
        [
            _colours(f, track, n, np.linspace(*_BESIDE_ROWS, 7), np.append(-beside, beside))
            for n, f in enumerate(frames)
        ],
        axis=(0, 1, 2),
    )
    heights = []
    for number, frame in enumerate(frames):
        away = np.linalg.norm(_colours(frame, track, number, rows, columns) - skin, axis=-1)
        heights.append(float(np.clip((away - unlike) / (other - unlike), 0, 1).sum(axis=0).mean()) * _STEP)
    return np.array(heights)


def _colours(frame: np.ndarray, track: FaceTrack, number: int, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Colours at places of a face, float32 [rows, columns, 3]."""
    size = track.sizes[number]
    places = np.meshgrid(
        track.rows[number] + rows * size - 0.5, track.columns[number] + columns * size - 0.5, indexing="ij"
    )
    planes = (map_coordinates(frame[..., k], places, order=1, mode="nearest", output=np.float32) for k in range(3))
    return np.stack(list(planes), axis=-1)
