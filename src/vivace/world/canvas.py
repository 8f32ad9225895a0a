"""Smooth-edged drawing into small boxes of a picture.

Shapes are signed distances in pixels; a pixel's share of a shape is 0.5 minus its distance, clipped to [0, 1]. Only
the box around a shape is touched, which is what makes a clip cheap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Colour = np.ndarray | tuple[float, float, float] | tuple[int, int, int]


@dataclass(frozen=True)
class Patch:
    """A box of the picture: its pixels (a view, written in place) and how far they are from a point, in pixels."""

    pixels: np.ndarray  # uint8 [h, w, 3]
    dx: np.ndarray  # float32 [1, w]
    dy: np.ndarray  # float32 [h, 1]

    def blend(self, alpha: np.ndarray, colour: Colour) -> None:
        """Mix `colour` (0 to 255; [3] or [h, w, 3]) into the box by `alpha` [h, w] in [0, 1]."""
        below = self.pixels.astype(np.float32)
        below += alpha[..., None] * (np.asarray(colour, dtype=np.float32) - below)
        # Half up; clipping guards colours that light has pushed beyond white.
        np.clip(below + 0.5, 0.5, 255.5, out=below)
        self.pixels[...] = below.astype(np.uint8)


def patch(picture: np.ndarray, column: float, row: float, reach_x: float, reach_y: float) -> Patch | None:
    """The box of `picture` [H, W, 3] within reach of (column, row) in pixels, or None when it lies outside."""
    height, width = picture.shape[:2]
    left, right = max(int(column - reach_x) - 1, 0), min(int(column + reach_x) + 2, width)
    top, bottom = max(int(row - reach_y) - 1, 0), min(int(row + reach_y) + 2, height)
    if left >= right or top >= bottom:
        return None
    dx = np.arange(left, right, dtype=np.float32)[None, :] + np.float32(0.5 - column)
    dy = np.arange(top, bottom, dtype=np.float32)[:, None] + np.float32(0.5 - row)
    return Patch(picture[top:bottom, left:right], dx, dy)


def coverage(distance: np.ndarray, softness: float = 1.0) -> np.ndarray:
    """Share in [0, 1] of each pixel inside a shape, from its signed distance in pixels; `softness` widens the edge."""
    return np.clip(0.5 - distance / softness, 0.0, 1.0)


def box_distance(dx: np.ndarray, dy: np.ndarray, half_x: float, half_y: float, corner: float) -> np.ndarray:
    """Signed distance to a box with rounded corners about the origin."""
    qx = np.abs(dx) - (half_x - corner)
    qy = np.abs(dy) - (half_y - corner)
    outside = np.hypot(np.maximum(qx, 0), np.maximum(qy, 0))
    return outside + np.minimum(np.maximum(qx, qy), 0) - corner


def segment_distance(dx: np.ndarray, dy: np.ndarray, end_x: float, end_y: float) -> np.ndarray:
    """Distance to the segment from the origin to (end_x, end_y)."""
    share = np.clip((dx * end_x + dy * end_y) / max(end_x**2 + end_y**2, 1e-9), 0.0, 1.0)
    return np.hypot(dx - share * end_x, dy - share * end_y)


def ellipse_distance(dx: np.ndarray, dy: np.ndarray, half_x: float, half_y: float) -> np.ndarray:
    """Signed distance to an ellipse about the origin, right to first order at its edge."""
    x, y = dx / half_x, dy / half_y
    level = np.sqrt(x**2 + y**2)
    slope = np.hypot(x / half_x, y / half_y) / np.maximum(level, 1e-6)
    return (level - 1) / np.maximum(slope, 1e-6)


def draw_shadow(picture: np.ndarray, column: float, row: float, half_x: float, half_y: float, darkness: float) -> None:
    """A soft shadow on the ground; `darkness` in [0, 1] at its middle."""
    box = patch(picture, column, row, 2.2 * half_x, 2.2 * half_y)
    if box is not None and darkness > 0.01:
        spread = np.exp(-1.3 * ((box.dx / half_x) ** 2 + (box.dy / half_y) ** 2))
        box.blend(darkness * spread, (24, 22, 26))
