"""Running a suite: clips that a model makes or that are there, measured one by one, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vivace.errors import VivaceError
from vivace.evaluation.published import Skipped
from vivace.evaluation.report.run_report import write_report
from vivace.evaluation.suites.ledger import SuiteLedger, SuiteMetric
from vivace.evaluation.suites.measuring import CUT, UNREADABLE, Progress, measure_clips, outcomes_of
from vivace.evaluation.suites.suite import Suite, SuiteItem
from vivace.evaluation.suites.summary import Counted, write_suite_summary
from vivace.media import Clip, write_clip

_SHOWN = 3

MakeClips = Callable[[Sequence[SuiteItem]], list[Clip]]


@dataclass(frozen=True)
class ModelRun:
    """A model that makes what is missing.

    Args:
        make: items of one length to clips. name, model_hash, settings: what identifies the clips.
        batch: clips made at a time.
    """

    make: MakeClips
    name: str
    model_hash: str
    settings: Mapping[str, Any]
    batch: int = 4


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
) -> dict[str, Any]:
    """Make what is missing, measure what is there, and write items.jsonl, summary.json and summary.md.

    Args:
        output: results folder; a model's clips are kept in its folder clips.
        metrics: fresh instances; each is measured once for each clip, also over several runs.
        skipped: what cannot be measured, for the summary.
        model: makes clips; or clips: by id, those of somebody else. source: what they are called in the summary.
        allow_missing: missing clips count as undefined instead of ending the run.
        progress: called with (what, done, total).

    Returns:
        The summary as it is written.

    Raises:
        VivaceError: clips are missing, or the folder holds another run.
    """
    identity: dict[str, Any] = {"suite": suite.name, "protocol": suite.protocol}
    if model is not None:
        identity |= {"model": model.name, "model_hash": model.model_hash, "settings": dict(model.settings)}
    else:
        identity |= {"model": source, "model_hash": "", "settings": {"clips": source}}
    condition = "clips" if model is None else "model"
    if model is None:
        found, failed = dict(clips or {}), dict[str, str]()
        missing = _missing(suite, found, failed, allow_missing)  # before anything is written
        ledger = SuiteLedger(output, identity)
    else:
        ledger = SuiteLedger(output, identity)  # before anything is generated
        found, failed = _made(suite, output, model, progress)
        missing = _missing(suite, found, failed, allow_missing)
    measure_clips(suite.items, found, condition, metrics, ledger, progress)
    noted = {item.id: ledger.notes(item) for item in suite.items if item.id in found}
    unreadable = {name: notes[UNREADABLE] for name, notes in noted.items() if UNREADABLE in notes}
    cut = [name for name, notes in noted.items() if CUT in notes]
    counted = Counted(missing=missing, failed=failed, unreadable=unreadable, cut=cut)
    outcomes = {metric.name: outcomes_of(suite.items, metric, ledger, set(missing)) for metric in metrics}
    summary = write_suite_summary(output, suite, identity, condition, metrics, outcomes, skipped, counted)
    write_report(output)
    return summary


def _missing(suite: Suite, found: Mapping[str, Path], failed: Mapping[str, str], allowed: bool) -> list[str]:
    """The items without a clip; refused unless that is allowed."""
    missing = [item.id for item in suite.items if item.id not in found]
    if missing and not allowed:
        reasons = sorted(set(failed.values()))
        raise VivaceError(
            f"{len(missing)} of {len(suite.items)} clips are missing ({_some(missing)}"
            f"{'; the first reason: ' + reasons[0].rstrip('.') if reasons else ''}); "
            "add them, or give --allow-missing to count them as undefined."
        )
    return missing


def _made(
    suite: Suite, output: Path, model: ModelRun, progress: Progress | None
) -> tuple[dict[str, Path], dict[str, str]]:
    """The model's clips by id, and why the others could not be made."""
    paths = {item.id: output / "clips" / f"{item.id}{suite.suffix}" for item in suite.items}
    failed: dict[str, str] = {}
    due = [item for item in suite.items if not paths[item.id].is_file()]
    done = len(suite.items) - len(due)
    for group in _batches(due, model.batch):
        for item, clip in _one_by_one(group, model.make, failed):
            paths[item.id].parent.mkdir(parents=True, exist_ok=True)
            write_clip(paths[item.id], clip, {"title": item.prompt})
        done += len(group)
        if progress is not None:
            progress("generating", done, len(suite.items))
    return {name: path for name, path in paths.items() if name not in failed}, failed


def _batches(items: Sequence[SuiteItem], size: int) -> Iterator[list[SuiteItem]]:
    """Items of one length, and with the same kinds of references, at a time."""
    alike: dict[tuple[Any, ...], list[SuiteItem]] = {}
    for item in items:
        alike.setdefault((item.seconds, tuple(sorted(item.files)), item.prompt.count("<S>")), []).append(item)
    for part in alike.values():
        for start in range(0, len(part), size):
            yield part[start : start + size]


def _one_by_one(items: list[SuiteItem], make: MakeClips, failed: dict[str, str]) -> Iterator[tuple[SuiteItem, Clip]]:
    """The clips of a batch; where it is refused, of each item that is not. What is refused goes into `failed`."""
    try:
        yield from zip(items, make(items), strict=True)
        return
    except VivaceError as error:
        if len(items) == 1:
            failed[items[0].id] = str(error)
            return
    for item in items:
        yield from _one_by_one([item], make, failed)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")
