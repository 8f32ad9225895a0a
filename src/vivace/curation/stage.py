"""What a stage is: a version, settings, a measurement of one clip, and bounds on what is measured.

Measuring is what takes time; comparing with bounds is not. The two are kept apart, so that another threshold needs no
new measurement, and what a threshold would do can be told without one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vivace.curation.clip import Clip, Columns, Rejected
from vivace.curation.model_print import folder_print
from vivace.errors import VivaceError

HIGH = "high"  # the label of a clip that breaks no bound


class Bound(BaseModel):
    """A clip whose column lies outside is rejected; the bound's name is the reason.

    On numbers by `least` and `most`, or on text by `one_of` and `none_of`, letter for letter. No value (text without a
    letter is none) is outside only where the bound says that one is `needed`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str
    least: float | None = Field(default=None, allow_inf_nan=False)
    most: float | None = Field(default=None, allow_inf_nan=False)
    one_of: tuple[str, ...] | None = None
    none_of: tuple[str, ...] | None = None
    needed: bool = False
    use: bool = True

    @model_validator(mode="after")
    def _lets_something_through(self) -> Bound:
        if self.least is not None and self.most is not None and self.least > self.most:
            raise ValueError(f"least, {self.least:g}, is above most, {self.most:g}; exchange them")
        if self.on_text and (self.least is not None or self.most is not None):
            raise ValueError("a bound is on numbers (least, most) or on text (one_of, none_of); give it one of the two")
        if self.one_of is not None and not set(self.one_of) - set(self.none_of or ()):
            raise ValueError("one_of without what none_of excludes is empty, so that nothing passes; name something")
        return self

    @property
    def on_text(self) -> bool:
        return self.one_of is not None or self.none_of is not None

    @property
    def wanted(self) -> str:
        """In words what passes."""
        sides = [f"at least {self.least:g}"] if self.least is not None else []
        sides += [f"at most {self.most:g}"] if self.most is not None else []
        sides += [f"one of {', '.join(self.one_of)}"] if self.one_of is not None else []
        sides += [f"none of {', '.join(self.none_of)}"] if self.none_of is not None else []
        return " and ".join(sides) or "anything"

    def holds(self, value: Any) -> bool:
        """Whether a value lies inside, the ends included."""
        if not self.use:
            return True
        if value is None or value == "":
            return not self.needed
        if self.on_text:
            return (self.one_of is None or value in self.one_of) and value not in (self.none_of or ())
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


class StageSettings(BaseModel):
    """What all stages' settings have.

    Subclasses give their default bounds in `DEFAULT_BOUNDS` and name in `DECIDING` those fields that only matter when
    a set stage decides, and in `OPERATIONAL` those that change no result, such as how long to wait for one; all other
    fields are part of what a measurement depends on. In `FOLDERS` are fields that may name a model's folder, whose
    content then counts in place of its path. `LABEL` names a column that says of each clip which bound it broke
    first, or "high".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    DEFAULT_BOUNDS: ClassVar[Mapping[str, Bound]] = {}
    DECIDING: ClassVar[frozenset[str]] = frozenset()
    OPERATIONAL: ClassVar[frozenset[str]] = frozenset()
    FOLDERS: ClassVar[frozenset[str]] = frozenset()
    LABEL: ClassVar[str | None] = None

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
        """The settings on which a measurement depends.

        Raises:
            VivaceError: the folder of a model cannot be read.
        """
        left_out = {"use", "bounds", *self.DECIDING, *self.OPERATIONAL}
        found = {key: value for key, value in self.model_dump(mode="json").items() if key not in left_out}
        for key in self.FOLDERS:
            if Path(str(found[key])).is_dir():
                found[key] = {"folder": folder_print(Path(str(found[key])))}
        return found

    def deciding(self) -> dict[str, Any]:
        """The settings on which only the verdict depends."""
        return {key: self.model_dump(mode="json")[key] for key in ("bounds", *sorted(self.DECIDING))}

    def label(self, rejected: Rejected | None) -> dict[str, str]:
        """The column that a verdict gives a clip, if this stage has one."""
        return {} if self.LABEL is None else {self.LABEL: HIGH if rejected is None else rejected.reason}


@runtime_checkable
class Stage(Protocol):
    """One step of curation.

    name: prefix of its columns. version: raised whenever the same clip would be measured differently.
    """

    name: ClassVar[str]
    version: ClassVar[int]

    @property
    def needs(self) -> tuple[str, ...]:
        """The stages whose columns `measure` reads; it is shown no others."""
        ...

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
        VivaceError: a bound on numbers on a column that holds none, or one on text on a column of another kind.
    """
    for reason, bound in settings.bounds.items():
        value = clip.get(bound.column)
        if not bound.use:
            continue
        if value is None or value == "":
            if bound.needed:
                return Rejected(reason, f"{bound.column} has no value, wanted {bound.wanted}")
        elif bound.on_text:
            if not isinstance(value, str) and not bound.column.startswith("input."):
                raise VivaceError(
                    f"Bound {reason!r} names text for {bound.column!r}, which is none; give it least and most."
                )
            # What the input says may be of any kind, and one row of a manifest must not stop a run.
            if not bound.holds(str(value)):
                return Rejected(reason, f"{bound.column} is {str(value)[:200]!r}, wanted {bound.wanted}")
        elif not isinstance(value, (int, float)):
            raise VivaceError(
                f"Bound {reason!r} is on {bound.column!r}, which is no number; give it another column, or one_of if "
                "it holds text."
            )
        elif not bound.holds(value):
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
