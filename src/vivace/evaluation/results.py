"""A finished run as it lies in its folder: summary.json, and the value of every metric for every prompt."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from vivace.errors import VivaceError
from vivace.evaluation.ledger import PUBLISHED_FOLDER
from vivace.evaluation.parted_lines import parts_of, rows_of_all
from vivace.evaluation.seeds import by_prompt

_BESIDE = ("truth", "floor")  # folders of a suite's run with ledgers of their own
# What a run was measured by; what was measured (model, steps, guides, size) may differ between runs.
_MEASURED_BY = ("suite", "protocol", "schema", "split", "task", "perception", "seconds")


@dataclass(frozen=True)
class Results:
    """Args:
    folder: of the run. summary: what summary.json holds. rows: what items.jsonl tells of each (condition, clip id); a
    clip is called as its prompt, or by prompt and seed (`vivace.evaluation.seeds`).
    """

    folder: Path
    summary: Mapping[str, Any]
    rows: Mapping[tuple[str, str], Mapping[str, Any]]

    @property
    def model(self) -> str:
        return str(self.summary.get("model") or self.folder.name)

    @property
    def generators(self) -> tuple[str, ...]:
        """The conditions in which a model made the clips; the shipped settings first."""
        return tuple(self.summary.get("generators") or sorted({condition for condition, _ in self.rows}))

    @property
    def conditions(self) -> tuple[str, ...]:
        """Everything that has figures: the generators, then ceiling, truth and floor where they are."""
        names = {name: None for group in self.summary["groups"].values() for name, scores in group.items() if scores}
        return tuple(dict.fromkeys([name for name in self.generators if name in names] + list(names)))

    @property
    def protocol(self) -> dict[str, Any]:
        """What must agree before figures of two runs may stand in one ranking."""
        settings = self.summary.get("settings") or {}
        found = {"suite": "world", "protocol": None, "task": "t2av", **settings, **self.summary}
        return {name: found.get(name) for name in _MEASURED_BY}

    def of(self, condition: str, group: str = "all") -> dict[str, Mapping[str, Any]]:
        """The lines of a condition by clip id; "all" is what the summary calls so: `seen` and `unseen` together, or
        everything where the benchmark has no such groups."""
        inside = {item_id: row for (name, item_id), row in self.rows.items() if name == condition}
        if group != "all":
            return {item_id: row for item_id, row in inside.items() if row.get("group") == group}
        world = {item_id: row for item_id, row in inside.items() if row.get("group") in ("seen", "unseen")}
        return world or inside

    def prompts(self, condition: str, group: str = "all") -> dict[str, Mapping[str, Any]]:
        """As `of`, by prompt id: the line of its first clip."""
        return {name: clips[0] for name, clips in by_prompt(self.of(condition, group)).items()}

    def values(self, condition: str, group: str = "all") -> dict[str, dict[str, float]]:
        """Metric -> prompt id -> mean over the prompt's seeds of the metric's value for a clip alone; undefined ones
        are left out."""
        return {
            metric: {prompt: fmean(values) for prompt, values in by_prompt(clips).items()}
            for metric, clips in self.clip_values(condition, group).items()
        }

    def clip_values(self, condition: str, group: str = "all") -> dict[str, dict[str, float]]:
        """Metric -> clip id -> the metric's value for this clip alone; undefined ones are left out."""
        found: dict[str, dict[str, float]] = {}
        for item_id, row in self.of(condition, group).items():
            for metric, entry in row["metrics"].items():
                if entry.get("value") is not None:
                    found.setdefault(metric, {})[item_id] = float(entry["value"])
        return found

    def direction(self, metric: str) -> tuple[str, str]:
        """("higher", "lower" or "none", unit) of a metric."""
        for conditions in self.summary["groups"].values():
            for scores in conditions.values():
                if metric in scores:
                    return str(scores[metric]["direction"]), str(scores[metric]["unit"])
        return "none", ""

    def features(self, condition: str, group: str = "all") -> dict[str, dict[str, Path]]:
        """Metric of whole sets -> clip id -> the file of what it keeps of this clip."""
        found: dict[str, dict[str, Path]] = {}
        for item_id, row in self.of(condition, group).items():
            for metric, entry in row["metrics"].items():
                if "features" in entry and (path := self.folder / entry["features"]).is_file():
                    found.setdefault(metric, {})[item_id] = path
        return found

    def versions(self) -> dict[str, str]:
        """The version of each metric's definition."""
        every = (scores for conditions in self.summary["groups"].values() for scores in conditions.values())
        return {name: str(score.get("version")) for scores in every for name, score in scores.items()}


def read_results(folder: Path) -> Results:
    """Read a finished run.

    Raises:
        VivaceError: no results there, a run that has not come to its end, a damaged file.
    """
    summary = folder / "summary.json"
    if not summary.is_file():
        if parts_of(folder, "items"):
            raise VivaceError(f"The run in {folder} has not come to its end; repeat its command, and it goes on.")
        raise VivaceError(f"{folder} holds no results of an evaluation; give the folder with summary.json.")
    try:
        found = json.loads(summary.read_text(encoding="utf-8"))
        rows: dict[tuple[str, str], Mapping[str, Any]] = {}
        _add_lines(folder, "", rows)
        for name in _BESIDE:
            _add_lines(folder / name, f"{name}/", rows)
        _add_published(folder, rows)
        if not isinstance(found["groups"], dict):
            raise TypeError("groups is not a table")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise VivaceError(f"The results in {folder} are damaged ({error}); run the evaluation again.") from error
    return Results(folder, found, rows)


def _add_lines(ledger: Path, place: str, rows: dict[tuple[str, str], Mapping[str, Any]]) -> None:
    """The lines of a ledger, if there is one in this folder; `place` is how features are named from there."""
    for row in rows_of_all(ledger, "items"):
        key = str(row.get("condition", "model")), str(row["id"])
        # A suite adds a line for each metric that is asked for later, as long as the clip is the same.
        before = rows.get(key, {})
        same = row.get("sha256") is not None and row.get("sha256") == before.get("sha256")
        kept = before if same else {}
        rows[key] = {**kept, **row, "metrics": {**kept.get("metrics", {}), **_placed(row["metrics"], place)}}


def _placed(metrics: Mapping[str, Any], place: str) -> dict[str, Any]:
    """A line's metrics with their features named from the results folder."""
    return {
        name: {**entry, "features": f"{place}{entry['features']}"} if "features" in entry else entry
        for name, entry in metrics.items()
    }


def _add_published(folder: Path, rows: dict[tuple[str, str], Mapping[str, Any]]) -> None:
    """What published metrics measured of the world's clips, which has ledgers of its own."""
    for path in sorted((folder / PUBLISHED_FOLDER).glob("*/items.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            key = str(row["condition"]), str(row["id"])
            if key in rows:
                new = _placed(row["metrics"], f"{path.parent.relative_to(folder).as_posix()}/")
                rows[key] = {**rows[key], "metrics": {**rows[key]["metrics"], **new}}


def prompts_hash(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """A digest of prompts by id, with what each states."""
    told = [[item_id, row.get("prompt"), row.get("expected")] for item_id, row in sorted(rows.items())]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
