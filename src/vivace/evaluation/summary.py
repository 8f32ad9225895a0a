"""summary.json and summary.md of a benchmark run."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vivace.evaluation.grown import grown_lines
from vivace.evaluation.ledger import Run
from vivace.evaluation.metric import Result
from vivace.evaluation.published_metric import UNVERIFIED
from vivace.evaluation.results import prompts_hash
from vivace.evaluation.seeds import SEEDS_NOTE, is_first, seeds_in, told_n
from vivace.evaluation.set_metric import DRAWS as SET_DRAWS
from vivace.evaluation.shift_verdicts import MARK, NOTE, entry_of, is_blind
from vivace.evaluation.statistics import DRAWS, SEED
from vivace.media import replacing
from vivace.perception.thresholds import thresholds

if TYPE_CHECKING:
    from vivace.evaluation.prompts import WorldItem
    from vivace.evaluation.published import Skipped
    from vivace.evaluation.suites.ledger import SuiteMetric
    from vivace.evaluation.suites.suite import SuiteItem

TRUTH, CEILING, FLOOR = "truth", "ceiling", "floor"
# Of metrics of whole sets there are fewer draws, and fewer still of very large sets (`set_metric.draws_within`).
BOOTSTRAP = {"draws": DRAWS, "draws_of_sets_at_most": SET_DRAWS, "seed": SEED, "over": "items", "level": 0.95}
Results = Mapping[str, Mapping[str, Mapping[str, Result]]]  # group -> condition -> metric -> result


def write_summary(
    folder: Path,
    run: Run,
    results: Results,
    generators: Sequence[str],
    skipped: Sequence[Skipped] = (),
    command: str | None = None,
    items: Sequence[WorldItem] = (),
    published: Sequence[SuiteMetric] = (),
    devices: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Write both files and return what summary.json holds.

    Args:
        folder: results folder.
        run: what was run.
        results: group -> condition -> metric name -> result.
        generators: conditions in which a model made the clips, the shipped settings first.
        skipped: published metrics that were asked for and cannot be measured.
        command: that makes the run; None where it was not made by one.
        items: the prompts. published: metrics by the user's weights, that were measured; devices: where, by metric.
    """
    asked = {item.id: {"prompt": item.prompt, "expected": dict(item.expected)} for item in items if is_first(item.id)}
    summary: dict[str, Any] = run.to_json() | {
        "command": command,
        "prompts_sha256": prompts_hash(asked) if items else None,
        "seeds": seeds_of(items),
        "weights": weights_of(published),
        "devices": dict(devices or {}),
        "environment": environment(),
        "detectors": thresholds().provenance,
        "bootstrap": BOOTSTRAP,
        "generators": list(generators),
        "groups": {
            group: {
                name: {metric: entry_of(result, group) for metric, result in scores.items()}
                for name, scores in conditions.items()
            }
            for group, conditions in results.items()
        },
        "normalised": {group: _normalised(conditions, generators) for group, conditions in results.items()},
        "skipped": [entry.to_json() for entry in skipped],
    }
    with replacing(folder / "summary.json") as path:
        path.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    with replacing(folder / "summary.md") as path:
        path.write_text(_markdown(run, results, generators, skipped), encoding="utf-8")
    return summary


def _normalised(conditions: Mapping[str, Mapping[str, Result]], generators: Sequence[str]) -> dict[str, float]:
    """(value - floor) / (ceiling - floor) of the shipped settings, where all three exist and differ."""
    scores: dict[str, float] = {}
    for metric, result in conditions.get(generators[0], {}).items() if generators else ():
        ceiling, floor = (_value(conditions, name, metric) for name in (CEILING, FLOOR))
        if result.value is not None and ceiling is not None and floor is not None and abs(ceiling - floor) > 1e-9:
            scores[metric] = (result.value - floor) / (ceiling - floor)
    return scores


def _value(conditions: Mapping[str, Mapping[str, Result]], name: str, metric: str) -> float | None:
    result = conditions.get(name, {}).get(metric)
    return None if result is None else result.value


def environment() -> dict[str, str]:
    """Versions of what computes."""
    names = ("vivace", "torch", "diffusers", "transformers", "numpy", "scipy")
    return {"python": platform.python_version(), "machine": platform.machine()} | {n: version(n) for n in names}


def seeds_of(items: Sequence[WorldItem] | Sequence[SuiteItem]) -> dict[str, int]:
    """The first and the last seed of the prompts, how many different ones there are, and of each prompt where that is
    not one; empty without prompts."""
    seeds = {item.seed for item in items}
    if not seeds:
        return {}
    each = seeds_in(item.id for item in items)
    told = {"first": min(seeds), "last": max(seeds), "different": len(seeds)}
    return told | ({} if each == 1 else {"each_prompt": each})


def weights_of(metrics: Sequence[SuiteMetric]) -> dict[str, str]:
    """SHA-256 of the weights of each metric that has some."""
    return {metric.name: metric.weights for metric in metrics if metric.weights}


def _markdown(run: Run, results: Results, generators: Sequence[str], skipped: Sequence[Skipped]) -> str:
    settings = ", ".join(f"{name} {value}" for name, value in run.settings.items())
    lines = [
        f"# World benchmark: {run.model}, {run.split} prompts",
        "",
        f"Weights {run.model_hash[:16]}. {settings}.",
        "",
        "Values over items with 95 % bootstrap intervals and n. Ceiling: the true clips through the codecs. Truth: the",
        "true clips. Floor: the model's pictures with the sound of another of its clips of the same kind. `all` is",
        "`seen` and `unseen` (combinations of attributes that training shows and never shows) together.",
    ]
    seeds = max(
        (result.seeds for of in results.values() for found in of.values() for result in found.values()), default=1
    )
    lines += ["", SEEDS_NOTE] if seeds > 1 else []
    for group, conditions in results.items():
        columns = [name for name in (*generators, CEILING, TRUTH, FLOOR) if conditions.get(name)]
        metrics = list(dict.fromkeys(metric for name in columns for metric in conditions[name]))
        rows = [[_cell(conditions[name].get(metric)) for name in columns] for metric in metrics]
        lines += ["", f"## {group}", "", f"| metric | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
        for metric, row in zip(metrics, rows, strict=True):
            if any(cell != "-" for cell in row):
                mark = f" {MARK}" if is_blind(metric, group) else ""
                lines.append(f"| {metric}{mark}{_unit(conditions, columns, metric)} | {' | '.join(row)} |")
    if any(f" {MARK}" in line for line in lines):
        lines += ["", NOTE]
    if "all" in results:
        lines += grown_lines(
            {name: {metric: one.to_json() for metric, one in of.items()} for name, of in results["all"].items()}
        )
    return "\n".join([*lines, *skipped_lines([entry.to_json() for entry in skipped])]) + "\n"


def skipped_lines(skipped: Sequence[Mapping[str, str]]) -> list[str]:
    """A section in Markdown that says of each skipped metric what it needs; nothing where none is skipped."""
    reasons: dict[str, list[str]] = {}
    for entry in skipped:
        reasons.setdefault(entry["reason"], []).append(entry["metric"])
    entries = [f"- {', '.join(metrics)}: {reason}" for reason, metrics in reasons.items()]
    return ["", "## Skipped", "", *entries] if entries else []


def beside_of(figure: Mapping[str, Any]) -> str:
    """What stands beside a figure, in words: its "beside" of summary.json; "" where there is none."""
    return "".join(
        f" · {condition} {found['value']:.3f} n {told_n(found)}"
        for condition, found in (figure.get("beside") or {}).items()
        if found["value"] is not None
    )


def _unit(conditions: Mapping[str, Mapping[str, Result]], columns: Sequence[str], metric: str) -> str:
    result = next(conditions[name][metric] for name in columns if metric in conditions[name])
    arrow = {"higher": " ↑", "lower": " ↓", "none": ""}[result.direction]
    trust = f" [{result.version}]" if UNVERIFIED in result.version else ""
    return (f" ({result.unit}){arrow}" if result.unit else arrow) + trust


def _cell(result: Result | None) -> str:
    if result is None or result.value is None:
        return "-"
    places = 1 if result.unit == "ms" else 3
    value = f"{result.value:.{places}f}"
    if result.ci_low is not None and result.ci_high is not None:
        value += f" [{result.ci_low:.{places}f}, {result.ci_high:.{places}f}]"
    return f"{value} n {told_n(result.to_json())}"
