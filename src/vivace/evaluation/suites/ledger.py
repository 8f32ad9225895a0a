"""What has been measured of a suite's clips so far, on disk: an interrupted run goes on, and new metrics are added.

What a metric of whole sets keeps of a clip (`SetMetric`) lies in features/METRIC/ID.safetensors.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vivace.evaluation.ledger import claim_folder, whole_rows
from vivace.evaluation.metric import NOT_GIVEN, ItemMetric, Undefined
from vivace.evaluation.set_metric import Features, SetMetric
from vivace.evaluation.suites.suite import SuiteItem
from vivace.media import replacing

SCHEMA = 1
Outcome = list[float] | Undefined | Features
SuiteMetric = ItemMetric | SetMetric


@dataclass(frozen=True)
class _Stored:
    """Features in a file, a path from the results folder."""

    file: str


_Found = list[float] | Undefined | _Stored


class SuiteLedger:
    """items.jsonl: one line for each time that something of a clip was measured; appended, never rewritten.

    A line holds the metrics that were new then, each with its version; a clip whose file has changed begins anew. A
    line cut off by a crash is dropped.

    Args:
        folder: results folder, made where there is none.
        identity: what the run is; a folder goes on only with the same.

    Raises:
        VivaceError: the folder holds another run.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self._folder, self._path = folder, folder / "items.jsonl"
        self._known: dict[str, tuple[str, dict[str, tuple[str, _Found]]]] = {}
        self._notes: dict[str, Mapping[str, str]] = {}
        claim_folder(folder, {"schema": SCHEMA, **identity})
        self._read()

    def _read(self) -> None:
        for row in whole_rows(self._path):
            found = {name: _found(entry) for name, entry in row["metrics"].items()}
            self._take(row["id"], row["sha256"], found)
            self._notes[row["id"]] = row.get("notes", {})

    def _take(self, item: str, digest: str, found: dict[str, tuple[str, _Found]]) -> None:
        before = self._known.get(item)
        kept = before[1] if before is not None and before[0] == digest else {}
        self._known[item] = digest, {**kept, **found}

    def due(self, item: SuiteItem, digest: str, metrics: Sequence[SuiteMetric]) -> list[SuiteMetric]:
        """The metrics of which this very clip has no outcome yet, or one for want of a reference."""
        known = self._known.get(item.id)
        if known is None or known[0] != digest:
            return list(metrics)
        return [metric for metric in metrics if self._is_due(known[1].get(metric.name), metric)]

    def _is_due(self, found: tuple[str, _Found] | None, metric: SuiteMetric) -> bool:
        if found is None or found[0] != metric.version:
            return True
        if isinstance(found[1], _Stored):
            return not (self._folder / found[1].file).is_file()
        # A reference, such as face tracks, may be given later.
        return isinstance(found[1], Undefined) and found[1].reason.endswith(NOT_GIVEN)

    def get(self, item: SuiteItem, metric: SuiteMetric) -> Outcome | None:
        """A clip's outcome of a metric; None where there is none."""
        known = self._known.get(item.id)
        found = None if known is None else known[1].get(metric.name)
        if found is None or found[0] != metric.version:
            return None
        if not isinstance(found[1], _Stored):
            return found[1]
        from safetensors.numpy import load_file

        return load_file(self._folder / found[1].file)

    def keep(self, item: SuiteItem, metric: SuiteMetric, features: Features) -> dict[str, Any]:
        """Write what a metric of sets keeps of a clip; its part of the clip's line, without the version."""
        from safetensors.numpy import save_file

        file = f"features/{metric.name}/{item.id}.safetensors"
        (self._folder / file).parent.mkdir(parents=True, exist_ok=True)
        with replacing(self._folder / file) as path:
            save_file({name: np.ascontiguousarray(rows, dtype=np.float32) for name, rows in features.items()}, path)
        return {"features": file}

    def add(
        self,
        item: SuiteItem,
        condition: str,
        file: str,
        digest: str,
        metrics: Mapping[str, Mapping[str, Any]],
        notes: Mapping[str, str],
    ) -> None:
        """Write and take over what was measured of a clip.

        Args:
            metrics: by name: `ItemMetric.line`, or what `keep` gives, with the version. What is known already is not
                written again.
            notes: what is special about the clip, by a word for it.
        """
        known = self._known.get(item.id)
        # What is scored is what is stored.
        new: dict[str, Any] = json.loads(json.dumps(metrics))
        if known is not None and known[0] == digest:
            new = {name: entry for name, entry in new.items() if known[1].get(name) != _found(entry)}
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
            "file": file,
            "sha256": digest,
            "metrics": new,
        }
        if notes:
            row["notes"] = dict(notes)
        with self._path.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._take(item.id, digest, {name: _found(entry) for name, entry in new.items()})
        self._notes[item.id] = dict(notes)

    def notes(self, item: SuiteItem) -> Mapping[str, str]:
        """What was noted of a clip when it was measured last."""
        return self._notes.get(item.id, {})


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _found(entry: Mapping[str, Any]) -> tuple[str, _Found]:
    """Version and outcome of a metric's part of a line."""
    if "features" in entry:
        return entry["version"], _Stored(str(entry["features"]))
    undefined = entry.get("undefined")
    return entry["version"], [float(value) for value in entry["record"]] if undefined is None else Undefined(undefined)
