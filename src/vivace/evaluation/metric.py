"""What a metric is: it takes samples one by one and gives a result with its interval, its n and what was undefined.

The interface is for every benchmark of the house; the metrics of the world are in `sync` and `attributes`.
"""

from __future__ import annotations

import copy
import math
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

from vivace.errors import VivaceError
from vivace.evaluation.seeds import by_prompt, record_of_prompt, seeds_in
from vivace.evaluation.statistics import Statistic, bootstrap_interval, pooled
from vivace.media import Clip
from vivace.perception.percept import Heard, Percept, Seen, perceive

Direction = Literal["higher", "lower", "none"]
Scope = Literal["item", "set", "pair"]
Found = TypeVar("Found")
NOT_GIVEN = "is given"  # end of the reason of what is undefined for want of a reference


@dataclass(frozen=True)
class Sample:
    """One clip to be judged.

    Args:
        id: unique within the benchmark.
        clip: pictures and sound as a viewer gets them; may be None where `seen` is given.
        prompt: the text that was asked for.
        expected: what the text states (kind, colours, floor, count, ...); only metrics read it, detectors never do.
        refs: further material by name (a reference picture, a voice, the true sound); empty for the world's prompts.
        seen: what the detectors have found in the clip before; None lets `percept` find it.
    """

    id: str
    clip: Clip | None = None
    prompt: str = ""
    expected: Mapping[str, Any] = field(default_factory=dict)
    refs: Mapping[str, Any] = field(default_factory=dict)
    seen: Percept | None = None

    @cached_property
    def percept(self) -> Percept:
        """What the blind detectors find in the clip; computed once and shared by all metrics."""
        if self.seen is not None:
            return self.seen
        if self.clip is None:
            raise VivaceError(f"Sample {self.id!r} has neither a clip nor findings; give one of them.")
        return perceive(self.clip)

    @property
    def sees(self) -> Seen:
        """The picture's findings; only for metrics that require "video"."""
        assert self.percept.video is not None
        return self.percept.video

    @property
    def hears(self) -> Heard:
        """The sound's findings; only for metrics that require "audio"."""
        assert self.percept.audio is not None
        return self.percept.audio


@dataclass(frozen=True)
class Undefined:
    """Why a metric has no value for a sample; it is counted, never scored as zero."""

    reason: str


@dataclass(frozen=True)
class Result:
    """A metric's value over a set.

    Args:
        value: None where no sample had a value.
        ci_low, ci_high: 95 % bootstrap interval over the items; None for fewer than two.
        n: samples with a value; `n_undefined`: without, with the reasons counted. Where prompts have several seeds
            (`vivace.evaluation.seeds`), n is of prompts and `n_undefined` of clips.
        scope: what a value is of (`Metric`).
        seeds: the most clips that a prompt has. clips: with a value, where `seeds` is not 1.
        by_n: of a metric of whole sets, its value over growing n (`vivace.evaluation.growing_sets`).
    """

    name: str
    version: str
    value: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    n_undefined: int
    reasons: Mapping[str, int]
    direction: Direction
    unit: str
    scope: Scope = "item"
    seeds: int = 1
    clips: int | None = None
    by_n: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        further = {} if self.seeds == 1 else {"seeds": self.seeds, "clips": self.clips}
        return {
            "value": self.value,
            "ci_low": self.ci_low,
            "ci_high": self.ci_high,
            "n": self.n,
            "n_undefined": self.n_undefined,
            "reasons": dict(self.reasons),
            "direction": self.direction,
            "unit": self.unit,
            "scope": self.scope,
            "version": self.version,
            **further,
            **({} if self.by_n is None else {"by_n": self.by_n}),
        }


@runtime_checkable
class Metric(Protocol):
    """A user's metric needs these names and nothing else.

    `scope` says what one value is of: "item" - a clip by itself or against texts; "pair" - a clip and the reference
    clip, sound or picture that belongs to it (over a set, the mean over the pairs); "set" - all clips together.
    """

    name: str
    version: str
    direction: Direction
    unit: str
    requires: frozenset[str]
    scope: Scope

    def prepare(self, device: str) -> None:
        """Bring what the metric computes with to a device ("cpu", "cuda:1"); called before the first sample."""

    def update(self, sample: Sample) -> dict[str, Any]:
        """Take one sample; its line of items.jsonl: {"record": [...], "value": of it alone} or {"undefined": why}."""

    def merge(self, other: Metric) -> None:
        """Take over what another instance has seen (another process, an earlier run)."""

    def compute(self) -> Result:
        """The result over all samples seen so far."""


class Network(Protocol):
    """What a metric asks that computes on the user's device, such as an adapter in `perception.published`."""

    device: Any

    def to(self, device: str) -> None:
        """Move it; one that cannot be moved stays, and its `device` says where.

        Raises:
            VivaceError: there is no such device, or no room on it.
        """


class ItemMetric:
    """Each sample gives a record of numbers, and a pooled statistic of all records is the value.

    Args:
        name, unit, direction, version: as reported.
        measure: sample -> record, or why there is none.
        statistic: how records are pooled (`vivace.evaluation.statistics.pooled`).
        requires: what a sample must have: "video", "audio" (findings of the world's detectors), "pictures", "sound" (of
            its clip), or names in `expected` as "expected:NAME" and in `refs` as "ref:NAME". References in files must
            be named: a measurement is repeated when one of those that are named has changed.
        scope: "item" or "pair" (`Metric`).
        network: that `measure` asks; None where it asks none.

    `weights` is the SHA-256 of the user's weights that it measures by, "" without any; whoever loads them sets it.
    `device` is where its network computes, "" without one.
    """

    def __init__(
        self,
        name: str,
        measure: Callable[[Sample], list[float] | Undefined],
        *,
        statistic: Statistic = "ratio",
        unit: str = "",
        direction: Direction = "higher",
        requires: Iterable[str] = ("video", "audio"),
        version: str = "1",
        scope: Scope = "item",
        network: Network | None = None,
    ) -> None:
        self.name, self.unit, self.direction, self.version, self.scope = name, unit, direction, version, scope
        self.requires, self.weights = frozenset(requires), ""
        self.device, self._network = "" if network is None else "cpu", network
        self._measure, self._statistic = measure, statistic
        self._seen: dict[str, list[float] | Undefined] = {}

    def prepare(self, device: str) -> None:
        """Raises VivaceError where the network cannot be moved there."""
        self.device = placed(self._network, device)

    def update(self, sample: Sample) -> dict[str, Any]:
        """Raises VivaceError for a sample id seen before."""
        outcome = self.outcome(sample)
        self.add(sample.id, outcome)
        return self.line(outcome)

    def line(self, outcome: list[float] | Undefined) -> dict[str, Any]:
        """An outcome as items.jsonl has it."""
        if isinstance(outcome, Undefined):
            return {"undefined": outcome.reason}
        return {"record": outcome, "value": _finite(float(pooled(self._statistic, [outcome])[0]))}

    def outcome(self, sample: Sample) -> list[float] | Undefined:
        """What a sample gives, without counting it."""
        return what_is_missing(sample, self.requires) or self._measure(sample)

    def fresh(self) -> ItemMetric:
        """The same metric, which has seen nothing."""
        other = copy.copy(self)
        other._seen = {}
        return other

    def add(self, sample_id: str, outcome: list[float] | Undefined) -> None:
        """Take over the outcome of a sample measured before (a resumed run)."""
        if sample_id in self._seen:
            raise VivaceError(f"sample {sample_id!r} was given to {self.name} twice; give each sample its own id.")
        self._seen[sample_id] = outcome

    @property
    def outcomes(self) -> Mapping[str, list[float] | Undefined]:
        """What each sample gave, by id."""
        return self._seen

    def merge(self, other: Metric) -> None:
        """Raises VivaceError where the other is not the same metric or has seen one of the same samples."""
        check_same(self, other)
        assert isinstance(other, ItemMetric)
        for sample_id, outcome in other._seen.items():
            self.add(sample_id, outcome)

    def compute(self) -> Result:
        # In the order of the ids, so that the order of arrival or of a merge changes nothing; a record for each prompt.
        prompts = by_prompt(self._seen).values()
        found = [[outcome for outcome in clips if not isinstance(outcome, Undefined)] for clips in prompts]
        records = [record_of_prompt(self._statistic, clips) for clips in found if clips]
        reasons = Counter(outcome.reason for clips in prompts for outcome in clips if isinstance(outcome, Undefined))
        value = float(pooled(self._statistic, records)[0]) if records else math.nan
        low, high = bootstrap_interval(self._statistic, records)
        return Result(
            name=self.name,
            version=self.version,
            value=_finite(value),
            ci_low=_finite(low),
            ci_high=_finite(high),
            n=len(records),
            n_undefined=sum(reasons.values()),
            reasons=dict(reasons),
            direction=self.direction,
            unit=self.unit,
            scope=self.scope,
            seeds=seeds_in(self._seen),
            clips=sum(map(len, found)),
        )


def placed(network: Network | None, device: str) -> str:
    """Move a metric's network, if it has one, and say where it computes then.

    Raises:
        VivaceError: it cannot be moved there.
    """
    if network is None:
        return ""
    network.to(device)
    return str(network.device)


def check_same(metric: Metric, other: Metric) -> None:
    """Raises VivaceError for metrics of another kind, name, version or weights, whose samples must not be merged."""
    marks = ("name", "version", "weights")
    if type(other) is not type(metric) or any(getattr(other, mark) != getattr(metric, mark) for mark in marks):
        raise VivaceError(
            f"{other.name} cannot be merged into {metric.name}; merge results of the same metric, version and weights."
        )


def once_per_sample(find: Callable[[Sample], Found]) -> Callable[[Sample], Found]:
    """The same function, computed once for a sample, however many metrics ask in turn; only the latest is kept."""
    latest: list[tuple[weakref.ref[Sample], Found]] = []

    def found(sample: Sample) -> Found:
        # By the sample itself: one of the same id may be another clip, such as the true one.
        if not latest or latest[0][0]() is not sample:
            latest[:] = [(weakref.ref(sample), find(sample))]
        return latest[0][1]

    return found


def what_is_missing(sample: Sample, requires: frozenset[str]) -> Undefined | None:
    """The first of `requires` (see `ItemMetric`) that a sample lacks; None where it has them all."""
    if "video" in requires and sample.percept.video is None:
        return Undefined("no picture")
    if "audio" in requires and sample.percept.audio is None:
        return Undefined("no sound")
    if "pictures" in requires and (sample.clip is None or sample.clip.frames is None):
        return Undefined("no picture")
    if "sound" in requires and (sample.clip is None or sample.clip.audio is None):
        return Undefined("no sound")
    for need in sorted(requires):
        group, _, name = need.partition(":")
        if group == "expected" and sample.expected.get(name) is None:
            return Undefined(f"the prompt states no {name}")
        if group == "ref" and sample.refs.get(name) is None:
            return Undefined(f"no {name} {NOT_GIVEN}")
    return None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
