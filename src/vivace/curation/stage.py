"""What a stage is: a version, settings, a measurement of one clip, and bounds on what is measured.

Measuring is what takes time; comparing with bounds is not. The two are kept apart, so that another threshold needs no
new measurement, and what a threshold would do can be told without one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vivace.curation.clip import Clip, Columns, Rejected
from vivace.errors import VivaceError


class Bound(BaseModel):
    """A clip whose column lies outside is rejected; the bound's name is the reason. No value is never outside."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str
    least: float | None = Field(default=None, allow_inf_nan=False)
    most: float | None = Field(default=None, allow_inf_nan=False)
    use: bool = True

    @model_validator(mode="after")
    def _lets_something_through(self) -> Bound:
        if self.least is not None and self.most is not None and self.least > self.most:
            raise ValueError(f"least, {self.least:g}, is above most, {self.most:g}; exchange them")
        return self

    def holds(self, value: Any) -> bool:
        """Whether a value lies inside, the ends included."""
        if value is None or not self.use:
            return True
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


class StageSettings(BaseModel):
    """What all stages' settings have.

    Subclasses give their default bounds in `DEFAULT_BOUNDS` and name in `DECIDING` those fields that only matter when
    a set stage decides; all other fields are part of what a measurement depends on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    DEFAULT_BOUNDS: ClassVar[Mapping[str, Bound]] = {}
    DECIDING: ClassVar[frozenset[str]] = frozenset()

    use: bool = True
    bounds: dict[str, Bound] = Field(default_factory=dict, description="reason to column, least and most")

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, values: Any) -> Any:
        """What a recipe says of a bound replaces that part of the default alone."""
        if not isinstance(values, dict):
            return values
        given = values.get("bounds") or {}
        if not isinstance(given, dict):
            return values
        bounds: dict[str, Any] = {reason: bound.model_dump() for reason, bound in cls.DEFAULT_BOUNDS.items()}
        for reason, bound in given.items():
            stated = bound.model_dump() if isinstance(bound, Bound) else bound
            if reason not in bounds and not (isinstance(stated, dict) and "column" in stated):
                known = ", ".join(cls.DEFAULT_BOUNDS) or "none"
                raise ValueError(f"bounds.{reason} is unknown here and names no column; the stage has {known}")
            bounds[reason] = {**bounds.get(reason, {}), **stated} if isinstance(stated, dict) else stated
        return {**values, "bounds": bounds}

    def measuring(self) -> dict[str, Any]:
        """The settings on which a measurement depends."""
        left_out = {"use", "bounds", *self.DECIDING}
        return {key: value for key, value in self.model_dump(mode="json").items() if key not in left_out}

    def deciding(self) -> dict[str, Any]:
        """The settings on which only the verdict depends."""
        return {key: self.model_dump(mode="json")[key] for key in ("bounds", *sorted(self.DECIDING))}


@runtime_checkable
class Stage(Protocol):
    """One step of curation.

    name: prefix of its columns. version: raised whenever the same clip would be measured differently. needs: the
    stages whose columns `measure` reads; it is shown no others.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    needs: ClassVar[tuple[str, ...]]

    @property
    def settings(self) -> StageSettings: ...

    def measure(self, clip: Clip) -> Clip | Rejected:
        """The clip with this stage's columns, or why there can be none. A pure function of clip and settings.

        Raises:
            Exception: whatever goes wrong; the clip is tried again and then quarantined with the error.
        """
        ...


@dataclass(frozen=True)
class Decision:
    """What a set stage says of one clip: kept where `rejected` is None, with columns that only the set can give."""

    clip: str
    rejected: Rejected | None = None
    columns: Columns = field(default_factory=dict)


@runtime_checkable
class SetStage(Stage, Protocol):
    """A stage whose verdict depends on the whole set, after every clip was measured."""

    def decide(self, clips: Iterable[Clip]) -> Iterator[Decision]:
        """One decision for each clip that is not kept as it is.

        Args:
            clips: in the order of their ids, with the columns of this stage and of those that it needs.
        """
        ...


def judge(settings: StageSettings, clip: Clip) -> Rejected | None:
    """The first bound that a measured clip breaks, in the order in which they are given.

    Raises:
        VivaceError: a bound on a column that holds no numbers.
    """
    for reason, bound in settings.bounds.items():
        value = clip.get(bound.column)
        if value is None:
            continue  # which is never outside
        if not isinstance(value, (int, float)):
            raise VivaceError(f"Bound {reason!r} is on {bound.column!r}, which is no number; give it another column.")
        if not bound.holds(value):
            low = bound.least is not None and value < bound.least
            limit = f"at least {bound.least:g}" if low else f"at most {bound.most:g}"
            return Rejected(reason, f"{bound.column} is {value:.4g}, wanted {limit}")
    return None


def apply(stage: Stage, clip: Clip) -> Clip | Rejected:
    """A stage as the function that it is: measure, then compare with the bounds."""
    measured = stage.measure(clip)
    return measured if isinstance(measured, Rejected) else judge(stage.settings, measured) or measured


@dataclass(frozen=True)
class Planned:
    """A stage with the keys under which the ledger keeps its results.

    key: of its measurements: name, version, settings, and the keys of the stages that it needs.
    bounds: of its verdicts: what is decided with.
    """

    stage: Stage
    key: str
    bounds: str

    @property
    def name(self) -> str:
        return self.stage.name

    @property
    def over_set(self) -> bool:
        return isinstance(self.stage, SetStage)


def plan(stages: Sequence[Stage]) -> list[Planned]:
    """The stages with their keys.

    Raises:
        VivaceError: a stage stands before one that it needs, or two have one name.
    """
    planned: dict[str, Planned] = {}
    for stage in stages:
        lacking = [name for name in stage.needs if name not in planned]
        if lacking or stage.name in planned:
            problem = f"needs {lacking[0]!r} before it" if lacking else "is there twice"
            raise VivaceError(f"Stage {stage.name!r} {problem}; correct the recipe.")
        key = _hash([stage.name, stage.version, stage.settings.measuring(), [planned[n].key for n in stage.needs]])
        planned[stage.name] = Planned(stage, key, _hash(stage.settings.deciding()))
    return list(planned.values())


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
