"""Measuring clips that lie in files: each metric once for each clip, over several runs, and what cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vivace.errors import VivaceError
from vivace.evaluation.metric import Sample, Undefined
from vivace.evaluation.set_metric import SetMetric
from vivace.evaluation.suites.ledger import Outcome, SuiteLedger, SuiteMetric, file_digest
from vivace.evaluation.suites.suite import SuiteItem
from vivace.media import Clip, read_clip

LONGEST = 60.0  # seconds of a clip that are measured; what is longer is cut, and told
MISSING = "the clip is missing"
UNREADABLE, CUT = "unreadable", "cut"  # what a ledger notes of a clip

Progress = Callable[[str, int, int], None]


def measure_clips(
    items: Sequence[SuiteItem],
    found: Mapping[str, Path],
    condition: str,
    metrics: Sequence[SuiteMetric],
    ledger: SuiteLedger,
    progress: Progress | None = None,
    what: str = "measuring",
) -> None:
    """Measure what the ledger lacks of the clips that are there.

    Args:
        found: clips by the items' ids. condition: what they are called in the ledger's lines.
        progress: called with (what, done, total).
    """
    for number, item in enumerate(items):
        if item.id in found:
            digest = file_digest(found[item.id])
            due = ledger.due(item, digest, metrics)
            if due:
                clip, notes = _read(found[item.id])
                ledger.add(item, condition, found[item.id].name, digest, _measured(item, clip, due, ledger), notes)
        if progress is not None:
            progress(what, number + 1, len(items))


def outcomes_of(
    items: Sequence[SuiteItem], metric: SuiteMetric, ledger: SuiteLedger, missing: set[str]
) -> dict[str, Outcome]:
    """What a metric gave for each item; undefined for those whose clips are `missing`."""
    outcomes: dict[str, Outcome] = {}
    for item in items:
        found = None if item.id in missing else ledger.get(item, metric)
        outcomes[item.id] = Undefined(MISSING) if found is None else found
    return outcomes


def _read(path: Path) -> tuple[Clip | None, dict[str, str]]:
    """The clip, None where it cannot be read; and what is to be noted of it."""
    try:
        clip = read_clip(path, at_most=LONGEST + 1.0)
    except VivaceError as error:
        return None, {UNREADABLE: str(error)}
    if clip.seconds <= LONGEST:
        return clip, {}
    return read_clip(path, at_most=LONGEST), {CUT: f"to {LONGEST:g} s"}


def _measured(
    item: SuiteItem, clip: Clip | None, metrics: Sequence[SuiteMetric], ledger: SuiteLedger
) -> dict[str, dict[str, Any]]:
    """The metrics' parts of the clip's line of items.jsonl; features of sets are written beside it."""
    sample = None if clip is None else Sample(id=item.id, clip=clip, prompt=item.prompt, refs=item.refs())
    lines: dict[str, dict[str, Any]] = {}
    for metric in metrics:
        try:
            outcome: Any = Undefined("the clip cannot be read") if sample is None else metric.outcome(sample)
        except VivaceError as error:
            outcome = Undefined(str(error))
        if isinstance(outcome, Undefined):
            line: dict[str, Any] = {"undefined": outcome.reason}
        else:
            line = ledger.keep(item, metric, outcome) if isinstance(metric, SetMetric) else metric.line(outcome)
        lines[metric.name] = {**line, "version": metric.version}
    return lines
