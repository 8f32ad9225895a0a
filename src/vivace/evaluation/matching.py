"""One-to-one matching of two lists of times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment


def match_times(first: Sequence[float], second: Sequence[float], tolerance: float) -> list[tuple[int, int]]:
    """Pairs (i, j) of indices with |first[i] - second[j]| <= tolerance, each index used at most once.

    As many pairs as possible, and among those the least sum of distances (Hungarian method). Sorted by i.

    Args:
        first, second: seconds, in any order.
        tolerance: seconds.
    """
    if not len(first) or not len(second):
        return []
    distance = np.abs(np.asarray(first, dtype=float)[:, None] - np.asarray(second, dtype=float)[None, :])
    # Times are decimal in files and rounded in floats: a difference that equals the tolerance counts as inside.
    inside = distance <= tolerance + 1e-9
    # One pair outside costs more than all pairs inside together, so the number of pairs is maximal.
    outside = (tolerance + 1.0) * (min(distance.shape) + 1)
    rows, columns = linear_sum_assignment(np.where(inside, distance, outside))
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if inside[i, j]]
