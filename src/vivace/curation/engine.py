"""A run: phases of stages over the clips that are left, with everything that is done before kept.

Stages between two that look at the whole set form a phase, in which a clip is taken through all of them at once, so
that it is decoded once. What the ledger has already is judged here and never measured again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Protocol

from vivace.curation.chain import Job, Step
from vivace.curation.clip import Clip, Rejected
from vivace.curation.guard import Limits
from vivace.curation.ledger import Ledger, entry_of, settle
from vivace.curation.ledger_reader import PAGE
from vivace.curation.stage import Decision, Planned, SetStage, Stage
from vivace.curation.stamp import stamp
from vivace.errors import VivaceError

# Results are committed when this many are there or this much time has passed: it is what a killed run loses.
BATCH = 32
BATCH_SECONDS = 2.0
SPLIT, ENCODE = "split", "encode"


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
        after: stages that someone else takes the clips through afterwards; here they only stand in the plan.
    """

    ledger: Ledger
    planned: Sequence[Planned]
    executor: Executor
    workers: int = 0
    limits: Limits = field(default_factory=Limits)
    attempts: int = 2
    patience: int = 50
    report: Callable[[str, int], None] = lambda doing, done: None
    after: Sequence[Planned] = ()

    def run(self) -> None:
        """Take all files through all stages, going on where an earlier run ended.

        Raises:
            VivaceError: a stage that fails again and again.
        """
        self.ledger.set_plan([entry_of(planned) for planned in (*self.planned, *self.after)])
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
        rounds = Round(self.ledger, phase, self.attempts, self.patience)
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
            stamps = self.ledger.stamps_of(page)
            for clip in clips:
                for place, planned in enumerate(phase):
                    if clip.id in aside[planned.name]:
                        break
                    step = done[planned.name].get(clip.id)
                    if step is None:
                        job = Job(clip, tuple(later.name for later in phase[place:]))
                        if results.begin(job, {clip.path: stamps[clip.id]}):
                            yield job
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
    """Collects the results of some stages and commits them in batches.

    Args:
        ledger: opened for writing.
        planned: the stages. attempts, patience: as in `Engine`.
    """

    def __init__(self, ledger: Ledger, planned: Sequence[Planned], attempts: int, patience: int) -> None:
        self.ledger = ledger
        self.entries = {stage.name: entry_of(stage) for stage in planned}
        self.planned = {stage.name: stage for stage in planned}
        self.attempts = attempts
        self.patience = patience
        self.done = 0
        self._files: dict[str, Mapping[str, str]] = {}
        self._waiting: list[Callable[[], None]] = []
        self._since = time.monotonic()
        self._in_a_row: dict[str, int] = {}

    def begin(self, job: Job, files: Mapping[str, str]) -> bool:
        """Whether a job can be done, which `add` is told of then: not where its files are not what they were, for what
        is found now would not be of what was found before. The clip is set aside, and the next run, which takes the
        files in as they are then, measures it anew.

        Args:
            files: what the job reads, each with its stamp when it was taken in.
        """
        if self._changed(job, files):
            return False
        self._files[job.clip.id] = files
        return True

    def add(self, job: Job, steps: Sequence[Step], last: bool = False) -> bool:
        """Keep the steps of a job that was begun, unless its files were changed meanwhile. Returns whether they are.

        Args:
            last: an error sets the clip aside at once.

        Raises:
            VivaceError: one stage failed on too many clips in a row.
        """
        self.done += 1
        if self._changed(job, self._files.pop(job.clip.id)):
            return False
        clip = job.clip
        for step in steps:
            planned, entry = self.planned[step.stage], self.entries[step.stage]
            attempts = 1 if last else self.attempts
            self._later(partial(self.ledger.record_step, clip.id, entry, step, attempts))
            if step.error is not None:
                self._watch(step)
                break
            self._in_a_row[step.stage] = 0
            clip, rejected = settle(planned, clip, step)
            self.judged(clip, planned, rejected)
        self.commit_when_due()
        return True

    def _changed(self, job: Job, files: Mapping[str, str]) -> bool:
        """Whether a file is not what it was; then the clip is set aside, since further attempts would find the same."""
        changed = [path for path, before in files.items() if stamp(path) != before]
        if not changed:
            return False
        name = changed[0].encode(errors="replace").decode()
        error = f"{name!r} was changed or has gone since it was taken in; run again to take it in anew"
        step = Step(job.stages[0], 0.0, error=error)
        self._later(partial(self.ledger.record_step, job.clip.id, self.entries[step.stage], step, 1))
        self.commit_when_due()
        return True

    def judged(self, clip: Clip, planned: Planned, rejected: Rejected | None) -> None:
        """Keep a verdict, except of a set stage, which decides later; of a split that keeps a file, also its parts."""
        if planned.over_set:
            return
        ledger, entry = self.ledger, self.entries[planned.name]
        columns = planned.stage.settings.label(rejected)
        self._later(lambda: ledger.record_verdict(clip.id, entry, rejected, columns))
        if planned.name == SPLIT and rejected is None:
            origin = clip.of_stages(("ingest",))
            parts = [origin.part(start, seconds) for start, seconds in clip["split.parts"]]
            self._later(lambda: ledger.add_parts(clip, planned.key, parts))

    def _later(self, write: Callable[[], None]) -> None:
        self._waiting.append(write)

    def _watch(self, step: Step) -> None:
        count = self._in_a_row[step.stage] = self._in_a_row.get(step.stage, 0) + 1
        if count >= self.patience:
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
            with self.ledger.writing():
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
