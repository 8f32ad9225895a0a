"""Metrics of whole sets: the features of all samples together give one value."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vivace.errors import VivaceError
from vivace.evaluation.growing_sets import OverN, over_growing_n
from vivace.evaluation.metric import (
    Direction,
    Metric,
    Network,
    Result,
    Sample,
    Scope,
    Undefined,
    check_same,
    placed,
    what_is_missing,
)
from vivace.evaluation.seeds import by_prompt, mean_over_seeds, seeds_in, side_by_side
from vivace.evaluation.statistics import SEED
from vivace.media import replacing

Features = dict[str, np.ndarray]
DRAWS = 200  # of a bootstrap, at most
_BUDGET = 2e11  # multiplications of all draws together, by what singular values of the features cost
_FEWEST = 50
OTHER_SEED = "another seed of the prompt has none"


class SetMetric:
    """A metric over the features of a set; instances merge, and the order of arrival changes nothing.

    Args:
        name, unit, direction, version: as reported.
        features: sample -> arrays by name ("generated", and "reference" where there is one), one row or several rows
            each; or why there are none.
        value: the stacked arrays of all samples -> the metric.
        least: samples below which there is no value.
        requires: as for `ItemMetric`.
        draws: bootstrap draws over the samples, at most (`draws_within`); 0 leaves the interval out.
        over_n: how the value depends on n, and then the result tells it over growing n; None tells nothing of that.
        network: that `features` asks; None where they ask none.

    Where prompts have several seeds, the value is `seeds.mean_over_seeds`, over the prompts that have features of each.

    `weights` and `device` are as of `ItemMetric`.
    """

    scope: Scope = "set"

    def __init__(
        self,
        name: str,
        features: Callable[[Sample], Features | Undefined],
        value: Callable[[Features], float],
        *,
        least: int = 2,
        unit: str = "",
        direction: Direction = "lower",
        requires: Iterable[str] = (),
        version: str = "1",
        draws: int = DRAWS,
        over_n: OverN | None = None,
        network: Network | None = None,
    ) -> None:
        self.name, self.unit, self.direction, self.version = name, unit, direction, version
        self.requires, self.weights = frozenset(requires), ""
        self.device, self._network = "" if network is None else "cpu", network
        self._features, self._value, self._least, self._draws = features, value, least, draws
        self._over_n = over_n
        self._seen: dict[str, Features | Undefined] = {}

    def prepare(self, device: str) -> None:
        """Raises VivaceError where the network cannot be moved there."""
        self.device = placed(self._network, device)

    def update(self, sample: Sample) -> dict[str, Any]:
        """Raises VivaceError for a sample id seen before."""
        outcome = self.outcome(sample)
        self.add(sample.id, outcome)
        return {"undefined": outcome.reason} if isinstance(outcome, Undefined) else {"counted": True}

    def outcome(self, sample: Sample) -> Features | Undefined:
        """What a sample gives, without counting it."""
        return what_is_missing(sample, self.requires) or self._features(sample)

    def fresh(self) -> SetMetric:
        """The same metric, which has seen nothing."""
        other = copy.copy(self)
        other._seen = {}
        return other

    @property
    def outcomes(self) -> Mapping[str, Features | Undefined]:
        """What each sample gave, by id."""
        return self._seen

    def merge(self, other: Metric) -> None:
        """Raises VivaceError where the other is not the same metric or has seen one of the same samples."""
        check_same(self, other)
        assert isinstance(other, SetMetric)
        for sample_id, outcome in other._seen.items():
            self.add(sample_id, outcome)

    def compute(self) -> Result:
        prompts = by_prompt(self._seen).values()
        seeds = seeds_in(self._seen)
        found = [[outcome for outcome in clips if not isinstance(outcome, Undefined)] for clips in prompts]
        reasons = Counter(outcome.reason for clips in prompts for outcome in clips if isinstance(outcome, Undefined))
        kept, value_of = [clips[0] for clips in found if clips], self._value
        if seeds > 1:
            whole = [clips for clips in found if len(clips) == seeds]
            lacking = sum(map(len, found)) - seeds * len(whole)
            reasons += Counter({OTHER_SEED: lacking})
            kept, value_of = [side_by_side(clips) for clips in whole], mean_over_seeds(self._value)
        enough = len(kept) >= self._least
        value = value_of(stacked(kept)) if enough else None
        low, high = (None, None) if value is None else self._interval(kept, value, value_of)
        by_n = None
        if value is not None and self._over_n is not None:
            by_n = over_growing_n(self.name, value_of, stacked, kept, self._over_n, least=self._least)
        return Result(
            name=self.name,
            version=self.version,
            value=value,
            ci_low=low,
            ci_high=high,
            n=len(kept),
            n_undefined=sum(reasons.values()),
            reasons=dict(reasons) if enough else {**reasons, f"fewer than {self._least} samples": 1},
            direction=self.direction,
            unit=self.unit,
            scope=self.scope,
            seeds=seeds,
            clips=seeds * len(kept),
            by_n=by_n,
        )

    def _interval(
        self, kept: list[Features], value: float, value_of: Callable[[Features], float]
    ) -> tuple[float | None, float | None]:
        if not self._draws or len(kept) < 2:
            return None, None
        rng = np.random.default_rng(SEED)
        return spread_around(
            value,
            [
                value_of(stacked([kept[n] for n in rng.integers(0, len(kept), len(kept))]))
                for _ in range(draws_within(kept, self._draws))
            ],
        )

    def add(self, sample_id: str, outcome: Features | Undefined) -> None:
        """Take over the outcome of a sample measured before (a resumed run)."""
        if sample_id in self._seen:
            raise VivaceError(f"sample {sample_id!r} was given to {self.name} twice; give each sample its own id.")
        self._seen[sample_id] = outcome


def draws_within(kept: Sequence[Features], most: int) -> int:
    """Draws that a set of features can have in a reasonable time: up to `most`, fewer of large sets, at least 50."""
    cost = 0.0
    for name in kept[0]:
        shapes = [np.atleast_2d(row[name]).shape for row in kept]
        small, large = sorted((sum(shape[0] for shape in shapes), shapes[0][-1]))
        seeds = shapes[0][1] if len(shapes[0]) == 3 else 1
        cost += float(small) ** 2 * large * seeds
    return min(most, max(_FEWEST, int(_BUDGET // max(cost, 1.0))))


def spread_around(value: float, draws: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval that bootstrap draws give around a value.

    A draw holds copies of samples, so that a distance between sets comes out too large in every draw: what tells is how
    the draws spread around their own mean.
    """
    found = np.asarray(draws, dtype=float)
    low, high = np.quantile(found - found.mean(), [0.025, 0.975])
    return value + float(low), value + float(high)


def save_features(path: Path, features: Features) -> None:
    """Write what a metric of sets keeps of a sample, whole or not at all."""
    from safetensors.numpy import save_file

    with replacing(path) as temporary:
        save_file({name: np.ascontiguousarray(rows, dtype=np.float32) for name, rows in features.items()}, temporary)


def load_features(path: Path) -> Features:
    """What `save_features` wrote."""
    from safetensors.numpy import load_file

    return load_file(path)


def stacked(kept: Sequence[Features]) -> Features:
    """The features of several samples as those of one set, in their order."""
    return {name: np.concatenate([np.atleast_2d(row[name]) for row in kept]) for name in kept[0]}
