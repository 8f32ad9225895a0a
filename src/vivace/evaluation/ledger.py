"""What a benchmark run has found so far, on disk, so that it can be interrupted at any moment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vivace.errors import VivaceError
from vivace.evaluation.clip_figures import ClipFigures, figures_from_json
from vivace.evaluation.metric import Undefined
from vivace.evaluation.prompts import WorldItem
from vivace.evaluation.stored_types import check_types
from vivace.media import replacing
from vivace.perception.percept import Percept, percept_from_json, percept_to_json
from vivace.perception.thresholds import fingerprint
from vivace.plain_json import parsed_object, read_object

SCHEMA = 1
_REMOVE = "remove that line, so that its clip is measured anew"
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

    Raises:
        VivaceError: the folder holds another run, or its files are damaged.
    """

    def __init__(self, folder: Path, run: Run) -> None:
        self.folder, self._path = folder, folder / "items.jsonl"
        self._percepts: dict[tuple[str, str], Percept] = {}
        self._measured: dict[tuple[str, str], Mapping[str, float]] = {}
        self._figures: dict[tuple[str, str], ClipFigures] = {}
        claim_folder(folder, run.to_json())
        self._read()

    def _read(self) -> None:
        for number, row in enumerate(whole_rows(self._path), 1):
            try:
                key = row["condition"], row["id"]
                percept = percept_from_json(row["percept"])
                check_types(percept)
                self._percepts[key] = percept
                self._measured[key] = {str(name): float(value) for name, value in row.get("measured", {}).items()}
                if "figures" in row:
                    self._figures[key] = _checked(figures_from_json(row["figures"]))
            # What a changed line lacks, or holds instead, shows itself in any of these ways.
            except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
                raise VivaceError(
                    f"Line {number} of {str(self._path)!r} is damaged (no item's findings: {_told(error)}); {_REMOVE}."
                ) from None

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
        VivaceError: the folder holds another run, or its run.json is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = json.loads(json.dumps(identity))
    run = folder / "run.json"
    if run.exists():
        remedy = "restore it from a copy, or give --output a new folder"
        if read_object(run, remedy, what="Record of a run") != wanted:
            raise VivaceError(f"{folder} holds the results of another run; give --output a new folder.")
        return
    with replacing(run) as path:
        path.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")


def whole_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a file of JSON lines, none where there is no file; a line cut off by a crash is cut off the file too.

    Raises:
        VivaceError: as `rows_in`.
    """
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    return rows_in(path, whole)


def rows_in(path: Path, content: bytes) -> list[dict[str, Any]]:
    """The rows of whole JSON lines.

    Args:
        path: the file that they are of.

    Raises:
        VivaceError: a line holds no row.
    """
    lines = content.split(b"\n")[:-1]  # only these end a line: a text may hold other separators
    return [parsed_object(line, f"Line {n} of {str(path)!r}", _REMOVE) for n, line in enumerate(lines, 1)]


def _checked(figures: ClipFigures) -> ClipFigures:
    """Raises TypeError for figures that hold something else than numbers."""
    for trace in (figures.pictures, figures.sound):
        if trace is not None:
            check_types(trace)
    rows = [outcome for outcome in figures.outcomes.values() if not isinstance(outcome, Undefined)]
    for row in (*rows, *(feature.tolist() for feature in figures.features.values())):
        if not isinstance(row, list) or not all(type(value) in (int, float) for value in row):
            raise TypeError("figures are no list of numbers")
    return figures


def _told(error: Exception) -> str:
    """An error's own words on one line; a missing key's are only its name."""
    return f"{type(error).__name__} {' '.join(str(error).split())[:100]}"
