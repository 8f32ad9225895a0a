"""Two runs or more on the same prompts: which differences are real."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from vivace.errors import VivaceError
from vivace.evaluation.paired import PairedDifference, paired_difference
from vivace.evaluation.results import Results, prompts_hash, read_results
from vivace.evaluation.seeds import by_prompt, mean_over_seeds, side_by_side
from vivace.evaluation.set_difference import set_difference
from vivace.evaluation.set_metric import Features, load_features, stacked
from vivace.evaluation.set_values import SET_VALUES
from vivace.evaluation.summary import CEILING, FLOOR
from vivace.evaluation.votes import holm

LEVEL = 0.05
_Clips = Mapping[str, Sequence[Path]]  # prompt -> the files of its clips' features
_Sets = Mapping[str, Mapping[str, _Clips]]  # subject -> metric -> clips


@dataclass(frozen=True)
class Subject:
    """One condition of one run: what is compared.

    Args:
        name: as shown. results: the run. condition: such as "model".
    """

    name: str
    results: Results
    condition: str


@dataclass(frozen=True)
class Difference:
    """First minus second on one metric.

    Args:
        metric, unit, direction: of the metric. first, second: names of the subjects.
        paired: over the prompts at which both have a value.
        only_first, only_second: prompts at which only one of them has a value.
        adjusted: Holm's p over every test of the comparison.
        version: of the metric's definition. of_sets: it has no value for a prompt; `paired` is that of whole sets.
    """

    metric: str
    unit: str
    direction: str
    first: str
    second: str
    paired: PairedDifference
    only_first: int
    only_second: int
    adjusted: float
    version: str
    of_sets: bool

    @property
    def better(self) -> str | None:
        """The better one where the difference holds after correction, else None."""
        if self.adjusted >= LEVEL or self.paired.mean == 0:
            return None
        return self.first if (self.paired.mean > 0) == (self.direction == "higher") else self.second


@dataclass(frozen=True)
class Comparison:
    """Args:
    subjects: in the order given. group: of prompts. prompts: that all have. prompts_hash: of these.
    means: metric -> subject -> mean over its prompts of the metric's own value (of a metric of whole sets: its value
    for the set of those that all have that have any), and n.
    differences: every pair of subjects and metric. unpaired: metrics with fewer than two prompts in common, or of whole
    sets and without features of enough common prompts. differing: settings that are not the same in all runs.
    versions: metric -> version of its definition.
    sizes: of metrics of whole sets whose values in the summaries are of sets of different n, and so not comparable ->
    subject -> n.
    """

    subjects: tuple[Subject, ...]
    group: str
    prompts: int
    prompts_hash: str
    means: Mapping[str, Mapping[str, tuple[float, int]]]
    differences: tuple[Difference, ...]
    unpaired: tuple[str, ...]
    differing: Mapping[str, tuple[str, ...]]
    versions: Mapping[str, str]
    sizes: Mapping[str, Mapping[str, int]]

    def to_json(self) -> dict[str, Any]:
        return {
            "subjects": [
                {
                    "name": subject.name,
                    "folder": str(subject.results.folder),
                    "condition": subject.condition,
                    "model": subject.results.model,
                    "model_hash": subject.results.summary.get("model_hash"),
                }
                for subject in self.subjects
            ],
            "protocol": self.subjects[0].results.protocol,
            "group": self.group,
            "prompts": self.prompts,
            "prompts_sha256": self.prompts_hash,
            "means": {
                metric: {name: {"value": value, "n": n} for name, (value, n) in row.items()}
                for metric, row in self.means.items()
            },
            "differences": [
                {**asdict(entry), "paired": asdict(entry.paired), "better": entry.better} for entry in self.differences
            ],
            "unpaired": list(self.unpaired),
            "versions": dict(self.versions),
            "differing": {name: list(values) for name, values in self.differing.items()},
            "sizes": {metric: dict(row) for metric, row in self.sizes.items()},
        }


def read_subjects(texts: Sequence[str]) -> list[Subject]:
    """Subjects from FOLDER or FOLDER@CONDITION; the condition is the shipped settings' when it is not given.

    Raises:
        VivaceError: no results, an unknown condition, the same subject twice.
    """
    subjects = []
    for text in texts:
        folder, _, condition = text.partition("@") if not Path(text).is_dir() else (text, "", "")
        results = read_results(Path(folder))
        known = sorted({name for name, _ in results.rows})
        chosen = condition or next((name for name in results.generators if name in known), "")
        if chosen not in known:
            raise VivaceError(
                f"{folder} has no prompts under the condition {chosen!r}{_why_none(results, chosen)}; "
                f"use one of {', '.join(known) or 'none'}."
            )
        subjects.append((Path(folder).name or str(folder), chosen, results, text))
    if len({(str(results.folder.resolve()), chosen) for _, chosen, results, _ in subjects}) < len(subjects):
        raise VivaceError("A run was named twice; give different runs, or conditions of one as FOLDER@CONDITION.")
    # The shortest names that tell them apart: folder, condition, or what was typed.
    for names in (
        [name for name, _, _, _ in subjects],
        [chosen for _, chosen, _, _ in subjects],
        [f"{name}@{chosen}" for name, chosen, _, _ in subjects],
        [text for _, _, _, text in subjects],
    ):
        if len(set(names)) == len(subjects):
            break
    return [Subject(name, results, chosen) for name, (_, chosen, results, _) in zip(names, subjects, strict=True)]


def _why_none(results: Results, condition: str) -> str:
    """Why a run has no such condition, in brackets; "" where that is not known."""
    note = str((results.summary.get("beside") or {}).get(condition) or "").rstrip(".")
    if note:
        return f" ({note})"
    if condition == FLOOR and results.protocol["suite"] == "world":
        return " (the world's floor is made of two clips' findings and told by its summary alone)"
    if condition == CEILING and results.protocol["suite"] != "world":
        return " (true clips are not put through codecs there; what is held against is the truth)"
    return ""


def compare(subjects: Sequence[Subject], *, group: str = "all", metrics: Sequence[str] = ()) -> Comparison:
    """Every pair of subjects on every metric that has a better end, prompt by prompt.

    A metric's difference is the mean over prompts of the difference of its values for the prompt alone (each prompt
    counts the same; the summaries pool events). Its interval is a bootstrap over prompts, its p a sign-flip test, and
    Holm's correction is over all tests of the comparison. A metric of whole sets is compared by what it has kept of
    each clip (`set_difference`).

    Args:
        group: of prompts; "all" as in the summaries. metrics: only these; every one for an empty list.

    Raises:
        VivaceError: one subject only, other protocols, other prompts, none in common, an unknown metric or group.
    """
    if len(subjects) < 2:
        raise VivaceError("One run cannot be compared; give two or more, or conditions of one as FOLDER@CONDITION.")
    _same_protocol(subjects)
    rows = {subject.name: subject.results.prompts(subject.condition, group) for subject in subjects}
    shared = _shared_prompts(rows, group)
    found = {subject.name: _of_prompts(subject, group, shared) for subject in subjects}
    every = list(dict.fromkeys(name for values in found.values() for name in values))
    sets = _of_sets(subjects, group, shared)
    of_sets = [name for name in SET_VALUES if any(sets[subject.name].get(name) for subject in subjects)]
    sizes = _sizes(subjects, group)
    for name in metrics:
        if name not in every and name not in of_sets:
            if name in sizes:
                told = ", ".join(f"{subject} n {n}" for subject, n in sizes[name].items())
                raise VivaceError(
                    f"{name} is of sets of other sizes ({told}) and depends on n, so it is not compared; "
                    "measure both on the same prompts."
                )
            known = ", ".join(sorted([*every, *of_sets])) or "none"
            raise VivaceError(f"No prompt has a value of {name!r}; use some of {known}.")
    chosen = [name for name in [*every, *of_sets] if (name in metrics if metrics else _directed(subjects, name))]
    tests: list[tuple[str, Subject, Subject, PairedDifference]] = []
    unpaired = [
        name
        for name in _whole_set(subjects, group)
        if name not in every and name not in of_sets and (not metrics or name in metrics)
    ]
    for name in chosen:
        for one, two in combinations(subjects, 2):
            tested = _set_test(name, one, two, sets) if name in of_sets else _test(name, one, two, found)
            if tested is not None:
                tests.append((name, one, two, tested))
            elif name not in unpaired:
                unpaired.append(name)
    versions = {name: version for subject in subjects for name, version in subject.results.versions().items()}
    adjusted = holm([test[3].p_value for test in tests])
    return Comparison(
        subjects=tuple(subjects),
        group=group,
        prompts=len(shared),
        prompts_hash=prompts_hash({item_id: rows[subjects[0].name][item_id] for item_id in shared}),
        means={name: _set_values(name, sets) if name in of_sets else _mean_values(name, found) for name in chosen},
        differences=tuple(
            Difference(
                name,
                one.results.direction(name)[1],
                one.results.direction(name)[0],
                one.name,
                two.name,
                paired,
                *_alone(sets if name in of_sets else found, name, one, two),
                p_value,
                versions.get(name, ""),
                name in of_sets,
            )
            for (name, one, two, paired), p_value in zip(tests, adjusted, strict=True)
        ),
        unpaired=tuple(unpaired),
        differing=_differing(subjects),
        versions=versions,
        sizes={name: row for name, row in sizes.items() if name in chosen or name in unpaired},
    )


def _same_protocol(subjects: Sequence[Subject]) -> None:
    first = subjects[0].results
    for subject in subjects[1:]:
        other = subject.results
        for name, value in first.protocol.items():
            if other.protocol[name] != value:
                raise VivaceError(
                    f"{first.folder} and {other.folder} were measured differently ({name}: {value!r} and "
                    f"{other.protocol[name]!r}), so they cannot be ranked together; repeat one of them as the other."
                )
        old, new = first.versions(), other.versions()
        for name in sorted(old.keys() & new.keys()):
            if old[name] != new[name]:
                raise VivaceError(
                    f"{first.folder} and {other.folder} define {name} differently (versions {old[name]} and "
                    f"{new[name]}), so they cannot be ranked together; repeat the older one."
                )
        one, two = (results.summary.get("weights") or {} for results in (first, other))
        for name in sorted(one.keys() & two.keys()):
            if one[name] != two[name]:
                raise VivaceError(
                    f"{first.folder} and {other.folder} measured {name} by other weights (sha256 {one[name][:16]} and "
                    f"{two[name][:16]}), so they cannot be ranked together; repeat one of them by the other's."
                )


def _shared_prompts(rows: Mapping[str, Mapping[str, Mapping[str, Any]]], group: str) -> list[str]:
    first, *others = rows.values()
    shared = sorted(set(first).intersection(*others))
    if not shared:
        raise VivaceError(
            f"The runs have no prompt of the group {group!r} in common; compare runs of the same prompts."
        )
    for other in others:
        for item_id in shared:
            if prompts_hash({"": first[item_id]}) != prompts_hash({"": other[item_id]}):
                raise VivaceError(
                    f"Prompt {item_id} is not the same text in all runs, so they cannot be ranked together; "
                    "repeat one of them on the prompts of the other."
                )
    entries = (entry for row in rows.values() for i in shared for entry in row[i]["metrics"].values())
    if not any("value" in entry or "features" in entry for entry in entries):
        raise VivaceError("The runs hold no values of single prompts; evaluate them again with this version.")
    return shared


def _test(
    name: str, one: Subject, two: Subject, found: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> PairedDifference | None:
    first, second = (found[subject.name].get(name, {}) for subject in (one, two))
    return paired_difference(first, second) if len(first.keys() & second.keys()) > 1 else None


def _set_test(name: str, one: Subject, two: Subject, sets: _Sets) -> PairedDifference | None:
    sides = [sets[subject.name].get(name, {}) for subject in (one, two)]
    seeds = min(_seeds_of(side) for side in sides)
    one_side, other = (_with_seeds(side, seeds) for side in sides)
    common = one_side.keys() & other.keys()
    if len(common) < SET_VALUES[name].least:
        return None
    return set_difference(
        SET_VALUES[name], *({prompt: _loaded(side[prompt]) for prompt in common} for side in (one_side, other))
    )


def _seeds_of(side: Mapping[str, Sequence[Path]]) -> int:
    """The most clips that a prompt has."""
    return max(map(len, side.values()), default=1)


def _with_seeds(side: Mapping[str, Sequence[Path]], seeds: int) -> dict[str, Sequence[Path]]:
    """The first `seeds` clips of the prompts that have so many."""
    return {prompt: paths[:seeds] for prompt, paths in side.items() if len(paths) >= seeds}


def _loaded(paths: Sequence[Path]) -> Features:
    """The features of a prompt's clips; of several side by side."""
    clips = [load_features(path) for path in paths]
    return clips[0] if len(clips) == 1 else side_by_side(clips)


def _of_prompts(subject: Subject, group: str, shared: Sequence[str]) -> dict[str, dict[str, float]]:
    keep = set(shared)
    return {
        metric: {item_id: value for item_id, value in values.items() if item_id in keep}
        for metric, values in subject.results.values(subject.condition, group).items()
    }


def _of_sets(subjects: Sequence[Subject], group: str, shared: Sequence[str]) -> dict[str, dict[str, _Clips]]:
    """Subject -> metric of whole sets -> prompt -> the files of its clips' features."""
    keep = set(shared)
    return {
        subject.name: {
            metric: {prompt: clips for prompt, clips in by_prompt(paths).items() if prompt in keep}
            for metric, paths in subject.results.features(subject.condition, group).items()
        }
        for subject in subjects
    }


def _set_values(name: str, sets: _Sets) -> dict[str, tuple[float, int]]:
    """Subject -> a metric's value for the set of the prompts that all have that have any, so that n is one, and n."""
    value = SET_VALUES[name]
    files = {subject: _with_seeds(of[name], _seeds_of(of[name])) for subject, of in sets.items() if of.get(name)}
    common = sorted(set.intersection(*(set(paths) for paths in files.values())))
    if len(common) < value.least:
        return {}
    found = {}
    for subject, paths in files.items():
        value_of = mean_over_seeds(value.of) if _seeds_of(paths) > 1 else value.of
        found[subject] = value_of(stacked([_loaded(paths[prompt]) for prompt in common])), len(common)
    return found


def _sizes(subjects: Sequence[Subject], group: str) -> dict[str, dict[str, int]]:
    """Metrics of whole sets whose values in the summaries are of different n -> subject -> n."""
    found: dict[str, dict[str, int]] = {}
    for subject in subjects:
        scores = subject.results.summary["groups"].get(group, {}).get(subject.condition, {})
        for name, score in scores.items():
            if score.get("scope") == "set" and score["value"] is not None:
                found.setdefault(name, {})[subject.name] = int(score["n"])
    return {name: row for name, row in found.items() if len(set(row.values())) > 1}


def _mean_values(name: str, found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, tuple[float, int]]:
    """Subject -> mean of a metric's values for its prompts, and n."""
    return {
        subject: (float(np.mean(list(values[name].values()))), len(values[name]))
        for subject, values in found.items()
        if values.get(name)
    }


def _alone(of: Mapping[str, Mapping[str, Mapping[str, Any]]], name: str, one: Subject, two: Subject) -> tuple[int, int]:
    """How many prompts only the first has a metric of, and only the second."""
    first, second = (of[subject.name].get(name, {}).keys() for subject in (one, two))
    return len(first - second), len(second - first)


def _directed(subjects: Sequence[Subject], metric: str) -> bool:
    return any(subject.results.direction(metric)[0] != "none" for subject in subjects)


def _whole_set(subjects: Sequence[Subject], group: str) -> list[str]:
    """Metrics with a better end that the summaries have a value of."""
    names: dict[str, None] = {}
    for subject in subjects:
        scores = subject.results.summary["groups"].get(group, {}).get(subject.condition, {})
        names |= {n: None for n, score in scores.items() if score["value"] is not None and score["direction"] != "none"}
    return list(names)


def _differing(subjects: Sequence[Subject]) -> dict[str, tuple[str, ...]]:
    """Settings and seeds that are not the same everywhere: they are what is compared, or a trap."""
    tables = [
        {"model_hash": s.results.summary.get("model_hash"), **(s.results.summary.get("settings") or {})}
        for s in subjects
    ]
    names = dict.fromkeys(name for table in tables for name in table)
    shown = {name: tuple(str(table.get(name)) for table in tables) for name in names}
    return {name: values for name, values in shown.items() if len(set(values)) > 1}
