"""Whether two models differ on the same prompts: the mean difference, its interval and a test without assumptions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np

from vivace.errors import VivaceError
from vivace.evaluation.statistics import SEED

DRAWS = 10_000
_EXACT = 13  # prompts up to which every assignment of signs is counted


@dataclass(frozen=True)
class PairedDifference:
    """First minus second over the prompts that both have.

    Args:
        n: prompts. mean: mean difference; low, high: 95 % percentile bootstrap over prompts.
        p_value: two-sided sign-flip test, before any correction for several tests (`votes.holm`).
        effect: Cohen's d of the differences; None where they are all the same.
    """

    n: int
    mean: float
    low: float
    high: float
    p_value: float
    effect: float | None


def paired_difference(
    first: Mapping[str, float], second: Mapping[str, float], *, draws: int = DRAWS, seed: int = SEED
) -> PairedDifference:
    """Compare one metric of two models, prompt by prompt.

    Args:
        first, second: values by prompt (mean over seeds where there are several).

    Raises:
        VivaceError: fewer than two prompts in common.
    """
    common = sorted(first.keys() & second.keys())
    if len(common) < 2:
        raise VivaceError(f"The two have {len(common)} prompts in common; compare runs of the same prompts.")
    gaps = np.array([first[name] - second[name] for name in common], dtype=float)
    rng = np.random.default_rng(seed)
    means = gaps[rng.integers(0, len(gaps), (draws, len(gaps)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    deviation = float(gaps.std(ddof=1))
    return PairedDifference(
        n=len(common),
        mean=float(gaps.mean()),
        low=float(low),
        high=float(high),
        p_value=_sign_flip(gaps, draws, rng),
        effect=float(gaps.mean()) / deviation if deviation > 0 else None,
    )


def _sign_flip(gaps: np.ndarray, draws: int, rng: np.random.Generator) -> float:
    """The share of all (or of many drawn) signs under which the mean is as far from 0 as it is."""
    exact = len(gaps) <= _EXACT
    every = product((-1.0, 1.0), repeat=len(gaps))
    signs = np.array(list(every)) if exact else rng.choice((-1.0, 1.0), (draws, len(gaps)))
    # A sum that is the same but for rounding is as far.
    reached = np.abs(signs @ gaps) >= abs(float(gaps.sum())) - 1e-12 * float(np.abs(gaps).sum())
    # What was observed counts as one of the draws, so that no p is 0.
    return float(reached.mean()) if exact else float((reached.sum() + 1) / (draws + 1))
