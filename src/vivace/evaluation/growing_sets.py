"""A metric of whole sets over growing n: how much of its value is the bias that small sets have, and what is left.

A Fréchet distance comes out too large and an inception score too small by about 1/n, so that values of other n are not
comparable. The value over subsets shows that, and a straight line over 1/n gives it for sets without end ("NAME_inf",
as FD_inf); only from the n on at which the bias is that of 1/n.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vivace.evaluation.statistics import SEED

SUBSETS = 8  # drawn of each size
SHARES = (0.25, 0.5, 0.75)  # of n; and all
_FEWEST = 3  # sizes for a line that could also fail to be straight
UNBIASED = "its value has no bias by n"


@dataclass(frozen=True)
class OverN:
    """How a metric's value depends on n.

    Args:
        straight_from: the features of all samples -> how many rows of them a set must have for a bias that goes like
            1/n; None for a value without bias.
    """

    straight_from: Callable[[dict[str, np.ndarray]], int] | None


def over_growing_n(
    name: str,
    value: Callable[[dict[str, np.ndarray]], float],
    stacked: Callable[[Sequence[dict[str, np.ndarray]]], dict[str, np.ndarray]],
    kept: Sequence[dict[str, np.ndarray]],
    rule: OverN,
    *,
    least: int = 2,
    seed: int = SEED,
) -> dict[str, Any]:
    """Values over subsets without repetition, and the extrapolated one, ready for JSON.

    Args:
        name: of the metric. value: of stacked features. kept: what each of the n samples gives. least: samples below
            which there is no value.

    Returns:
        `points`: n, the mean value of the subsets of this size, the least and the greatest, how many there were.
        `inf`: the extrapolated value under its own name; why there is none.
    """
    rng = np.random.default_rng(seed)
    n = len(kept)
    points = []
    for size in dict.fromkeys(round(share * n) for share in (*SHARES, 1.0)):
        if size < least:
            continue
        sets = [range(n)] if size == n else [rng.permutation(n)[:size] for _ in range(SUBSETS)]
        values = [value(stacked([kept[k] for k in chosen])) for chosen in sets]
        points.append(
            {"n": size, "value": float(np.mean(values)), "low": min(values), "high": max(values), "subsets": len(sets)}
        )
    found, reason = _without_end(points, stacked(kept), rule)
    return {"points": points, "inf": {"name": f"{name}_inf", "value": found, "reason": reason}}


def _without_end(
    points: Sequence[Mapping[str, Any]], rows: dict[str, np.ndarray], rule: OverN
) -> tuple[float | None, str | None]:
    if rule.straight_from is None:
        return None, UNBIASED
    if not points:
        return None, "there are too few samples"
    rows = {name: every[:, 0] if every.ndim == 3 else every for name, every in rows.items()}
    # A sample may have given several rows.
    start = math.ceil(rule.straight_from(rows) * points[-1]["n"] / min(map(len, rows.values())))
    straight = [point for point in points if point["n"] >= start]
    if len(straight) < _FEWEST:
        return None, f"its bias goes like 1/n from n {start} on, and {_FEWEST} sizes from there are needed"
    _, end = np.polyfit([1.0 / point["n"] for point in straight], [point["value"] for point in straight], 1)
    return float(end), None


def more_than_values(rows: dict[str, np.ndarray]) -> int:
    """Of a distance by covariances: the rows must be more than a vector is long."""
    return next(iter(rows.values())).shape[1] + 1
