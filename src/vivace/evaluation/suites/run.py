"""Running a suite: clips that a model makes or that are there, measured one by one, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vivace.errors import VivaceError
from vivace.evaluation.published import Skipped
from vivace.evaluation.report.run_report import write_report
from vivace.evaluation.suites.beside import Beside, measure_beside
from vivace.evaluation.suites.ledger import SuiteLedger, SuiteMetric, claim
from vivace.evaluation.suites.making import ModelRun, batches_of, clip_path, first_of, made_clips
from vivace.evaluation.suites.measuring import Progress, measure_clips, outcomes_of
from vivace.evaluation.suites.shards import EVERYTHING, Doing, Shard, ShardRecord, work_digest
from vivace.evaluation.suites.suite import Suite, SuiteItem
from vivace.evaluation.suites.summary import counted_of, write_suite_summary
from vivace.perception.thresholds import fingerprint

WAITING = "waiting"  # what a shard's result holds as long as not all shards are done
_REASON = 200  # letters of why a shard has failed


def evaluate_suite(
    suite: Suite,
    output: Path,
    metrics: Sequence[SuiteMetric],
    skipped: Sequence[Skipped] = (),
    *,
    model: ModelRun | None = None,
    clips: Mapping[str, Path] | None = None,
    source: str = "",
    allow_missing: bool = False,
    progress: Progress | None = None,
    command: str | None = None,
    floor_networks: bool = True,
    device: str = "cpu",
    shard: Shard | None = None,
) -> dict[str, Any]:
    """Make what is missing, measure what is there, and write items.jsonl, summary.json and summary.md.

    Args:
        output: results folder; a model's clips are kept in its folder clips.
        metrics: fresh instances; each is measured once for each clip, also over several runs.
        skipped: what cannot be measured, for the summary.
        model: makes clips; or clips: by id, those of somebody else. source: what they are called in the summary.
        allow_missing: missing clips count as undefined instead of ending the run.
        progress: called with (what, done, total).
        command: that makes this run, for its summary.
        floor_networks: whether swapped sound is also measured by the user's weights.
        device: on which networks measure.
        shard: the share of the items that this process makes and measures; the last one goes on to the summary.

    Returns:
        The summary as it is written. Of a shard before all are done: {"waiting": {shard: how it stands with it}}.

    Raises:
        VivaceError: clips are missing, the folder holds another run, or without `shard` one that shards have begun and
            not finished.
    """
    identity: dict[str, Any] = {"suite": suite.name, "protocol": suite.protocol, "perception": fingerprint()}
    if model is not None:
        identity |= {"model": model.name, "model_hash": model.model_hash, "settings": dict(model.settings)}
    else:
        identity |= {"model": source, "model_hash": "", "settings": {"clips": source}}
    run = _Run(suite, output, metrics, identity, model, clips or {}, allow_missing, progress, floor_networks, device)
    batches = [[item] for item in suite.items] if model is None else list(batches_of(suite.items, model.batch))
    shards = ShardRecord(output, work_digest(identity, batches, metrics, floor_networks))
    doing = EVERYTHING
    if shard is None:
        shards.check_finished()
    else:
        claim(output, identity)
        with _told(shards, shard):
            run.measure(Doing(shard.part, frozenset(item.id for item in shard.share(batches))))
        unfinished = shards.unfinished(shard.of)
        if unfinished:
            return {WAITING: {str(other): how for other, how in unfinished.items()}}
        doing = Doing(shard.part)
    measured = run.measure(doing)
    ledger, missing, condition = measured.ledger, measured.missing, run.condition
    outcomes = {metric.name: outcomes_of(suite.items, metric, ledger, set(missing)) for metric in metrics}
    notes = {item.id: ledger.notes(item) for item in suite.items if item.id in measured.found}
    counted = counted_of(missing, measured.failed, notes, outcomes)
    told = {**identity, "devices": ledger.devices(suite.items, metrics)}
    summary = write_suite_summary(
        output, suite, told, condition, metrics, outcomes, skipped, counted, measured.beside, command
    )
    write_report(output)
    return summary


@dataclass(frozen=True)
class _Measured:
    """What is known when a run, or a share of it, has been measured."""

    ledger: SuiteLedger
    found: Mapping[str, Path]
    failed: dict[str, str]
    missing: list[str]
    beside: Beside


@dataclass(frozen=True)
class _Run:
    """As `evaluate_suite` has it."""

    suite: Suite
    output: Path
    metrics: Sequence[SuiteMetric]
    identity: Mapping[str, Any]
    model: ModelRun | None
    clips: Mapping[str, Path]
    allow_missing: bool
    progress: Progress | None
    floor_networks: bool
    device: str

    @property
    def condition(self) -> str:
        """What the clips are called."""
        return "clips" if self.model is None else "model"

    def measure(self, doing: Doing) -> _Measured:
        """Make and measure what is due of all items, or of a share."""
        items = doing.of(self.suite.items)
        if self.model is None:
            failed = dict[str, str]()
            found = {item.id: self.clips[item.id] for item in items if item.id in self.clips}
            missing = _missing(items, found, failed, self.allow_missing)  # before anything is written
            ledger = SuiteLedger(self.output, self.identity, doing.part)
            every: Mapping[str, Path] = self.clips
        else:
            ledger = SuiteLedger(self.output, self.identity, doing.part)  # before anything is generated
            found, failed = made_clips(
                self.suite, items, self.output, self.model, self.allow_missing, self.progress, doing.part
            )
            missing = _missing(items, found, failed, self.allow_missing)
            # Clips of other shards are or will be there; which of them fail is known when all is measured.
            others = {item.id: clip_path(self.suite, self.output, item) for item in self.suite.items}
            every = {name: path for name, path in others.items() if name not in failed}
        for metric in self.metrics:
            metric.prepare(self.device)
        measure_clips(items, found, self.condition, self.metrics, ledger, self.progress, pictured=self.output)
        beside = measure_beside(
            self.suite,
            every,
            self.metrics,
            self.output,
            self.identity,
            self.progress,
            networks=self.floor_networks,
            doing=doing,
        )
        return _Measured(ledger, found, failed, missing, beside)


@contextmanager
def _told(shards: ShardRecord, shard: Shard) -> Iterator[None]:
    """Let the others know that a shard is at work, and how it ended."""
    shards.say(shard, "begun")
    try:
        yield
    except BaseException as error:
        shards.say(shard, "failed", " ".join(str(error).split())[:_REASON] or type(error).__name__)
        raise
    shards.say(shard, "done")


def _missing(
    items: Sequence[SuiteItem], found: Mapping[str, Path], failed: Mapping[str, str], allowed: bool
) -> list[str]:
    """The items without a clip; refused unless that is allowed."""
    missing = [item.id for item in items if item.id not in found]
    if missing and not allowed:
        reasons = sorted(set(failed.values()))
        raise VivaceError(
            f"{len(missing)} of {len(items)} clips are missing ({first_of(missing)}"
            f"{'; the first reason: ' + reasons[0].rstrip('.') if reasons else ''}); "
            "add them, or give --allow-missing to count them as undefined."
        )
    return missing
