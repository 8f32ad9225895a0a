"""Running a suite: clips that a model makes or that are there, measured one by one, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vivace.errors import VivaceError
from vivace.evaluation.published import Skipped
from vivace.evaluation.report.run_report import write_report
from vivace.evaluation.suites.beside import measure_beside
from vivace.evaluation.suites.ledger import SuiteLedger, SuiteMetric
from vivace.evaluation.suites.making import ModelRun, first_of, made_clips
from vivace.evaluation.suites.measuring import Progress, measure_clips, outcomes_of
from vivace.evaluation.suites.suite import Suite
from vivace.evaluation.suites.summary import counted_of, write_suite_summary
from vivace.perception.thresholds import fingerprint


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

    Returns:
        The summary as it is written.

    Raises:
        VivaceError: clips are missing, or the folder holds another run.
    """
    identity: dict[str, Any] = {"suite": suite.name, "protocol": suite.protocol, "perception": fingerprint()}
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
        found, failed = made_clips(suite, output, model, allow_missing, progress)
        missing = _missing(suite, found, failed, allow_missing)
    measure_clips(suite.items, found, condition, metrics, ledger, progress, pictured=output)
    outcomes = {metric.name: outcomes_of(suite.items, metric, ledger, set(missing)) for metric in metrics}
    notes = {item.id: ledger.notes(item) for item in suite.items if item.id in found}
    counted = counted_of(missing, failed, notes, outcomes)
    beside = measure_beside(suite, found, metrics, output, identity, progress, networks=floor_networks)
    summary = write_suite_summary(
        output, suite, identity, condition, metrics, outcomes, skipped, counted, beside, command
    )
    write_report(output)
    return summary


def _missing(suite: Suite, found: Mapping[str, Path], failed: Mapping[str, str], allowed: bool) -> list[str]:
    """The items without a clip; refused unless that is allowed."""
    missing = [item.id for item in suite.items if item.id not in found]
    if missing and not allowed:
        reasons = sorted(set(failed.values()))
        raise VivaceError(
            f"{len(missing)} of {len(suite.items)} clips are missing ({first_of(missing)}"
            f"{'; the first reason: ' + reasons[0].rstrip('.') if reasons else ''}); "
            "add them, or give --allow-missing to count them as undefined."
        )
    return missing
