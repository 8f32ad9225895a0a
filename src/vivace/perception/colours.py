"""Coloured things in a picture: the strongly coloured pixels, their shapes, and the names of their colours."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage

from vivace.perception.thresholds import ColourThresholds
from vivace.world.palette import COLOURS

NAMES: tuple[str, ...] = tuple(COLOURS)


@lru_cache(maxsize=1)
def _palette_hues() -> np.ndarray:
    return np.array([colorsys.rgb_to_hsv(*(value / 255 for value in rgb))[0] for rgb in COLOURS.values()])


def hue_and_saturation(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hue in [0, 1), saturation in [0, 1] and chroma in 0 to 255 of RGB pixels uint8 [..., 3]."""
    red, green, blue = (pixels[..., k].astype(np.float32) for k in range(3))
    high = np.maximum(np.maximum(red, green), blue)
    chroma = high - np.minimum(np.minimum(red, green), blue)
    safe = np.maximum(chroma, 1e-6)
    hue = np.where(
        high == red,
        (green - blue) / safe % 6.0,
        np.where(high == green, (blue - red) / safe + 2.0, (red - green) / safe + 4.0),
    )
    return hue / 6.0, chroma / np.maximum(high, 1e-6), chroma


def coloured_pixels(frames: np.ndarray, settings: ColourThresholds) -> tuple[np.ndarray, np.ndarray]:
    """(mask, label): strongly coloured pixels, and for every pixel the index in `NAMES` of the nearest hue.

    Args:
        frames: uint8 [..., H, W, 3].

    Returns:
        bool and int8, each [..., H, W].
    """
    hue, saturation, chroma = hue_and_saturation(frames)
    mask = (saturation > settings.saturation) & (chroma > settings.chroma)
    label = np.zeros(hue.shape, dtype=np.int8)
    # Hues only where they are asked for: most of a picture is pale.
    around = np.abs(hue[mask][:, None] - _palette_hues()[None, :])
    label[mask] = np.minimum(around, 1.0 - around).argmin(axis=1)
    return mask, label


@dataclass(frozen=True)
class Shape:
    """One connected coloured shape in one frame; lengths in units of the shorter picture side, from the top left.

    Args:
        x, y: centroid.
        left, right, top, bottom: extent; `bottom` and `top` come from an ellipse through the row widths (sub-pixel).
        area: in squared units.
        votes: share of the shape's pixels per name in `NAMES`.
    """

    x: float
    y: float
    left: float
    right: float
    top: float
    bottom: float
    area: float
    votes: tuple[float, ...]


def shapes(mask: np.ndarray, label: np.ndarray, least_area: float) -> list[Shape]:
    """The connected shapes of one frame's coloured pixels, largest first.

    Args:
        mask, label: [H, W] of one frame, from `coloured_pixels`.
        least_area: smaller shapes are left out, in squared units.
    """
    unit = float(min(mask.shape))
    regions, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    found: list[Shape] = []
    for number, box in enumerate(ndimage.find_objects(regions), start=1):
        inside = regions[box] == number
        count = int(inside.sum())
        if count / unit**2 < least_area:
            continue
        rows, columns = np.nonzero(inside)
        top, bottom = _vertical_extent(inside)
        votes = np.bincount(label[box][inside], minlength=len(NAMES)) / count
        y0, x0 = box[0].start, box[1].start
        found.append(
            Shape(
                x=(x0 + float(columns.mean()) + 0.5) / unit,
                y=(y0 + float(rows.mean()) + 0.5) / unit,
                left=x0 / unit,
                right=box[1].stop / unit,
                top=(y0 + top) / unit,
                bottom=(y0 + bottom) / unit,
                area=count / unit**2,
                votes=tuple(float(v) for v in votes),
            )
        )
    return sorted(found, key=lambda shape: -shape.area)


def _vertical_extent(inside: np.ndarray) -> tuple[float, float]:
    """Upper and lower end in rows (0 is the upper edge of the box), by an ellipse through the widths of the rows.

    The squared width of an ellipse is a parabola in y whose roots are its ends: all rows together give them to a
    fraction of a pixel, where the last row alone gives a whole one. Shapes unlike an ellipse keep their box.
    """
    count = len(inside)
    if count < 5:
        return 0.0, float(count)
    first = inside.argmax(axis=1)
    last = inside.shape[1] - inside[:, ::-1].argmax(axis=1)
    squared = ((last - first) * inside.any(axis=1)).astype(float) ** 2
    middle = np.arange(count) + 0.5
    a, b, c = np.polyfit(middle, squared, 2)
    root = b * b - 4.0 * a * c
    if a >= 0 or root <= 0:
        return 0.0, float(count)
    ends = (-b + np.sqrt(root)) / (2.0 * a), (-b - np.sqrt(root)) / (2.0 * a)
    if abs(ends[0]) > 2.0 or abs(ends[1] - count) > 2.0:
        return 0.0, float(count)
    return float(ends[0]), float(ends[1])
