"""Measuring clips that lie in files: each metric once for each clip, over several runs, and what cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from vivace.errors import VivaceError
from vivace.evaluation.digests import content_digest, file_digest
from vivace.evaluation.metric import Sample, Undefined
from vivace.evaluation.report.strips import save_strip, strip_path
from vivace.evaluation.set_metric import SetMetric
from vivace.evaluation.suites.ledger import Measured, Outcome, Sources, SuiteLedger, SuiteMetric, signature
from vivace.evaluation.suites.looking import found_in
from vivace.evaluation.suites.suite import SuiteItem
from vivace.media import Clip, read_clip
from vivace.perception.percept import percept_to_json

LONGEST = 60.0  # seconds of a clip that are measured; what is longer is cut, and told
MISSING = "the clip is missing"
UNREADABLE, CUT, REFERENCES = "unreadable", "cut", "references"  # what a ledger notes of a clip
BROKEN = "the given {} cannot be read"  # why a metric is undefined that reads such a reference

Progress = Callable[[str, int, int], None]


def measure_clips(
    items: Sequence[SuiteItem],
    found: Mapping[str, Path],
    condition: str,
    metrics: Sequence[SuiteMetric],
    ledger: SuiteLedger,
    progress: Progress | None = None,
    what: str = "measuring",
    pictured: Path | None = None,
    sounds: Mapping[str, Path] | None = None,
) -> None:
    """Measure what the ledger lacks of the clips that are there.

    Args:
        found: clips by the items' ids. condition: what they are called in the ledger's lines.
        progress: called with (what, done, total).
        pictured: results folder for the clips' strips, with which the detectors' findings go into the ledger; None
            leaves both out.
        sounds: files by the items' ids whose sound takes the place of the clip's own, both cut to the shorter.
    """
    for number, item in enumerate(items):
        if item.id in found:
            path, other = found[item.id], (sounds or {}).get(item.id)
            sources = _sources(path, other, item)
            due = ledger.due(item, sources, metrics)
            if due:
                clip, notes = _read(path) if other is None else _joined(path, other)
                refs, broken = _references(item)
                if broken:
                    notes[REFERENCES] = "; ".join(broken.values())
                percept = None
                if pictured is not None and clip is not None:
                    save_strip(strip_path(pictured, condition, item.id), clip)  # before its line: a line has its strip
                    percept = percept_to_json(found_in(clip))
                sample = None if clip is None else Sample(id=item.id, clip=clip, prompt=item.prompt, refs=refs)
                lines = {metric.name: _line(item, metric, sample, broken, ledger) for metric in due}
                ledger.add(item, condition, sources, Measured(lines, notes, percept))
        if progress is not None:
            progress(what, number + 1, len(items))


def outcomes_of(
    items: Sequence[SuiteItem], metric: SuiteMetric, ledger: SuiteLedger, missing: set[str]
) -> dict[str, Outcome]:
    """What a metric gave for each item; undefined for those whose clips are `missing`.

    Each process that had a share of the items counts by an instance of the metric, and these are merged.
    """
    parts: dict[str, Any] = {}
    for item in items:
        part = None if item.id in missing else ledger.part_of(item, metric)
        if part is not None:
            parts.setdefault(part, metric.fresh()).add(item.id, ledger.get(item, metric))
    whole = metric.fresh()
    for of_part in parts.values():
        whole.merge(of_part)
    return {item.id: whole.outcomes.get(item.id, Undefined(MISSING)) for item in items}


def _read(path: Path) -> tuple[Clip | None, dict[str, str]]:
    """The clip, None where it cannot be read; and what is to be noted of it."""
    try:
        clip = read_clip(path, at_most=LONGEST + 1.0)
    except VivaceError as error:
        return None, {UNREADABLE: str(error)}
    if clip.seconds <= LONGEST:
        return clip, {}
    return read_clip(path, at_most=LONGEST), {CUT: f"to {LONGEST:g} s"}


def _sources(path: Path, other: Path | None, item: SuiteItem) -> Sources:
    """What a clip is measured from; `other` has its sound where that is not its own."""
    if other is None:
        return Sources(path.name, file_digest(path), item.digests())
    digest = content_digest([file_digest(path), file_digest(other)])
    return Sources(f"{path.name} with the sound of {other.name}", digest, item.digests())


def _joined(path: Path, other: Path) -> tuple[Clip | None, dict[str, str]]:
    """As `_read`, of the pictures of one file with the sound of another, cut to the shorter of both."""
    (first, notes), (second, more) = _read(path), _read(other)
    notes = {**more, **notes}
    if first is None or second is None:
        return None, notes
    if first.frames is None or second.audio is None:
        if first.frames is None and second.audio is None:
            return None, {**notes, UNREADABLE: "neither pictures nor sound are there"}
        return Clip(first.frames, first.fps, second.audio, second.sample_rate), notes
    seconds = min(first.seconds, Fraction(second.audio.shape[1], second.sample_rate))
    frames, samples = max(1, int(seconds * first.fps)), max(1, int(seconds * second.sample_rate))
    return Clip(first.frames[:frames], first.fps, second.audio[:, :samples], second.sample_rate), notes


def _references(item: SuiteItem) -> tuple[dict[str, Any], dict[str, str]]:
    """What `Sample.refs` holds, without the files that cannot be read; and of these the reason, by name."""
    refs: dict[str, Any] = dict(item.texts)
    broken: dict[str, str] = {}
    for name in item.files:
        try:
            refs[name] = item.read(name)
        except VivaceError as error:
            broken[name] = str(error)
    return refs, broken


def _line(
    item: SuiteItem, metric: SuiteMetric, sample: Sample | None, broken: Mapping[str, str], ledger: SuiteLedger
) -> dict[str, Any]:
    """A metric's part of the clip's line of items.jsonl; features of sets are written beside it."""
    lost = next((name for name in sorted(broken) if f"ref:{name}" in metric.requires), None)
    outcome: Any
    try:
        if sample is None:
            outcome = Undefined("the clip cannot be read")
        else:
            outcome = metric.outcome(sample) if lost is None else Undefined(BROKEN.format(lost))
    except VivaceError as error:
        outcome = Undefined(str(error))
    if isinstance(outcome, Undefined):
        line: dict[str, Any] = {"undefined": outcome.reason}
    else:
        line = ledger.keep(item, metric, outcome) if isinstance(metric, SetMetric) else metric.line(outcome)
    return {**line, **signature(metric)}
