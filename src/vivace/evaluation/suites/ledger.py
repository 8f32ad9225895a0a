"""What has been measured of a suite's clips so far, on disk: an interrupted run goes on, and new metrics are added."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vivace.evaluation.ledger import claim_folder, whole_rows
from vivace.evaluation.metric import NOT_GIVEN, ItemMetric, Undefined
from vivace.evaluation.suites.suite import SuiteItem

SCHEMA = 1
Outcome = list[float] | Undefined


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
        self._path = folder / "items.jsonl"
        self._known: dict[str, tuple[str, dict[str, tuple[str, Outcome]]]] = {}
        self._notes: dict[str, Mapping[str, str]] = {}
        claim_folder(folder, {"schema": SCHEMA, **identity})
        self._read()

    def _read(self) -> None:
        for row in whole_rows(self._path):
            found = {name: _found(entry) for name, entry in row["metrics"].items()}
            self._take(row["id"], row["sha256"], found)
            self._notes[row["id"]] = row.get("notes", {})

    def _take(self, item: str, digest: str, found: dict[str, tuple[str, Outcome]]) -> None:
        before = self._known.get(item)
        kept = before[1] if before is not None and before[0] == digest else {}
        self._known[item] = digest, {**kept, **found}

    def due(self, item: SuiteItem, digest: str, metrics: Sequence[ItemMetric]) -> list[ItemMetric]:
        """The metrics of which this very clip has no outcome yet, or one for want of a reference."""
        known = self._known.get(item.id)
        if known is None or known[0] != digest:
            return list(metrics)
        return [metric for metric in metrics if self._is_due(known[1].get(metric.name), metric)]

    @staticmethod
    def _is_due(found: tuple[str, Outcome] | None, metric: ItemMetric) -> bool:
        if found is None or found[0] != metric.version:
            return True
        # A reference, such as face tracks, may be given later.
        return isinstance(found[1], Undefined) and found[1].reason.endswith(NOT_GIVEN)

    def get(self, item: SuiteItem, metric: ItemMetric) -> Outcome | None:
        """A clip's outcome of a metric; None where there is none."""
        known = self._known.get(item.id)
        found = None if known is None else known[1].get(metric.name)
        return None if found is None or found[0] != metric.version else found[1]

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
            metrics: by name: `ItemMetric.line` with the version. What is known already is not written again.
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


def _found(entry: Mapping[str, Any]) -> tuple[str, Outcome]:
    """Version and outcome of a metric's part of a line."""
    undefined = entry.get("undefined")
    return entry["version"], [float(value) for value in entry["record"]] if undefined is None else Undefined(undefined)
