"""Where faces are: linear templates slid over pictures of several sizes, and their finds linked over time.

They see only small things that are lighter, darker or redder than what surrounds them (the whites of eyes, pupils,
brows, lips), and so neither skin nor hair. A template is the linear discriminant between the faces of true clips and
everything else in them (Hariharan et al. 2012), made by `benchmarks/calibrate_talk.py`; it is told neither how many
faces there are nor where. One template is for pictures as they are, one for soft ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from safetensors.numpy import load
from scipy.ndimage import gaussian_filter, grey_closing, grey_opening, map_coordinates
from scipy.signal import fftconvolve

from vivace.perception.thresholds import FaceThresholds, thresholds

UNIT = 8  # pixels of a template in half a head's width
COLUMNS, ROWS = 18, 12  # of a template
MIDDLE = 0.20  # of a template below the middle of the head, in half head widths
_SMALL = 0.085  # of the shorter picture side: what is narrower stands out from its surroundings
_FULL = 45.0  # 0 to 255: what stands out by more counts as much as this
_BLUR = 0.4  # standard deviation of the smoothing before a picture is made smaller, in pixels of the small one


@dataclass(frozen=True)
class Face:
    """One face in one picture: the middle of the head and half its width, in pixels."""

    column: float
    row: float
    size: float
    score: float


@dataclass(frozen=True)
class FaceTrack:
    """One face over a clip: the middle of the head at each picture and half its width, in pixels; each [T]."""

    columns: np.ndarray
    rows: np.ndarray
    sizes: np.ndarray
    score: float


def details(frame: np.ndarray) -> np.ndarray:
    """How much every pixel is lighter, darker and redder than its surroundings, 0 to 1, float32 [3, H, W].

    Args:
        frame: uint8 [H, W, 3].
    """
    colours = frame.astype(np.float32)
    reach = max(3, round(_SMALL * min(frame.shape[:2])))
    white, grey = colours.min(axis=-1), colours.mean(axis=-1)
    red = colours[..., 0] - 0.5 * (colours[..., 1] + colours[..., 2])
    box = (reach, reach)
    found = np.stack([white - grey_opening(white, box), grey_closing(grey, box) - grey, red - grey_opening(red, box)])
    return np.clip(found / _FULL, 0.0, 1.0)


def _smooth(shown: np.ndarray, size: float) -> np.ndarray:
    blurred: np.ndarray = gaussian_filter(shown, (0.0, _BLUR * size / UNIT, _BLUR * size / UNIT))
    return blurred


def _sampled(smooth: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    places = np.meshgrid(rows, columns, indexing="ij")
    return np.stack([map_coordinates(plane, places, order=1, mode="nearest") for plane in smooth]).astype(np.float32)


def reduced(shown: np.ndarray, size: float) -> np.ndarray:
    """Details so small that half a head's width `size` (pixels) becomes `UNIT`, float32 [3, H', W']."""
    ratio = size / UNIT
    rows, columns = ((np.arange(int(side / ratio)) + 0.5) * ratio - 0.5 for side in shown.shape[1:])
    return _sampled(_smooth(shown, size), rows, columns)


def window_at(shown: np.ndarray, face: Face) -> np.ndarray:
    """The details that a template sees of a face, float32 [3, ROWS, COLUMNS]."""
    columns = face.column + (np.arange(COLUMNS) + 0.5 - COLUMNS / 2) / UNIT * face.size - 0.5
    rows = face.row + ((np.arange(ROWS) + 0.5 - ROWS / 2) / UNIT + MIDDLE) * face.size - 0.5
    return _sampled(_smooth(shown, face.size), rows, columns)


def place_of_window(row: int, column: int, size: float, score: float) -> Face:
    """The face that a window of `reduced` details shows."""
    return Face((column + COLUMNS / 2) / UNIT * size, ((row + ROWS / 2) / UNIT - MIDDLE) * size, size, score)


@lru_cache(maxsize=1)
def _templates() -> tuple[np.ndarray, np.ndarray]:
    """Weights [templates, 3, ROWS, COLUMNS] and biases [templates]."""
    stored = load((files("vivace.perception") / "faces.safetensors").read_bytes())
    return stored["weight"], stored["bias"]


def scores(small: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The best template's score of every window of `reduced` details, [rows, columns]; empty where none fits."""
    if small.shape[1] < ROWS or small.shape[2] < COLUMNS:
        return np.zeros((0, 0), dtype=np.float32)
    found: np.ndarray = fftconvolve(small[None], weight[:, ::-1, ::-1, ::-1], mode="valid", axes=(1, 2, 3))[:, 0]
    best: np.ndarray = (found + bias[:, None, None]).max(axis=0)
    return best


def faces_in(frame: np.ndarray, settings: FaceThresholds) -> list[Face]:
    """The faces of one picture uint8 [H, W, 3], surest first; no two overlap."""
    weight, bias = _templates()
    shown = details(frame)
    found: list[Face] = []
    for size in _sizes(frame, settings):
        score = scores(reduced(shown, size), weight, bias)
        found += [
            place_of_window(int(row), int(column), size, float(score[row, column]))
            for row, column in np.argwhere(score > settings.least)
        ]
    return _apart(found)


def likeliest_face(frames: np.ndarray, settings: FaceThresholds) -> Face | None:
    """Where a clip looks most like a face over its whole length, however little; None where nothing stands out.

    For clips of which it is known that they show one person, who may be too blurred for `face_tracks`.

    Args:
        frames: uint8 [T, H, W, 3].
    """
    weight, bias = _templates()
    looks = [details(frames[place]) for place in _looks(frames, settings)]
    best: Face | None = None
    for size in _sizes(frames[0], settings):
        score = np.mean([scores(reduced(shown, size), weight, bias) for shown in looks], axis=0)
        if not score.size:
            continue
        row, column = np.unravel_index(int(score.argmax()), score.shape)
        found = place_of_window(int(row), int(column), size, float(score[row, column]))
        if found.score > bias.max() and (best is None or found.score > best.score):
            best = found
    return best


def _sizes(frame: np.ndarray, settings: FaceThresholds) -> list[float]:
    """Half widths of heads to look for, in pixels."""
    sizes = min(frame.shape[:2]) * np.geomspace(settings.smallest, settings.largest, settings.steps)
    return [float(size) for size in sizes]


def _looks(frames: np.ndarray, settings: FaceThresholds) -> np.ndarray:
    """Places of the pictures that are looked at."""
    return np.unique(np.linspace(0, len(frames) - 1, settings.looks).round().astype(int))


def _apart(found: list[Face]) -> list[Face]:
    """One face for each group of finds that overlap: the mean of the surest of them."""
    kept: list[Face] = []
    rest = sorted(found, key=lambda face: -face.score)
    while rest:
        best = rest[0]
        sure = [face for face in rest if _distance(face, best) < 0.35 * best.size and face.score > 0.6 * best.score]
        weight = [face.score for face in sure]
        column, row, size = (
            float(np.average([getattr(face, name) for face in sure], weights=weight))
            for name in ("column", "row", "size")
        )
        kept.append(Face(column, row, size, best.score))
        rest = [face for face in rest if _distance(face, best) >= best.size]
    return kept


def face_tracks(frames: np.ndarray, settings: FaceThresholds | None = None) -> list[FaceTrack]:
    """The faces of a clip from left to right.

    Args:
        frames: uint8 [T, H, W, 3].
        settings: thresholds other than the frozen ones (calibration only).
    """
    settings = settings or thresholds().faces
    places = _looks(frames, settings)
    chains: list[list[tuple[int, Face]]] = []
    for place in places:
        for face in faces_in(frames[place], settings):
            open_chains = [chain for chain in chains if chain[-1][0] < place]
            near = [chain for chain in open_chains if _distance(chain[-1][1], face) < 0.5 * face.size]
            if near:
                near[0].append((int(place), face))
            else:
                chains.append([(int(place), face)])
    tracks = []
    for chain in chains:
        if len(chain) < settings.share * len(places):
            continue
        at = [place for place, _ in chain]
        columns, rows, sizes = (
            np.interp(np.arange(len(frames)), at, [getattr(face, name) for _, face in chain])
            for name in ("column", "row", "size")
        )
        tracks.append(FaceTrack(columns, rows, sizes, float(np.mean([face.score for _, face in chain]))))
    return sorted(tracks, key=lambda track: float(track.columns.mean()))


def _distance(first: Face, second: Face) -> float:
    return float(np.hypot(first.column - second.column, first.row - second.row))
