"""Finished runs of several models beside each other and beside the truth, and which models have no finished run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vivace.errors import VivaceError
from vivace.evaluation.comparing import Comparison, Subject, compare
from vivace.evaluation.groups import GROUPS
from vivace.evaluation.headlines import HEADLINES, headlines
from vivace.evaluation.parted_lines import parts_of
from vivace.evaluation.results import Results, read_results
from vivace.evaluation.summary import CEILING, FLOOR, TRUTH

_SPLITS = ("-val", "-test")


@dataclass(frozen=True)
class Missing:
    """A model without a finished run.

    Args:
        name: of the model, by the folder's name. folder: where its run is due. clips: that it has measured so far.
        command: that makes the run, or goes on with it.
    """

    name: str
    folder: str
    clips: int
    command: str


@dataclass(frozen=True)
class Column:
    """One condition of one run.

    Args:
        label: as shown. results: the run. condition: such as "model" or "truth".
    """

    label: str
    results: Results
    condition: str

    def scores(self, group: str) -> Mapping[str, Any]:
        """Metric -> its entry in the summary."""
        found: Mapping[str, Any] = self.results.summary["groups"].get(group, {}).get(self.condition, {})
        return found


@dataclass(frozen=True)
class ModelsMeasured:
    """Args:
    runs: name -> finished run, in the order given. missing: models without one. columns: the models', then what they
    are held against. comparison: the models and the truth on the headlines, prompt by prompt; None where only one of
    them is there.
    """

    runs: Mapping[str, Results]
    missing: tuple[Missing, ...]
    columns: tuple[Column, ...]
    comparison: Comparison | None

    @property
    def groups(self) -> list[str]:
        """The groups of prompts that are shown: all impacts and instruments, and the further kinds of scenes."""
        every = dict.fromkeys(group for results in self.runs.values() for group in results.summary["groups"])
        return [group for group in every if group == "all" or group in GROUPS] or list(every)

    def metrics(self, group: str) -> list[str]:
        """The metrics that are shown of a group."""
        found: dict[str, None] = {}
        for results in self.runs.values():
            conditions = results.summary["groups"].get(group, {})
            found |= dict.fromkeys(headlines(group, conditions))
        return [
            name
            for name in found
            if any((c.scores(group).get(name) or {}).get("value") is not None for c in self.columns)
        ]

    def commands(self) -> dict[str, str | None]:
        """Name -> the command that made its run, None where an older version has not recorded it."""
        return {name: results.summary.get("command") for name, results in self.runs.items()}


def measured_models(folders: Sequence[Path]) -> ModelsMeasured:
    """Read what is there of the runs.

    Args:
        folders: results folders of `vivace evaluate world`, one for each model, finished or not.

    Raises:
        VivaceError: a folder twice, no finished run among them, one of another suite, damaged results, runs that were
            measured differently.
    """
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise VivaceError("A run was named twice; name each results folder once.")
    found = [read_results(folder) for folder in folders if (folder / "summary.json").is_file()]
    for results in found:
        if results.protocol["suite"] != "world":
            raise VivaceError(
                f"{results.folder} is a run of {results.protocol['suite']}; give results of `vivace evaluate world`."
            )
    example = _words(found[0]) if found else ["vivace", "evaluate", "world", "--split", "test"]
    missing = tuple(_missing(folder, example) for folder in folders if not (folder / "summary.json").is_file())
    if not found:
        raise VivaceError(
            f"None of {', '.join(map(str, folders)) or 'the runs'} is a finished run; make one with "
            f"`{missing[0].command if missing else shlex.join(example)}`."
        )
    runs = _named(found)
    columns = _columns(runs)
    return ModelsMeasured(runs, missing, columns, _compared(columns))


def _named(found: Sequence[Results]) -> dict[str, Results]:
    """By the models' names; by the folders' where two runs are of one model."""
    names = [Path(results.model).name for results in found]
    if len(set(names)) < len(names):
        names = [str(results.folder) for results in found]
    return dict(zip(names, found, strict=True))


def _columns(runs: Mapping[str, Results]) -> tuple[Column, ...]:
    shipped = [Column(name, results, results.generators[0]) for name, results in runs.items() if results.generators]
    ceilings = [Column(_of(CEILING, name, runs), results, CEILING) for name, results in runs.items()]
    truths = [Column(_of(TRUTH, name, runs), results, TRUTH) for name, results in runs.items()]
    floors = [Column(_of(FLOOR, name, runs), results, FLOOR) for name, results in runs.items()]
    shared = set.intersection(*(set(results.summary["groups"]) for results in runs.values()))
    first, *others = ({group: column.scores(group) for group in shared} for column in truths)
    if all(other == first for other in others):
        truths = [Column(TRUTH, truths[0].results, TRUTH)]  # the same clips at the same size
    every = (*shipped, *ceilings, *truths, *floors)
    return tuple(column for column in every if any(column.scores(group) for group in column.results.summary["groups"]))


def _of(condition: str, name: str, runs: Mapping[str, Results]) -> str:
    return condition if len(runs) == 1 else f"{condition} of {name}"


def _compared(columns: Sequence[Column]) -> Comparison | None:
    """The shipped settings of each model, and the truth, on the headlines that have a better end.

    Raises:
        VivaceError: the runs were measured differently, or on other prompts.
    """
    truth = next((column for column in columns if column.condition == TRUTH), None)
    made = [column for column in columns if column.condition not in (TRUTH, CEILING, FLOOR)]
    every = [*made, *([] if truth is None else [truth])]
    subjects = [Subject(column.label, column.results, column.condition) for column in every]
    subjects = [subject for subject in subjects if subject.results.of(subject.condition)]
    if len(subjects) < 2:
        return None
    known = {metric for subject in subjects for metric in subject.results.values(subject.condition)}
    chosen = [
        metric
        for metric in HEADLINES
        if metric in known and any(subject.results.direction(metric)[0] != "none" for subject in subjects)
    ]
    return compare(subjects, metrics=chosen)


def _missing(folder: Path, example: Sequence[str]) -> Missing:
    name = next((folder.name.removesuffix(end) for end in _SPLITS if folder.name.endswith(end)), folder.name)
    command = [*example[:3], "--model", name, *example[3:], "--output", str(folder)]
    done = sum(path.read_bytes().count(b"\n") for path in parts_of(folder, "items"))
    return Missing(name, str(folder), done, shlex.join(command))


def _words(results: Results) -> list[str]:
    """The command of a run without its model and its folder, so that another model's is measured as this one."""
    recorded = results.summary.get("command")
    if not recorded:
        return ["vivace", "evaluate", "world", "--split", str(results.summary.get("split") or "val")]
    words = shlex.split(recorded)
    for option in ("--model", "--output"):
        while option in words:
            place = words.index(option)
            del words[place : place + 2]
    return words
