"""Pooled statistics over items with bootstrap confidence intervals.

Items (prompts) are resampled, not events: events of one clip are not independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

Statistic = Literal["ratio", "median"]
DRAWS = 2000
SEED = 20260101


def pooled(statistic: Statistic, records: Sequence[Sequence[float]], weights: np.ndarray | None = None) -> np.ndarray:
    """The statistic of all records together, one value per row of `weights`; nan where nothing is to be counted.

    Args:
        statistic: "ratio" - each record is (numerator, denominator) and the sums are divided;
            "median" - each record holds any number of values and the median of all of them is taken.
        records: one per item.
        weights: [draws, items] how often each item counts; None counts each once.
    """
    counts = np.ones((1, len(records))) if weights is None else weights
    if statistic == "ratio":
        sums = counts @ np.asarray(records, dtype=float).reshape(len(records), 2)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(sums[:, 1] > 0, sums[:, 0] / sums[:, 1], np.nan)
    values = np.concatenate([np.asarray(record, dtype=float) for record in records]) if records else np.zeros(0)
    owner = np.repeat(np.arange(len(records)), [len(record) for record in records])
    if not len(values):
        return np.full(len(counts), np.nan)
    order = np.argsort(values, kind="stable")
    values, cumulative = values[order], np.cumsum(counts[:, owner[order]], axis=1)
    total = cumulative[:, -1:]
    # The mean of the lower and the upper middle value, as np.median takes it for even counts.
    last = len(values) - 1
    lower = values[np.minimum((cumulative < total / 2).sum(axis=1), last)]
    upper = values[np.minimum((cumulative <= total / 2).sum(axis=1), last)]
    return np.where(total[:, 0] > 0, (lower + upper) / 2.0, np.nan)


def bootstrap_interval(
    statistic: Statistic,
    records: Sequence[Sequence[float]],
    *,
    draws: int = DRAWS,
    seed: int = SEED,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile bootstrap interval of the pooled statistic over items; (nan, nan) for fewer than two items."""
    if len(records) < 2:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(len(records), np.full(len(records), 1.0 / len(records)), size=draws).astype(float)
    values = pooled(statistic, records, weights)
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)
