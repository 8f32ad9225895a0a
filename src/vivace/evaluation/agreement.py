"""How far raters agree beyond chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from vivace.errors import VivaceError

Votes = Sequence[Sequence[float | None]]  # items x raters; None where a rater has not voted


def raw_agreement(votes: Votes) -> float:
    """The share of pairs of votes on one item that are equal, the mean over the items with two votes or more."""
    shares = []
    for item in _rated(votes):
        _, counts = np.unique(item, return_counts=True)
        n = len(item)
        shares.append(float((counts * (counts - 1)).sum() / (n * (n - 1))))
    return float(np.mean(shares))


def fleiss_kappa(votes: Votes) -> float:
    """Fleiss' kappa; every item needs equally many votes.

    Raises:
        VivaceError: items with different numbers of votes, or all votes alike.
    """
    items = _rated(votes)
    if len({len(item) for item in items}) != 1:
        raise VivaceError("Fleiss' kappa needs equally many votes for each item; take Krippendorff's alpha instead.")
    _, counts = np.unique(np.concatenate(items), return_counts=True)
    chance = float(((counts / counts.sum()) ** 2).sum())
    if chance == 1:
        raise VivaceError("All votes are alike, so agreement beyond chance is undefined; ask about clips that differ.")
    return (raw_agreement(votes) - chance) / (1 - chance)


def krippendorff_alpha(votes: Votes, scale: Literal["nominal", "interval"] = "nominal") -> float:
    """Krippendorff's alpha; votes may be missing, and items with fewer than two count nothing.

    Args:
        votes: items x raters. scale: whether unequal votes differ alike, or by the square of their difference.

    Raises:
        VivaceError: no item with two votes, or all votes alike.
    """
    items = _rated(votes)

    def difference(values: np.ndarray) -> np.ndarray:
        gaps = values[:, None] - values[None]
        return (gaps != 0).astype(float) if scale == "nominal" else gaps**2

    everything = np.concatenate(items)
    observed = sum(float(difference(item).sum()) / (len(item) - 1) for item in items) / len(everything)
    expected = float(difference(everything).sum()) / (len(everything) * (len(everything) - 1))
    if expected == 0:
        raise VivaceError("All votes are alike, so agreement beyond chance is undefined; ask about clips that differ.")
    return 1 - observed / expected


def _rated(votes: Votes) -> list[np.ndarray]:
    items = [np.array([vote for vote in item if vote is not None], dtype=float) for item in votes]
    items = [item for item in items if len(item) >= 2]
    if not items:
        raise VivaceError("No item has two votes, so agreement is undefined; let raters vote on the same pairs.")
    return items
