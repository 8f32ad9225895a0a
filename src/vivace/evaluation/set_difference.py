"""Whether two models differ in a metric of whole sets, such as a Fréchet distance, which has no value for a prompt."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vivace.errors import VivaceError
from vivace.evaluation.paired import PairedDifference
from vivace.evaluation.seeds import mean_over_seeds
from vivace.evaluation.set_metric import DRAWS, Features, draws_within, spread_around, stacked
from vivace.evaluation.set_values import SetValue
from vivace.evaluation.statistics import SEED

EXCHANGES = 1000  # at most


def set_difference(
    value: SetValue, first: Mapping[str, Features], second: Mapping[str, Features], *, seed: int = SEED
) -> PairedDifference:
    """First minus second over the prompts that both have features of.

    The interval is a bootstrap that draws prompts, the same ones for both. p is the share of exchanges (of either's
    features of a prompt for the other's, drawn by prompt) that give a difference as large: were both the same, it would
    not matter whose a clip is. Both keep n and with it most of such a metric's bias.

    Args:
        first, second: features by prompt; of several seeds side by side (`seeds.side_by_side`), then as many for both.

    Raises:
        VivaceError: fewer prompts in common than the metric needs.
    """
    common = sorted(first.keys() & second.keys())
    if len(common) < value.least:
        raise VivaceError(f"The two have {len(common)} prompts in common and {value.least} are needed; compare more.")
    one, two = ([side[name] for name in common] for side in (first, second))
    value_of = mean_over_seeds(value.of) if next(iter(one[0].values())).ndim == 3 else value.of
    rng = np.random.default_rng(seed)

    def gap(left: list[Features], right: list[Features]) -> float:
        return value_of(stacked(left)) - value_of(stacked(right))

    seen = gap(one, two)
    draws = []
    for _ in range(draws_within(one, DRAWS)):
        chosen = rng.integers(0, len(common), len(common))
        draws.append(gap([one[n] for n in chosen], [two[n] for n in chosen]))
    exchanges = draws_within(one, EXCHANGES)
    reached = 0
    for _ in range(exchanges):
        kept = rng.random(len(common)) < 0.5
        left = [a if keep else b for a, b, keep in zip(one, two, kept, strict=True)]
        right = [b if keep else a for a, b, keep in zip(one, two, kept, strict=True)]
        # A difference that is the same but for rounding is as large.
        reached += abs(gap(left, right)) >= abs(seen) * (1.0 - 1e-9)
    low, high = spread_around(seen, draws)
    return PairedDifference(len(common), seen, low, high, (reached + 1) / (exchanges + 1), None)
