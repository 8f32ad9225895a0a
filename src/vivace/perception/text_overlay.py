"""Lettering laid over a clip: subtitles, captions, watermarks of letters. By the shape of strokes; no weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_closing, find_objects, label

from vivace.perception.luma import reduced_luma

SIDE = 240  # pixels of the shorter side at which letters are looked for; smaller pictures stay as they are
PICTURES = 12  # looked at, evenly over the clip
_STEP = 48.0  # of 255 between neighbours: the edge of a letter
_STEADY = 0.75  # of the pictures in which an edge stands at its place
_LINE = (0.02, 0.25)  # height of a line of letters, of the picture's height
_LEAST = 5  # pixels that a line is high at least
_LONG = 2.5  # a line is longer than high by this at least
_STROKES = 1.2  # edges in a row, for each line height of its length
_DENSITY = (0.06, 0.6)  # edges, of the line's area
_BARS = 0.6  # of the edges in columns that are edges from top to bottom: more is a fence, a keyboard, bars


@dataclass(frozen=True)
class TextLine:
    """One line of lettering, in shares of the picture's width and height."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def area(self) -> float:
        return (self.right - self.left) * (self.bottom - self.top)


def detect_text(frames: np.ndarray) -> list[TextLine]:
    """Lines of lettering that stand still for most of the clip.

    A line is a long flat region with many upright edges that stay in place, densely and irregularly. It finds Latin and
    Chinese lettering alike and reads neither; letters that belong to the scene (a sign before a still camera) count
    too. Lettering smaller than about five pixels at 240 lines is not seen.

    Args:
        frames: uint8 [T, H, W, 3] of one shot.
    """
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(PICTURES, len(frames))).round().astype(int))
    small, _ = reduced_luma(frames[chosen], SIDE)
    steps = np.abs(np.diff(small, axis=2))
    edges = (steps > _STEP).mean(axis=0) >= _STEADY
    height, width = edges.shape
    joined = binary_closing(np.pad(edges, height // 8), np.ones((3, max(3, round(0.05 * height)))))
    joined = joined[height // 8 : height // 8 + height, height // 8 : height // 8 + width]
    regions, _ = label(joined, np.ones((3, 3)))
    lines = []
    for rows, columns in find_objects(regions):
        if _is_line(edges[rows, columns], height):
            lines.append(TextLine(columns.start / width, rows.start / height, columns.stop / width, rows.stop / height))
    return lines


def text_share(frames: np.ndarray) -> float:
    """Share of the picture under lines of lettering, 0 to 1; arguments as for `detect_text`."""
    return min(1.0, sum(line.area for line in detect_text(frames)))


def _is_line(edges: np.ndarray, height: int) -> bool:
    tall, long = edges.shape
    if tall < _LEAST or not _LINE[0] * height <= tall <= _LINE[1] * height or long < _LONG * tall:
        return False
    if not _DENSITY[0] <= edges.mean() <= _DENSITY[1]:
        return False
    starts = (edges[:, 1:] & ~edges[:, :-1]).sum(axis=1) + edges[:, 0]
    if np.median(starts[starts > 0]) < _STROKES * long / tall:
        return False
    full = edges.mean(axis=0) > 0.8
    return float(edges[:, full].sum() / edges.sum()) < _BARS
