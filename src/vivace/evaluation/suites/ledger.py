"""What has been measured of a suite's clips so far, on disk: an interrupted run goes on, and new metrics are added.

What a metric of whole sets keeps of a clip (`SetMetric`) lies in features/METRIC/ID.safetensors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vivace.errors import VivaceError
from vivace.evaluation.ledger import claim_folder
from vivace.evaluation.metric import NOT_GIVEN, ItemMetric, Undefined
from vivace.evaluation.parted_lines import PartedLines
from vivace.evaluation.set_metric import Features, SetMetric, load_features, save_features
from vivace.evaluation.suites.suite import WORDS, SuiteItem

SCHEMA = 1
Outcome = list[float] | Undefined | Features
SuiteMetric = ItemMetric | SetMetric


@dataclass(frozen=True)
class Sources:
    """What a clip is measured from.

    Args:
        file: the clip's name. digest: SHA-256 of it.
        given: SHA-256 of what it is judged by (`SuiteItem.digests`).
    """

    file: str
    digest: str
    given: Mapping[str, str]


@dataclass(frozen=True)
class Measured:
    """What was measured of a clip at a time.

    Args:
        metrics: by name: `ItemMetric.line`, or what `SuiteLedger.keep` gives, with `signature`.
        notes: what is special about the clip, by a word for it.
        percept: what the blind detectors found, as JSON; None where they were not asked.
    """

    metrics: Mapping[str, Mapping[str, Any]]
    notes: Mapping[str, str] = field(default_factory=dict)
    percept: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class _Stored:
    """Features in a file, a path from the results folder."""

    file: str


@dataclass(frozen=True)
class _Known:
    """An outcome, by which version and weights of its metric, and what the clip was judged by; None where its line does
    not tell that. What does not make it another outcome: on which device, and in which part of the ledger it is."""

    found: list[float] | Undefined | _Stored
    version: str
    weights: str
    given: Mapping[str, str] | None
    device: str = field(default="", compare=False)
    part: str = field(default="", compare=False)


class SuiteLedger:
    """items.jsonl: one line for each time that something of a clip was measured; appended, never rewritten.

    A line holds the metrics that were new then, each with its version and the digest of its weights, and the digests of
    the clip and of what it was judged by. A clip whose file has changed begins anew; where a weights file, the words or
    a reference has changed, the metrics that read it are due again. A line cut off by a crash is dropped.

    Processes that share a run write a part of it each (`vivace.evaluation.parted_lines`) and read what all parts held
    when they began.

    Args:
        folder: results folder, made where there is none.
        identity: what the run is; a folder goes on only with the same.
        part: that this process writes.

    Raises:
        VivaceError: the folder holds another run, or its lines are damaged.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], part: str = "") -> None:
        self._folder, self._part = folder, part
        self._known: dict[str, tuple[str, dict[str, _Known]]] = {}
        self._notes: dict[str, Mapping[str, str]] = {}
        claim(folder, identity)
        self._lines = PartedLines(folder, "items", part)
        for row in self._lines.rows:
            try:
                given, written = row.get("given"), row.get("part", "")
                found = {name: _known(entry, given, written) for name, entry in row["metrics"].items()}
                self._take(row["id"], row["sha256"], found)
                self._notes[row["id"]] = row.get("notes", {})
            # What a changed line lacks, or holds instead, shows itself in any of these ways.
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise VivaceError(
                    f"The lines in {str(folder)!r} on item {str(row.get('id'))[:100]!r} are damaged "
                    f"({type(error).__name__} {str(error)[:100]}); remove them, so that it is measured anew."
                ) from None

    def _take(self, item: str, digest: str, found: dict[str, _Known]) -> None:
        before = self._known.get(item)
        kept = before[1] if before is not None and before[0] == digest else {}
        self._known[item] = digest, {**kept, **found}

    def due(self, item: SuiteItem, sources: Sources, metrics: Sequence[SuiteMetric]) -> list[SuiteMetric]:
        """The metrics of which this very clip has no outcome by these very sources, or one for want of a reference."""
        known = self._known.get(item.id)
        if known is None or known[0] != sources.digest:
            return list(metrics)
        return [metric for metric in metrics if self._is_due(known[1].get(metric.name), metric, sources.given)]

    def _is_due(self, known: _Known | None, metric: SuiteMetric, given: Mapping[str, str]) -> bool:
        if known is None or (known.version, known.weights) != (metric.version, metric.weights) or known.given is None:
            return True
        if any(known.given.get(name) != given.get(name) for name in (WORDS, *references_of(metric))):
            return True
        if isinstance(known.found, _Stored):
            return not (self._folder / known.found.file).is_file()
        # A reference, such as face tracks, may be given later.
        return isinstance(known.found, Undefined) and known.found.reason.endswith(NOT_GIVEN)

    def get(self, item: SuiteItem, metric: SuiteMetric) -> Outcome | None:
        """A clip's outcome of a metric; None where there is none."""
        known = self._of(item, metric)
        if known is None:
            return None
        return load_features(self._folder / known.found.file) if isinstance(known.found, _Stored) else known.found

    def part_of(self, item: SuiteItem, metric: SuiteMetric) -> str | None:
        """The part that holds a clip's outcome of a metric; None where there is none."""
        known = self._of(item, metric)
        return None if known is None else known.part

    def devices(self, items: Sequence[SuiteItem], metrics: Sequence[SuiteMetric]) -> dict[str, list[str]]:
        """Where the networks computed that gave the clips' values, by metric; metrics without one are left out."""
        found: dict[str, list[str]] = {}
        for metric in metrics:
            known = [one for item in items if (one := self._of(item, metric)) is not None]
            devices = {one.device for one in known if one.device and not isinstance(one.found, Undefined)}
            if devices:
                found[metric.name] = sorted(devices)
        return found

    def _of(self, item: SuiteItem, metric: SuiteMetric) -> _Known | None:
        row = self._known.get(item.id)
        known = None if row is None else row[1].get(metric.name)
        if known is None or (known.version, known.weights) != (metric.version, metric.weights):
            return None
        return known

    def keep(self, item: SuiteItem, metric: SuiteMetric, features: Features) -> dict[str, Any]:
        """Write what a metric of sets keeps of a clip; its part of the clip's line, without the signature."""
        file = f"features/{metric.name}/{item.id}.safetensors"
        save_features(self._folder / file, features)
        return {"features": file}

    def add(self, item: SuiteItem, condition: str, sources: Sources, measured: Measured) -> None:
        """Write and take over what was measured of a clip; what is known already is not written again."""
        before = self._known.get(item.id)
        # What is scored is what is stored.
        new: dict[str, Any] = json.loads(json.dumps(measured.metrics))
        if before is not None and before[0] == sources.digest:
            known = {name: _known(entry, sources.given, self._part) for name, entry in new.items()}
            new = {name: entry for name, entry in new.items() if before[1].get(name) != known[name]}
        if not new:
            return
        row: dict[str, Any] = {
            "id": item.id,
            "group": item.group,
            "condition": condition,
            "seed": item.seed,
            "prompt": item.prompt,
            "language": item.language,
            "tags": list(item.tags),
            "file": sources.file,
            "sha256": sources.digest,
            "given": dict(sources.given),
            "metrics": new,
        }
        if measured.notes:
            row["notes"] = dict(measured.notes)
        if measured.percept is not None:
            row["percept"] = dict(measured.percept)
        if self._part:
            row["part"] = self._part
        self._lines.add(row)
        found = {name: _known(entry, sources.given, self._part) for name, entry in new.items()}
        self._take(item.id, sources.digest, found)
        self._notes[item.id] = dict(measured.notes)

    def notes(self, item: SuiteItem) -> Mapping[str, str]:
        """What was noted of a clip when it was measured last."""
        return self._notes.get(item.id, {})


def claim(folder: Path, identity: Mapping[str, Any]) -> None:
    """Make the results folder of a run, or go on in it.

    Raises:
        VivaceError: the folder holds another run.
    """
    claim_folder(folder, {"schema": SCHEMA, **identity})


def signature(metric: SuiteMetric) -> dict[str, str]:
    """What a line says of a metric beside its outcome: the version, and where it has some the digest of its weights and
    the device on which its network computes."""
    told = {"version": metric.version, "weights": metric.weights, "device": metric.device}
    return {name: value for name, value in told.items() if value or name == "version"}


def references_of(metric: SuiteMetric) -> set[str]:
    """The references that a metric reads."""
    return {name.removeprefix("ref:") for name in metric.requires if name.startswith("ref:")}


def _known(entry: Mapping[str, Any], given: Mapping[str, str] | None, part: str) -> _Known:
    """What a line says of a metric. Lines of earlier versions tell no device: all networks computed on the CPU."""
    if "features" in entry:
        found: list[float] | Undefined | _Stored = _Stored(str(entry["features"]))
    elif entry.get("undefined") is None:
        found = [float(value) for value in entry["record"]]
    else:
        found = Undefined(entry["undefined"])
    weights = entry.get("weights", "")
    device = entry.get("device", "cpu" if weights else "")
    return _Known(found, entry["version"], weights, given, device, part)
