"""Distances between sets of features: Frechet (FD, FAD, FID, FVD by their features) and kernel (KID, KVD)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vivace.errors import VivaceError


@dataclass(frozen=True)
class Moments:
    """Sums of a set of features, which add up over processes: n, sum [D], outer products' sum [D, D], in float64."""

    n: int
    total: np.ndarray
    outer: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray) -> Moments:
        """Of features [n, D]."""
        rows = np.asarray(features, dtype=np.float64)
        return cls(len(rows), rows.sum(axis=0), rows.T @ rows)

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.n + other.n, self.total + other.total, self.outer + other.outer)

    @property
    def mean(self) -> np.ndarray:
        return self.total / self.n

    @property
    def covariance(self) -> np.ndarray:
        """With n - 1 in the denominator, as in every published implementation."""
        mean = self.mean
        return (self.outer - self.n * np.outer(mean, mean)) / (self.n - 1)


def frechet_distance(first: Moments, second: Moments) -> float:
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)).

    The trace of the root is the sum of the roots of the eigenvalues of S1^(1/2) S2 S1^(1/2), which is symmetric, so
    that nothing complex or singular can arise and no 1e-6 need be added. The value is biased upwards by about 1/n:
    compare sets of equal n only.

    Raises:
        VivaceError: fewer than two samples on a side, or features of different length.
    """
    if min(first.n, second.n) < 2:
        raise VivaceError(f"Sets of {first.n} and {second.n} features have no covariance; give two samples or more.")
    if first.total.shape != second.total.shape:
        raise VivaceError(
            f"Features of {len(first.total)} and {len(second.total)} values cannot be compared; use one network."
        )
    gap = first.mean - second.mean
    one, two = first.covariance, second.covariance
    values, vectors = np.linalg.eigh(one)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    cross = np.linalg.eigvalsh(root @ two @ root)
    trace = np.trace(one) + np.trace(two) - 2.0 * np.sqrt(np.maximum(cross, 0.0)).sum()
    return float(max(gap @ gap + trace, 0.0))


def frechet_of_sets(first: np.ndarray, second: np.ndarray) -> float:
    """`frechet_distance` of features [n, D] and [m, D] by way of the samples, which for n, m < D costs far less.

    tr (S1 S2)^(1/2) is the sum of the singular values of A B^T / ((n - 1)(m - 1))^(1/2), A and B the centred rows.

    Raises:
        VivaceError: as `frechet_distance`.
    """
    one, two = (np.asarray(side, dtype=np.float64) for side in (first, second))
    if one.shape[1] != two.shape[1] or min(len(one), len(two)) < 2 or max(len(one), len(two)) >= one.shape[1]:
        return frechet_distance(Moments.of(one), Moments.of(two))
    gap = one.mean(axis=0) - two.mean(axis=0)
    one, two = ((side - side.mean(axis=0)) / np.sqrt(len(side) - 1) for side in (one, two))
    cross = np.linalg.svd(one @ two.T, compute_uv=False).sum()
    return float(max(gap @ gap + (one**2).sum() + (two**2).sum() - 2.0 * cross, 0.0))


def kernel_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Squared maximum mean discrepancy with the kernel (x.y / D + 1)^3, without bias in n (KID, KVD).

    Args:
        first [n, D], second [m, D], n and m at least 2.
    """
    one, two = (np.asarray(side, dtype=np.float64) for side in (first, second))
    n, m, dim = len(one), len(two), one.shape[1]

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        values: np.ndarray = (x @ y.T / dim + 1.0) ** 3
        return values

    inner_one, inner_two = kernel(one, one), kernel(two, two)
    return float(
        (inner_one.sum() - np.trace(inner_one)) / (n * (n - 1))
        + (inner_two.sum() - np.trace(inner_two)) / (m * (m - 1))
        - 2.0 * kernel(one, two).mean()
    )


def pair_square_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Verse-Bench's "FD" of one pair of embeddings [D]: |e1 - e2|^2 + (sd1 - sd2)^2.

    It is the Frechet formula with each vector's own scalar variance (n - 1) as its covariance, and for unit vectors
    2 - 2 cos, in 0 to 4. It is no distance between distributions and is never compared with one.
    """
    one, two = (np.asarray(side, dtype=np.float64).ravel() for side in (first, second))
    return float(((one - two) ** 2).sum() + (one.std(ddof=1) - two.std(ddof=1)) ** 2)
