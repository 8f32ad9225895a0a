"""Metrics of whole sets: the features of all samples together give one value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from vivace.errors import VivaceError
from vivace.evaluation.metric import Direction, Metric, Result, Sample, Scope, Undefined, what_is_missing
from vivace.evaluation.statistics import SEED

Features = dict[str, np.ndarray]


class SetMetric:
    """A metric over the features of a set; instances merge, and the order of arrival changes nothing.

    Args:
        name, unit, direction, version: as reported.
        features: sample -> arrays by name ("generated", and "reference" where there is one), one row or several rows
            each; or why there are none.
        value: the stacked arrays of all samples -> the metric.
        least: samples below which there is no value.
        requires: as for `ItemMetric`.
        draws: bootstrap draws over the samples; 0 leaves the interval out (large covariances).
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
        draws: int = 0,
    ) -> None:
        self.name, self.unit, self.direction, self.version = name, unit, direction, version
        self.requires = frozenset(requires)
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
        return SetMetric(
            self.name,
            self._features,
            self._value,
            least=self._least,
            unit=self.unit,
            direction=self.direction,
            requires=self.requires,
            version=self.version,
            draws=self._draws,
        )

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
        low, high = self._interval(kept) if enough else (None, None)
        return Result(
            name=self.name,
            version=self.version,
            value=self._value(_stacked(kept)) if enough else None,
            ci_low=low,
            ci_high=high,
            n=len(kept),
            n_undefined=sum(reasons.values()),
            reasons=dict(reasons) if enough else {**reasons, f"fewer than {self._least} samples": 1},
            direction=self.direction,
            unit=self.unit,
        )

    def _interval(self, kept: list[Features]) -> tuple[float | None, float | None]:
        if not self._draws:
            return None, None
        rng = np.random.default_rng(SEED)
        values = [
            self._value(_stacked([kept[n] for n in rng.integers(0, len(kept), len(kept))])) for _ in range(self._draws)
        ]
        low, high = np.quantile(values, [0.025, 0.975])
        return float(low), float(high)

    def add(self, sample_id: str, outcome: Features | Undefined) -> None:
        """Take over the outcome of a sample measured before (a resumed run)."""
        if sample_id in self._seen:
            raise VivaceError(f"sample {sample_id!r} was given to {self.name} twice; give each sample its own id.")
        self._seen[sample_id] = outcome


def _stacked(kept: list[Features]) -> Features:
    return {name: np.concatenate([np.atleast_2d(row[name]) for row in kept]) for name in kept[0]}
