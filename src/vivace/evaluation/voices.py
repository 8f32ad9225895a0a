"""How well vectors tell voices apart."""

from __future__ import annotations

import numpy as np


def equal_error_rate(same: np.ndarray, other: np.ndarray) -> float:
    """The share of errors at the threshold where as many pairs of one voice are refused as pairs of two are accepted.

    Args:
        same: similarities of pairs of one voice; other: of pairs of two. Any shapes, none empty.
    """
    scores = np.concatenate((same.ravel(), other.ravel()))
    is_same = np.concatenate((np.ones(same.size), np.zeros(other.size)))[np.argsort(scores, kind="stable")]
    # With the threshold behind each score in turn: same below it are refused, others above it accepted.
    refused = np.append(0, np.cumsum(is_same)) / same.size
    accepted = 1 - np.append(0, np.cumsum(1 - is_same)) / other.size
    place = int(np.argmin(np.abs(refused - accepted)))
    return float((refused[place] + accepted[place]) / 2)


def separation(vectors: np.ndarray, voices: np.ndarray) -> tuple[float, float, float]:
    """Equal error rate, mean similarity within and between voices, over all pairs.

    Args:
        vectors: [n, dim] of length 1. voices: int [n].
    """
    similarity = vectors @ vectors.T
    rows, columns = np.triu_indices(len(vectors), 1)
    is_same = voices[rows] == voices[columns]
    pairs = similarity[rows, columns]
    same, other = pairs[is_same], pairs[~is_same]
    return equal_error_rate(same, other), float(same.mean()), float(other.mean())
