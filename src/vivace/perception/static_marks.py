"""Marks that stand at one place over different shots: logos and watermarks, opaque or translucent. No weights.

Within one shot of a resting camera a logo cannot be told from a thing that stands there. What tells it is that the
edges stay where they are while everything else becomes another picture, so this looks at pictures of several shots.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import binary_closing, find_objects, label

from vivace.perception.cuts import mean_colours
from vivace.perception.luma import reduced_luma

SIDE = 240  # pixels of the shorter side at which marks are looked for; smaller pictures stay as they are
LEAST_VIEWS = 4  # different pictures without which nothing can be said
_CELLS = 8
_DIFFERENT = 12.0  # of 255: mean difference of two pictures' parts from which they are different views
_EDGE = 7.0  # slope in levels a pixel that stays
_SAME = 0.4  # of the edges stay: then it is one scene, and nothing can be said
_LARGEST = 0.6  # of width or height: what is longer is a border of the picture
_SMALLEST = 0.03  # of the shorter side, both ways
_FILLED = 0.15  # edges, of a mark's box


def different_views(pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Those pictures uint8 [H, W, 3], all of one size, that differ from all before them in most of what they show."""
    kept: list[np.ndarray] = []
    grids: list[np.ndarray] = []
    for picture in pictures:
        grid = mean_colours(picture[None], _CELLS)[0]
        if all(float(np.abs(grid - other).mean()) > _DIFFERENT for other in grids):
            kept.append(picture)
            grids.append(grid)
    return kept


def mark_share(pictures: Sequence[np.ndarray]) -> float | None:
    """Share of the picture under marks that stand over different views, 0 to 1.

    Args:
        pictures: uint8 [H, W, 3], of as many shots of one file as there are.

    Returns:
        None where fewer than `LEAST_VIEWS` pictures differ, or most edges stay, as those of one scene do.
    """
    views = different_views(pictures)
    if len(views) < LEAST_VIEWS:
        return None
    small, _ = reduced_luma(np.stack(views), SIDE)
    slopes = np.stack(np.gradient(small, axis=(1, 2)))  # [2, views, H, W]
    # One view in five may hide a mark, as a white wall hides a white one.
    ranked, rest = np.sort(slopes, axis=1), len(views) // 5
    low, high = ranked[:, rest], ranked[:, -1 - rest]
    staying = np.maximum(np.maximum(low, -high), 0.0).max(axis=0)
    edges = staying > _EDGE
    if edges.sum() > _SAME * (np.abs(slopes).max(axis=0) > _EDGE).mean(axis=0).sum():
        return None
    height, width = edges.shape
    reach = max(3, round(0.04 * min(height, width)))
    padded = np.pad(edges, reach)
    joined = binary_closing(padded, np.ones((reach, reach)))[reach : reach + height, reach : reach + width]
    area = 0.0
    for rows, columns in find_objects(label(joined, np.ones((3, 3)))[0]):
        tall, long = rows.stop - rows.start, columns.stop - columns.start
        large = tall > _LARGEST * height or long > _LARGEST * width
        if not large and min(tall, long) >= _SMALLEST * min(height, width) and edges[rows, columns].mean() > _FILLED:
            area += tall * long
    return min(1.0, area / (height * width))
