"""Metrics of whole sets: the features of all samples together give one value."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vivace.errors import VivaceError
from vivace.evaluation.metric import Direction, Metric, Result, Sample, Scope, Undefined, what_is_missing
from vivace.evaluation.statistics import SEED
from vivace.media import replacing

Features = dict[str, np.ndarray]
DRAWS = 200  # of a bootstrap, at most
_BUDGET = 2e11  # multiplications of all draws together, by what singular values of the features cost
_FEWEST = 50


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

    `weights` is as of `ItemMetric`.
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
    ) -> None:
        self.name, self.unit, self.direction, self.version = name, unit, direction, version
        self.requires, self.weights = frozenset(requires), ""
        self._features, self._value, self._least, self._draws = features, value, least, draws
        self._seen: dict[str, Features | Undefined] = {}

    def prepare(self, device: str) -> None:
        """Nothing to load: whoever gives the features has loaded its network."""

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

    def merge(self, other: Metric) -> None:
        """Raises VivaceError where the other is not the same metric or has seen one of the same samples."""
        if not isinstance(other, SetMetric) or (other.name, other.version) != (self.name, self.version):
            raise VivaceError(f"{other.name} cannot be merged into {self.name}; merge results of the same metric only.")
        for sample_id, outcome in other._seen.items():
            self.add(sample_id, outcome)

    def compute(self) -> Result:
        outcomes = [self._seen[key] for key in sorted(self._seen)]
        kept = [outcome for outcome in outcomes if not isinstance(outcome, Undefined)]
        reasons = Counter(outcome.reason for outcome in outcomes if isinstance(outcome, Undefined))
        enough = len(kept) >= self._least
        value = self._value(stacked(kept)) if enough else None
        low, high = (None, None) if value is None else self._interval(kept, value)
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
        )

    def _interval(self, kept: list[Features], value: float) -> tuple[float | None, float | None]:
        if not self._draws or len(kept) < 2:
            return None, None
        rng = np.random.default_rng(SEED)
        return spread_around(
            value,
            [
                self._value(stacked([kept[n] for n in rng.integers(0, len(kept), len(kept))]))
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
        small, large = sorted((sum(rows for rows, _ in shapes), shapes[0][1]))
        cost += float(small) ** 2 * large
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
