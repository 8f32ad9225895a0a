"""How the people of a clip look, in colours and places, and whether words describe them. No weights.

Where a face is seen, hair is above it and clothes are below. Words are looked at for hair and clothes of the colours
that have a name, and for the place in the picture; what cannot be seen this way says nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from vivace.perception.lips import MOUTH, mouths
from vivace.world.palette import COLOURS, HAIR_RGB

_CLOTHES = (1.75, 2.4)  # rows below the middle of the head, in half head widths
_HAIR = (-1.18, -0.92)
_WIDE = 0.5  # half the width that is looked at
_HEAD_ROWS, _HEAD_WIDE = (-1.25, 0.9), 0.7
_NEAR = 70.0  # distance of two colours (0 to 441) at which they are hardly the same
_HAIR_WORDS = re.compile(rf"\b({'|'.join(HAIR_RGB)})\b(?=[\w\s]*\b(?:hair|bun)\b)")
_PLACES = {"left": -0.5, "right": 0.5, "middle": 0.0, "centre": 0.0, "center": 0.0}


@dataclass(frozen=True)
class Appearance:
    """One face of a clip.

    Args:
        x: middle of the face on the screen, -1 (left) to 1 (right).
        opening: of the mouth per picture.
        hair, clothes: median colours, 0 to 255; None where they lie outside the picture.
        head: face and hair, without clothes and what is behind, float [12, 12, 3] in 0 to 1, the mean over the clip.
    """

    x: float
    opening: tuple[float, ...]
    hair: tuple[float, float, float] | None
    clothes: tuple[float, float, float] | None
    head: np.ndarray


def appearances(frames: np.ndarray) -> list[Appearance]:
    """The faces of pictures uint8 [T, H, W, 3] from left to right."""
    height, width = frames.shape[1:3]
    chosen = frames[np.unique(np.linspace(0, len(frames) - 1, 5).round().astype(int))]
    found = []
    for mouth in mouths(frames):
        size = mouth.size * min(height, width)
        column = (mouth.x + 1) / 2 * width
        row = (mouth.y + 1) / 2 * height - MOUTH * size
        found.append(
            Appearance(
                mouth.x,
                mouth.opening,
                _colour(chosen, row, column, size, _HAIR),
                _colour(chosen, row, column, size, _CLOTHES),
                _head(chosen, row, column, size),
            )
        )
    return found


def likeness(appearance: Appearance, looks: str) -> float:
    """How well words describe a face, 0 to 1; 0.5 where they say nothing that can be seen."""
    text = looks.lower()
    scores = []
    hair = _HAIR_WORDS.search(text)
    if hair is not None and appearance.hair is not None:
        scores.append(_same(appearance.hair, HAIR_RGB[hair[1]]))
    clothed = _HAIR_WORDS.sub("", text)
    for colour in re.findall(rf"\b({'|'.join(COLOURS)})\b", clothed)[:1]:
        if appearance.clothes is not None:
            scores.append(_same(appearance.clothes, COLOURS[colour]))
    for place in re.findall(rf"\b({'|'.join(_PLACES)})\b", text)[:1]:
        scores.append(max(0.0, 1 - abs(appearance.x - _PLACES[place])))
    return float(np.mean(scores)) if scores else 0.5


def _same(first: tuple[float, ...], second: tuple[int, ...]) -> float:
    return float(np.exp(-((np.linalg.norm(np.subtract(first, second)) / _NEAR) ** 2)))


def _colour(
    frames: np.ndarray, row: float, column: float, size: float, rows: tuple[float, float]
) -> tuple[float, float, float] | None:
    height, width = frames.shape[1:3]
    top, bottom = (int(np.clip(round(row + r * size), 0, height)) for r in rows)
    left, right = (int(np.clip(round(column + c * size), 0, width)) for c in (-_WIDE, _WIDE))
    if bottom - top < 2 or right - left < 2:
        return None
    red, green, blue = np.median(frames[:, top:bottom, left:right].reshape(-1, 3), axis=0)
    return float(red), float(green), float(blue)


def _head(frames: np.ndarray, row: float, column: float, size: float) -> np.ndarray:
    height, width = frames.shape[1:3]
    rows = np.clip(np.round(row + np.linspace(*_HEAD_ROWS, 12) * size), 0, height - 1).astype(int)
    columns = np.clip(np.round(column + np.linspace(-_HEAD_WIDE, _HEAD_WIDE, 12) * size), 0, width - 1).astype(int)
    head: np.ndarray = frames[:, rows][:, :, columns].astype(np.float32).mean(axis=0) / 255
    return head
