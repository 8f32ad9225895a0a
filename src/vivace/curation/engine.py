"""A run: phases of stages over the clips that are left, with everything that is done before kept.

Stages between two that look at the whole set form a phase, in which a clip is taken through all of them at once, so
that it is decoded once. What the ledger has already is judged here and never measured again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Protocol

from vivace.curation.chain import Job, Step
from vivace.curation.clip import Clip, Rejected
from vivace.curation.guard import Limits
from vivace.curation.ledger import Ledger, entry_of, settle
from vivace.curation.ledger_reader import PAGE, Entry
from vivace.curation.stage import Decision, Planned, SetStage, Stage
from vivace.errors import VivaceError

# Results are committed when this many are there or this much time has passed: it is what a killed run loses.
BATCH = 32
BATCH_SECONDS = 2.0
SPLIT = "split"


class Executor(Protocol):
    """How jobs are moved."""

    def __call__(
        self, stages: Sequence[Stage], jobs: Iterable[Job], limits: Limits, workers: int
    ) -> Iterator[tuple[Job, list[Step]]]: ...


@dataclass(frozen=True)
class Engine:
    """Everything of a run that does not change in it.

    Args:
        ledger: opened for writing.
        planned: the stages in order.
        executor, workers, limits: how jobs are run.
        attempts: failures after which a clip is set aside.
        patience: failures of one stage in a row, without a success, after which the run stops: then it is hardly the
            clips' fault.
        report: is told what is being done and how many clips are through.
    """

    ledger: Ledger
    planned: Sequence[Planned]
    executor: Executor
    workers: int = 0
    limits: Limits = field(default_factory=Limits)
    attempts: int = 2
    patience: int = 50
    report: Callable[[str, int], None] = lambda doing, done: None

    def run(self) -> None:
        """Take all files through all stages, going on where an earlier run ended.

        Raises:
            VivaceError: a stage that fails again and again.
        """
        self.ledger.set_plan([entry_of(planned) for planned in self.planned])
        self.ledger.begin_alive()
        known: list[Planned] = []
        for phase in phases(self.planned):
            self._measure(known, phase)
            for planned in phase:
                if isinstance(planned.stage, SetStage):
                    self._decide(known, planned, planned.stage)
                self.ledger.narrow(entry_of(planned))
                known.append(planned)
                if planned.name == SPLIT:
                    self.ledger.expand(planned.key)
                    known = []

    def _measure(self, known: Sequence[Planned], phase: Sequence[Planned]) -> None:
        """Measure what is missing, as long as something is: a failure comes again in the next round."""
        entries = {planned.name: entry_of(planned) for planned in phase}
        rounds = Round(self, entries, {planned.name: planned for planned in phase})
        name = f"{phase[0].name}…{phase[-1].name}" if len(phase) > 1 else phase[0].name
        while True:
            jobs = self._jobs(known, phase, rounds)
            stages = [planned.stage for planned in phase]
            moved = False
            for job, steps in self.executor(stages, jobs, self.limits, self.workers):
                moved = True
                rounds.add(job, steps)
                self.report(name, rounds.done)
            rounds.commit()
            if not moved:
                return

    def _jobs(self, known: Sequence[Planned], phase: Sequence[Planned], results: Round) -> Iterator[Job]:
        """What has still to be measured; verdicts on what is measured already are made on the way."""
        before = [entry_of(planned) for planned in known]
        ids = iter(self.ledger.alive_ids())
        while page := list(islice(ids, PAGE)):
            clips = self.ledger.with_columns(page, before)
            done = {planned.name: self.ledger.steps_of(page, results.entries[planned.name]) for planned in phase}
            aside = {planned.name: self.ledger.quarantined(page, results.entries[planned.name]) for planned in phase}
            judged = {planned.name: self.ledger.judged(page, results.entries[planned.name]) for planned in phase}
            for clip in clips:
                for place, planned in enumerate(phase):
                    if clip.id in aside[planned.name]:
                        break
                    step = done[planned.name].get(clip.id)
                    if step is None:
                        yield Job(clip, tuple(later.name for later in phase[place:]))
                        break
                    clip, rejected = settle(planned, clip, step)
                    if clip.id not in judged[planned.name]:
                        results.judged(clip, planned, rejected)
                    if rejected is not None:
                        break
            results.commit_when_due()

    def _decide(self, known: Sequence[Planned], planned: Planned, stage: SetStage) -> None:
        """The verdicts of a set stage, unless they stand already for this very set."""
        entry = entry_of(planned)
        digest = self.ledger.set_digest(entry)
        if self.ledger.decided(entry) == digest:
            return
        self.report(f"{planned.name}: deciding", 0)
        needed = [entry_of(other) for other in known if other.name in stage.needs]
        measured = (clip for clip in self.ledger.alive([*needed, entry], measured_by=entry))
        self.ledger.record_decisions(entry, digest, _explained(stage, measured))


def _explained(stage: SetStage, clips: Iterator[Clip]) -> Iterator[Decision]:
    try:
        yield from stage.decide(clips)
    except (KeyError, TypeError, ValueError) as error:
        raise VivaceError(
            f"Stage {stage.name!r} cannot decide on what it measured ({error!r}); raise its version or report this."
        ) from error


class Round:
    """Collects results and commits them in batches."""

    def __init__(self, engine: Engine, entries: dict[str, Entry], planned: dict[str, Planned]) -> None:
        self.engine = engine
        self.entries = entries
        self.planned = planned
        self.done = 0
        self._waiting: list[Callable[[], None]] = []
        self._since = time.monotonic()
        self._in_a_row: dict[str, int] = {}

    def add(self, job: Job, steps: Sequence[Step]) -> None:
        """Keep the steps of a job.

        Raises:
            VivaceError: one stage failed on too many clips in a row.
        """
        self.done += 1
        clip = job.clip
        for step in steps:
            planned, entry = self.planned[step.stage], self.entries[step.stage]
            self._later(partial(self._record, clip.id, entry, step))
            if step.error is not None:
                self._watch(step)
                break
            self._in_a_row[step.stage] = 0
            clip, rejected = settle(planned, clip, step)
            self.judged(clip, planned, rejected)
        self.commit_when_due()

    def judged(self, clip: Clip, planned: Planned, rejected: Rejected | None) -> None:
        """Keep a verdict, except of a set stage, which decides later; of a split that keeps a file, also its parts."""
        if planned.over_set:
            return
        ledger, entry = self.engine.ledger, self.entries[planned.name]
        self._later(lambda: ledger.record_verdict(clip.id, entry, rejected))
        if planned.name == SPLIT and rejected is None:
            origin = clip.of_stages(("ingest",))
            parts = [origin.part(start, seconds) for start, seconds in clip["split.parts"]]
            self._later(lambda: ledger.add_parts(clip, planned.key, parts))

    def _record(self, clip: str, entry: Entry, step: Step) -> None:
        self.engine.ledger.record_step(clip, entry, step, self.engine.attempts)

    def _later(self, write: Callable[[], None]) -> None:
        self._waiting.append(write)

    def _watch(self, step: Step) -> None:
        count = self._in_a_row[step.stage] = self._in_a_row.get(step.stage, 0) + 1
        if count >= self.engine.patience:
            self.commit()
            raise VivaceError(
                f"Stage {step.stage!r} failed on {count} clips in a row, the last time with: {step.error}; remove the "
                "cause and run the same command again with --retry, what is done is kept."
            )

    def commit_when_due(self) -> None:
        """Commit once enough has gathered or waited long enough."""
        if len(self._waiting) >= BATCH or time.monotonic() - self._since > BATCH_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Write what waits, in one transaction."""
        if self._waiting:
            with self.engine.ledger.writing():
                for write in self._waiting:
                    write()
        self._waiting = []
        self._since = time.monotonic()


def phases(planned: Sequence[Planned]) -> list[list[Planned]]:
    """The stages cut after each one that looks at the whole set, and after the split."""
    found: list[list[Planned]] = [[]]
    for stage in planned:
        found[-1].append(stage)
        if stage.over_set or stage.name == SPLIT:
            found.append([])
    return [phase for phase in found if phase]
