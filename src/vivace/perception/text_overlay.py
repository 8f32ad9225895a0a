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
_BARS = 0.6  # of the edges in columns that are edges from top to bottom: more is a fence, a keyboard, bars,
# unless all of these say that it is letters, which have bars and bows between their stems:
_CROSSED = 0.03  # of the line's inside are edges that lie
_SURE_STROKES = 2.3  # as `_STROKES`
_FILLED = 0.54  # of the columns have an edge
_APART = 1.5  # of its height: the gap between two pieces of one line at most


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
    upright, lying = ((np.abs(np.diff(small, axis=axis)) > _STEP).mean(axis=0) >= _STEADY for axis in (2, 1))
    height, width = upright.shape
    joined = binary_closing(np.pad(upright, height // 8), np.ones((3, max(3, round(0.05 * height)))))
    joined = joined[height // 8 : height // 8 + height, height // 8 : height // 8 + width]
    regions, _ = label(joined, np.ones((3, 3)))
    found = find_objects(regions)
    boxes = [box for row in _rows_of_pieces(found, height) for box in _lines_of(row, upright, lying, height)]
    if not boxes:
        # Lettering that touches a thing which stands still is one with it: its rows, dense with strokes, by themselves.
        bands = [_band(box, upright) for box in found]
        whole = [_around(row) for row in _rows_of_pieces(bands, height)]
        boxes = [box for box in whole if _is_line(upright[box], lying[box], height, pieces=True)]
    return [TextLine(c.start / width, r.start / height, c.stop / width, r.stop / height) for r, c in boxes]


def _lines_of(
    row: list[tuple[slice, slice]], upright: np.ndarray, lying: np.ndarray, height: int
) -> list[tuple[slice, slice]]:
    """The pieces of a row as one line, or those that are lines by themselves."""
    whole = _around(row)
    if len(row) > 1 and _is_line(upright[whole], lying[whole], height, pieces=True):
        return [whole]
    return [box for box in row if _is_line(upright[box], lying[box], height)]


def _band(box: tuple[slice, slice], upright: np.ndarray) -> tuple[slice, slice]:
    """The rows about a box's densest one that have at least half as many strokes."""
    inside = upright[box]
    strokes = (inside[:, 1:] & ~inside[:, :-1]).sum(axis=1) + inside[:, 0]
    first = last = int(strokes.argmax())
    while first > 0 and strokes[first - 1] >= 0.5 * strokes.max():
        first -= 1
    while last + 1 < len(strokes) and strokes[last + 1] >= 0.5 * strokes.max():
        last += 1
    return slice(box[0].start + first, box[0].start + last + 1), box[1]


def _rows_of_pieces(boxes: list[tuple[slice, slice]], height: int) -> list[list[tuple[slice, slice]]]:
    """Boxes of a line's height, those that follow one another in one line together: letters may stand wide apart."""
    high = [box for box in boxes if max(_LEAST, _LINE[0] * height) <= box[0].stop - box[0].start <= _LINE[1] * height]
    found: list[list[tuple[slice, slice]]] = []
    for box in sorted(high, key=lambda box: box[1].start):
        tall = box[0].stop - box[0].start
        for row in found:
            rows, columns = row[-1]
            level = max(abs(rows.start - box[0].start), abs(rows.stop - box[0].stop)) <= 0.2 * tall
            if level and box[1].start - columns.stop <= _APART * tall:
                row.append(box)
                break
        else:
            found.append([box])
    return found


def _around(boxes: list[tuple[slice, slice]]) -> tuple[slice, slice]:
    return (
        slice(min(rows.start for rows, _ in boxes), max(rows.stop for rows, _ in boxes)),
        slice(min(columns.start for _, columns in boxes), max(columns.stop for _, columns in boxes)),
    )


def text_share(frames: np.ndarray) -> float:
    """Share of the picture under lines of lettering, 0 to 1; arguments as for `detect_text`."""
    return min(1.0, sum(line.area for line in detect_text(frames)))


def _is_line(upright: np.ndarray, lying: np.ndarray, height: int, pieces: bool = False) -> bool:
    """Whether a box of the edges looks like lettering.

    pieces: it was put together or cut out, as a pair of eyes or the posts of a frame may be, and must be surely so.
    """
    tall, long = upright.shape
    if tall < _LEAST or not _LINE[0] * height <= tall <= _LINE[1] * height or long < _LONG * tall:
        return False
    if not _DENSITY[0] <= upright.mean() <= _DENSITY[1]:
        return False
    starts = (upright[:, 1:] & ~upright[:, :-1]).sum(axis=1) + upright[:, 0]
    strokes = float(np.median(starts[starts > 0])) * tall / long
    crossed = lying[tall // 5 : tall - tall // 5 - 1].mean() > _CROSSED
    if crossed and strokes >= _SURE_STROKES and upright.any(axis=0).mean() >= _FILLED:
        return True
    full = upright.mean(axis=0) > 0.8
    return not pieces and strokes >= _STROKES and float(upright[:, full].sum() / upright.sum()) < _BARS
