"""What a benchmark run has found so far, on disk, so that it can be interrupted at any moment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vivace.errors import VivaceError
from vivace.evaluation.clip_figures import ClipFigures, figures_from_json
from vivace.evaluation.prompts import WorldItem
from vivace.media import replacing
from vivace.perception.percept import Percept, percept_from_json, percept_to_json
from vivace.perception.thresholds import fingerprint

SCHEMA = 1
PUBLISHED_FOLDER = "published"  # of a run: what published metrics measured, a ledger for each condition


@dataclass(frozen=True)
class Run:
    """What identifies a benchmark run; a folder is resumed only by the same run with the same detectors.

    Args:
        model: name or folder; `model_hash`: digest of its weights.
        split: "val" or "test".
        settings: everything else that changes the clips (steps, guides, size, seconds, ...), but not their number, so
            that a longer run extends a shorter one.
    """

    model: str
    model_hash: str
    split: str
    settings: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "model": self.model,
            "model_hash": self.model_hash,
            "split": self.split,
            "settings": dict(self.settings),
            "perception": fingerprint(),
        }


class Ledger:
    """items.jsonl: one line per condition and item with what the detectors found; appended, never rewritten.

    A line cut off by a crash is dropped when the file is opened again.
    """

    def __init__(self, folder: Path, run: Run) -> None:
        self.folder, self._path = folder, folder / "items.jsonl"
        self._percepts: dict[tuple[str, str], Percept] = {}
        self._measured: dict[tuple[str, str], Mapping[str, float]] = {}
        self._figures: dict[tuple[str, str], ClipFigures] = {}
        claim_folder(folder, run.to_json())
        self._read()

    def _read(self) -> None:
        for row in whole_rows(self._path):
            self._percepts[row["condition"], row["id"]] = percept_from_json(row["percept"])
            self._measured[row["condition"], row["id"]] = row.get("measured", {})
            if "figures" in row:
                self._figures[row["condition"], row["id"]] = figures_from_json(row["figures"])

    def has(self, condition: str, item: WorldItem) -> bool:
        return (condition, item.id) in self._percepts

    def get(self, condition: str, item: WorldItem) -> Percept:
        return self._percepts[condition, item.id]

    def measured(self, condition: str, item: WorldItem) -> Mapping[str, float]:
        """Figures against what was given, which need the clip itself; empty where nothing was."""
        return self._measured[condition, item.id]

    def figures(self, condition: str, item: WorldItem) -> ClipFigures | None:
        """What was measured of the clip itself; None in lines of earlier versions."""
        return self._figures.get((condition, item.id))

    def add(
        self,
        condition: str,
        item: WorldItem,
        percept: Percept,
        metrics: Mapping[str, Any],
        measured: Mapping[str, float] | None = None,
        figures: ClipFigures | None = None,
    ) -> None:
        """Take over an item's findings and write its line, with each metric's record or why it is undefined."""
        stored = percept_to_json(percept)
        # What is scored is what is stored: a run that was interrupted ends with the very figures of one that was not.
        self._percepts[condition, item.id] = percept_from_json(stored)
        self._measured[condition, item.id] = measured or {}
        row = {
            "id": item.id,
            "group": item.group,
            "condition": condition,
            "seed": item.seed,
            "prompt": item.prompt,
            "expected": dict(item.expected),
            "metrics": metrics,
            "percept": stored,
        }
        if measured:
            row["measured"] = dict(measured)
        if figures is not None:
            told = figures.to_json()
            row["figures"] = told
            self._figures[condition, item.id] = figures_from_json(told)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def claim_folder(folder: Path, identity: Mapping[str, Any]) -> None:
    """Make a results folder of a run, or go on in one: run.json says whose it is.

    Raises:
        VivaceError: the folder holds another run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = json.loads(json.dumps(identity))
    run = folder / "run.json"
    if run.exists():
        if json.loads(run.read_text(encoding="utf-8")) != wanted:
            raise VivaceError(f"{folder} holds the results of another run; give --output a new folder.")
        return
    with replacing(run) as path:
        path.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")


def whole_rows(path: Path) -> list[Any]:
    """Rows of a file of JSON lines, none where there is no file; a line cut off by a crash is cut off the file too."""
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    return [json.loads(line) for line in whole.decode("utf-8").splitlines()]
