"""Taking one clip through several stages, as it is done in worker processes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from vivace.curation.clip import Clip, Rejected
from vivace.curation.stage import Stage, judge
from vivace.errors import VivaceError


@dataclass(frozen=True)
class Job:
    """A clip with what is known of it, and the stages that have still to measure it, in order."""

    clip: Clip
    stages: tuple[str, ...]

    def to_json(self) -> str:
        return json.dumps([self.clip.to_json(), self.stages])

    @classmethod
    def from_json(cls, text: str) -> Job:
        clip, stages = json.loads(text)
        return cls(Clip.from_json(clip), tuple(stages))


@dataclass(frozen=True)
class Step:
    """What one stage made of a clip: columns, or a rejection by the measurement itself, or an error."""

    stage: str
    seconds: float
    columns: dict[str, Any] | None = None
    rejected: Rejected | None = None
    error: str | None = None

    def to_plain(self) -> list[Any]:
        """For JSON; `from_plain` gives back an equal step."""
        rejected = None if self.rejected is None else [self.rejected.reason, self.rejected.detail]
        return [self.stage, self.seconds, self.columns, rejected, self.error]

    @classmethod
    def from_plain(cls, values: list[Any]) -> Step:
        stage, seconds, columns, rejected, error = values
        return cls(stage, seconds, columns, None if rejected is None else Rejected(*rejected), error)


def walk(stages: Sequence[Stage], job: Job) -> Iterator[Step]:
    """The steps of a job, up to the first stage that rejects the clip or fails."""
    by_name = {stage.name: stage for stage in stages}
    clip = job.clip
    for name in job.stages:
        step = measure(by_name[name], clip)
        yield step
        if step.columns is None:
            return
        clip = clip.with_columns(name, **step.columns)
        try:
            rejected = judge(by_name[name].settings, clip)
        except VivaceError:
            return  # a bound that cannot be judged, which whoever keeps the verdicts finds too
        if rejected is not None:
            return


def measure(stage: Stage, clip: Clip) -> Step:
    """One step. An error does not pass further: it is the result."""
    began = time.perf_counter()
    prefix = f"{stage.name}."
    try:
        found = stage.measure(clip.of_stages(stage.needs))
    except MemoryError:
        return Step(stage.name, time.perf_counter() - began, error="memory ran out")
    except Exception as error:
        return Step(stage.name, time.perf_counter() - began, error=f"{type(error).__name__}: {error}"[:2000])
    seconds = time.perf_counter() - began
    if isinstance(found, Rejected):
        return Step(stage.name, seconds, rejected=found)
    own = {name.removeprefix(prefix): value for name, value in found.columns.items() if name.startswith(prefix)}
    return Step(stage.name, seconds, columns=own)
