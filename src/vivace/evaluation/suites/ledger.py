"""What has been measured of a suite's clips so far, on disk: an interrupted run goes on, and new metrics are added.

What a metric of whole sets keeps of a clip (`SetMetric`) lies in features/METRIC/ID.safetensors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vivace.evaluation.ledger import claim_folder, whole_rows
from vivace.evaluation.metric import NOT_GIVEN, ItemMetric, Undefined
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
    not tell that."""

    found: list[float] | Undefined | _Stored
    version: str
    weights: str
    given: Mapping[str, str] | None


class SuiteLedger:
    """items.jsonl: one line for each time that something of a clip was measured; appended, never rewritten.

    A line holds the metrics that were new then, each with its version and the digest of its weights, and the digests of
    the clip and of what it was judged by. A clip whose file has changed begins anew; where a weights file, the words or
    a reference has changed, the metrics that read it are due again. A line cut off by a crash is dropped.

    Args:
        folder: results folder, made where there is none.
        identity: what the run is; a folder goes on only with the same.

    Raises:
        VivaceError: the folder holds another run.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self._folder, self._path = folder, folder / "items.jsonl"
        self._known: dict[str, tuple[str, dict[str, _Known]]] = {}
        self._notes: dict[str, Mapping[str, str]] = {}
        claim_folder(folder, {"schema": SCHEMA, **identity})
        self._read()

    def _read(self) -> None:
        for row in whole_rows(self._path):
            found = {name: _known(entry, row.get("given")) for name, entry in row["metrics"].items()}
            self._take(row["id"], row["sha256"], found)
            self._notes[row["id"]] = row.get("notes", {})

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
        row = self._known.get(item.id)
        known = None if row is None else row[1].get(metric.name)
        if known is None or (known.version, known.weights) != (metric.version, metric.weights):
            return None
        return load_features(self._folder / known.found.file) if isinstance(known.found, _Stored) else known.found

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
            new = {name: entry for name, entry in new.items() if before[1].get(name) != _known(entry, sources.given)}
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
        with self._path.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._take(item.id, sources.digest, {name: _known(entry, sources.given) for name, entry in new.items()})
        self._notes[item.id] = dict(measured.notes)

    def notes(self, item: SuiteItem) -> Mapping[str, str]:
        """What was noted of a clip when it was measured last."""
        return self._notes.get(item.id, {})


def signature(metric: SuiteMetric) -> dict[str, str]:
    """What a line says of a metric beside its outcome: the version, and the digest of weights where it has some."""
    return {"version": metric.version, **({"weights": metric.weights} if metric.weights else {})}


def references_of(metric: SuiteMetric) -> set[str]:
    """The references that a metric reads."""
    return {name.removeprefix("ref:") for name in metric.requires if name.startswith("ref:")}


def _known(entry: Mapping[str, Any], given: Mapping[str, str] | None) -> _Known:
    """A metric's part of a line."""
    if "features" in entry:
        found: list[float] | Undefined | _Stored = _Stored(str(entry["features"]))
    elif entry.get("undefined") is None:
        found = [float(value) for value in entry["record"]]
    else:
        found = Undefined(entry["undefined"])
    return _Known(found, entry["version"], entry.get("weights", ""), given)
