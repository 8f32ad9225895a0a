"""summary.json and summary.md of a suite: figures by group, as the benchmark publishes them, and by dimension."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from vivace.evaluation.digests import content_digest
from vivace.evaluation.grown import grown_lines
from vivace.evaluation.metric import ItemMetric, Result, Sample, Undefined
from vivace.evaluation.published import Skipped
from vivace.evaluation.published_metric import labelled
from vivace.evaluation.published_rows import table_rows, tables_of
from vivace.evaluation.seeds import SEEDS_NOTE, is_first, prompt_of, told_n
from vivace.evaluation.shift_verdicts import NOTE, any_marked, entry_of, mark_of
from vivace.evaluation.suites.beside import Beside
from vivace.evaluation.suites.ledger import SCHEMA, Outcome, SuiteMetric
from vivace.evaluation.suites.measuring import BROKEN, CUT, REFERENCES, UNREADABLE
from vivace.evaluation.suites.suite import WORDS, Column, Suite, SuiteItem
from vivace.evaluation.summary import (
    BOOTSTRAP,
    FLOOR,
    TRUTH,
    beside_of,
    environment,
    seeds_of,
    skipped_lines,
    weights_of,
)
from vivace.media import replacing

ALL = "all"
HUMAN_ONLY = "human only"
_SEEDS = ("seeds", "clips")  # of a figure whose prompts have several seeds


@dataclass(frozen=True)
class Counted:
    """Clips that were not measured, or not whole: ids, or ids with the reason."""

    missing: list[str]
    failed: dict[str, str]
    unreadable: dict[str, str]
    cut: list[str]
    broken_references: dict[str, str]


def counted_of(
    missing: list[str],
    failed: dict[str, str],
    notes: Mapping[str, Mapping[str, str]],
    outcomes: Mapping[str, Mapping[str, Outcome]],
) -> Counted:
    """What was not measured, or not whole.

    Args:
        failed: of `missing`, what could not be made, with the reason. notes: of the ledger, by item, of clips that are
            there. outcomes: metric -> item -> outcome.
    """
    told = BROKEN.split("{}")
    broken = {
        name
        for found in outcomes.values()
        for name, outcome in found.items()
        if isinstance(outcome, Undefined) and outcome.reason.startswith(told[0]) and outcome.reason.endswith(told[1])
    }
    return Counted(
        missing=missing,
        failed=failed,
        unreadable={name: noted[UNREADABLE] for name, noted in notes.items() if UNREADABLE in noted},
        cut=[name for name, noted in notes.items() if CUT in noted],
        broken_references={name: noted.get(REFERENCES, "") for name, noted in notes.items() if name in broken},
    )


def write_suite_summary(
    folder: Path,
    suite: Suite,
    identity: Mapping[str, Any],
    condition: str,
    metrics: Sequence[SuiteMetric],
    outcomes: Mapping[str, Mapping[str, Outcome]],
    skipped: Sequence[Skipped],
    counted: Counted,
    beside: Beside,
    command: str | None = None,
) -> dict[str, Any]:
    """Write both files and return what summary.json holds.

    Args:
        condition: what the clips are called in `groups`. outcomes: metric -> item -> outcome.
        beside: what the figures are held against.
        command: that makes the run; None where it was not made by one.
    """
    by_name = {metric.name: metric for metric in metrics}

    def pooled(metric: str, ids: Sequence[str]) -> Result:
        return pooled_result(by_name[metric], {name: outcomes[metric][name] for name in ids})

    groups = {ALL: [item.id for item in suite.items]}
    if len({item.group for item in suite.items}) > 1:
        for item in suite.items:
            groups.setdefault(item.group, []).append(item.id)
    results = {group: {name: pooled(name, ids) for name in by_name} for group, ids in groups.items()}
    held = {name: _held(found, groups, by_name) for name, found in beside.outcomes.items()}
    columns = {
        column.name: _column(column, suite.items, by_name, outcomes, skipped)
        | _column_beside(column, suite.items, by_name, beside)
        for column in suite.columns
    }
    if suite.overall is not None:
        columns |= suite.overall(columns)
    dimensions = {}
    for name, proxies in suite.dimensions.items():
        ids = [item.id for item in suite.items if name in item.tags]
        dimensions[name] = {
            "n_prompts": len(set(map(prompt_of, ids))),
            "judged": "proxies" if proxies else HUMAN_ONLY,
            "proxies": {
                proxy: entry_of(pooled(proxy, ids)) | _beside(by_name[proxy], ids, beside)
                if proxy in by_name
                else _not_measured(proxy, skipped)
                for proxy in proxies
            },
        }
    summary: dict[str, Any] = {
        "schema": SCHEMA,
        **identity,
        "command": command,
        **_judged_by(suite.items),
        "seeds": seeds_of(suite.items),
        "weights": weights_of(metrics),
        "note": suite.note,
        "environment": environment(),
        "bootstrap": BOOTSTRAP,
        "generators": [condition],
        "n_items": len(set(map(prompt_of, groups[ALL]))),
        "n_clips": len(suite.items),
        "counted": asdict(counted),
        "groups": {
            group: {condition: {name: entry_of(result) for name, result in scores.items()}}
            | {name: found[group] for name, found in held.items() if group in found}
            for group, scores in results.items()
        },
        "beside": dict(beside.notes),
        "normalised": {},
        "columns": columns,
        "dimensions": dimensions,
        "skipped": [entry.to_json() for entry in skipped],
        "published_rows": [table.to_json() for table in tables_of(suite.protocol)],
    }
    with replacing(folder / "summary.json") as path:
        path.write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    with replacing(folder / "summary.md") as path:
        path.write_text(_markdown(summary, results), encoding="utf-8")
    return summary


def pooled_result(metric: SuiteMetric, outcomes: Mapping[str, Outcome]) -> Result:
    """The metric over these outcomes alone, by item; the metric itself is left as it is."""
    part: Any = metric.fresh()  # an outcome is of the form that its metric gave
    for name, outcome in outcomes.items():
        part.add(name, outcome)
    result: Result = part.compute()
    return result


def _held(
    found: Mapping[str, Mapping[str, Outcome]], groups: Mapping[str, Sequence[str]], by_name: Mapping[str, SuiteMetric]
) -> dict[str, dict[str, dict[str, Any]]]:
    """What a condition beside the clips gives: group -> metric -> entry, of the groups that have items in it."""
    there = {name for outcomes in found.values() for name in outcomes}
    return {
        group: {
            metric: entry_of(pooled_result(by_name[metric], {name: outcomes[name] for name in ids if name in outcomes}))
            for metric, outcomes in found.items()
        }
        for group, ids in groups.items()
        if there.intersection(ids)
    }


def _beside(metric: SuiteMetric, ids: Sequence[str], beside: Beside) -> dict[str, Any]:
    """The metric's value and n over these items in each condition beside the clips that has it, as "beside"."""
    told = {}
    for condition, found in beside.outcomes.items():
        inside = {name: found[metric.name][name] for name in ids if name in found.get(metric.name, {})}
        if inside:
            result = pooled_result(metric, inside)
            told[condition] = _short(result.to_json())
    return {"beside": told} if told else {}


def _column_beside(
    column: Column, items: Sequence[SuiteItem], by_name: Mapping[str, SuiteMetric], beside: Beside
) -> dict[str, Any]:
    """As `_beside`, of a published figure."""
    told = {}
    for condition, found in beside.outcomes.items():
        if column.metrics and all(name in found for name in column.metrics):
            inside = [item for item in items if item.id in found[column.metrics[0]] and column.counts(item)]
            if inside:
                figure = _column(column, inside, by_name, found, ())
                told[condition] = _short(figure)
    return {"beside": told} if told else {}


def _column(
    column: Column,
    items: Sequence[SuiteItem],
    by_name: Mapping[str, SuiteMetric],
    outcomes: Mapping[str, Mapping[str, Outcome]],
    skipped: Sequence[Skipped],
) -> dict[str, Any]:
    """A published figure: value, n, what it is made of, and why it is none."""
    told: dict[str, Any] = {"metric": column.made_of, "pooling": column.pooling, "rule": column.rule}
    told |= {"groups": list(column.groups), "needs": list(column.needs), "twin_of": column.twin, "value": None, "n": 0}
    lacking = next((name for name in column.metrics if name not in by_name), None)
    if lacking is not None or not column.metrics:
        return told | _not_measured(lacking, skipped)
    inside = [item for item in items if column.counts(item)]
    members = {item.id: item.group for item in inside}
    metric, found = _summed(column, members, by_name, outcomes) if column.terms else _of(column, by_name, outcomes)
    parts = tuple(dict.fromkeys(members.values()))
    ids = {part: [name for name, group in members.items() if group == part] for part in parts}
    if column.pooling == "items":
        result = pooled_result(metric, {name: found[name] for part in parts for name in ids[part]})
        kept = ("value", "ci_low", "ci_high", "n", "reasons", "version", *_SEEDS)
        return told | {key: value for key, value in result.to_json().items() if key in kept}
    results = [pooled_result(metric, {name: found[name] for name in ids[part]}) for part in parts]
    values = [result.value for result in results if result.value is not None]
    return told | {
        "value": fmean(values) if values else None,
        "n": sum(result.n for result in results),
        "version": metric.version,
        **_seeds_of_parts(results),
    }


def _short(figure: Mapping[str, Any]) -> dict[str, Any]:
    """Value and n of a figure, with seeds where there are several."""
    return {name: figure[name] for name in ("value", "n", *_SEEDS) if name in figure}


def _seeds_of_parts(results: Sequence[Result]) -> dict[str, Any]:
    seeds = max((result.seeds for result in results), default=1)
    return {} if seeds == 1 else {"seeds": seeds, "clips": sum(result.clips or 0 for result in results)}


def _judged_by(items: Sequence[SuiteItem]) -> dict[str, str]:
    """Digests of all prompts with their texts, and of all references in files."""
    prompts = [item for item in items if is_first(item.id)]
    given = {item.id: item.digests() for item in prompts}
    words = [[item.id, item.group, item.seed, item.seconds, given[item.id].pop(WORDS)] for item in prompts]
    return {"prompts_sha256": content_digest(words), "references_sha256": content_digest(given)}


def _of(
    column: Column, by_name: Mapping[str, SuiteMetric], outcomes: Mapping[str, Mapping[str, Outcome]]
) -> tuple[SuiteMetric, Mapping[str, Outcome]]:
    (name,) = column.metrics
    return by_name[name], outcomes[name]


def _summed(
    column: Column,
    items: Iterable[str],
    by_name: Mapping[str, SuiteMetric],
    outcomes: Mapping[str, Mapping[str, Outcome]],
) -> tuple[ItemMetric, dict[str, Outcome]]:
    """A column's sum of metrics as a metric of its own, and what it gives for each item."""

    def add(sample: Sample) -> list[float] | Undefined:
        return [sum(weight * sample.refs[name] for name, weight in column.terms), 1.0]

    metric = ItemMetric(
        column.name,
        add,
        direction=by_name[column.metrics[0]].direction,
        requires=[f"ref:{name}" for name in column.metrics],
        version="; ".join(sorted({by_name[name].version for name in column.metrics})),
    )

    def value(name: str, item: str) -> float | None:
        part, outcome = by_name[name], outcomes[name][item]
        return part.line(outcome)["value"] if isinstance(part, ItemMetric) and isinstance(outcome, list) else None

    values = {item: {name: value(name, item) for name in column.metrics} for item in items}
    return metric, {item: metric.outcome(Sample(item, refs=refs)) for item, refs in values.items()}


def _not_measured(metric: str | None, skipped: Sequence[Skipped]) -> dict[str, Any]:
    reason = next((entry.reason for entry in skipped if entry.metric == metric), None)
    if reason is None:
        reason = "vivace has no adapter of the network that gives it"
    return {"status": "skipped", "value": None, "n": 0, "reason": reason}


def _markdown(summary: Mapping[str, Any], results: Mapping[str, Mapping[str, Result]]) -> str:
    counted = summary["counted"]
    lines = [f"# {summary['suite']}: {summary['model']}", "", summary["note"], ""]
    lines.append(f"Protocol `{summary['protocol']}`: figures of other protocols cannot be compared with these.")
    lines.append(
        f"Items {items_told(summary)}: missing {len(counted['missing'])}, of these not to be made "
        f"{len(counted['failed'])}; unreadable {len(counted['unreadable'])}; cut {len(counted['cut'])}; "
        f"with a reference that cannot be read {len(counted['broken_references'])}."
    )
    if "each_prompt" in summary["seeds"]:
        lines += ["", SEEDS_NOTE]
    if summary["columns"]:
        lines += ["", "## As published", "", "| figure | value | made of | rule |", "|---|---|---|---|"]
        for name, column in summary["columns"].items():
            title = labelled(name, column.get("version"))
            lines.append(
                f"| {title} | {_value(column)}{beside_of(column)} | {column['metric'] or '-'} | {column['rule']} |"
            )
    if summary["dimensions"]:
        lines += ["", "## By dimension", "", "| dimension | prompts | proxy | value |", "|---|---|---|---|"]
        for name, dimension in summary["dimensions"].items():
            if not dimension["proxies"]:
                lines.append(f"| {name} | {dimension['n_prompts']} | {HUMAN_ONLY} | - |")
            for proxy, figure in dimension["proxies"].items():
                title = labelled(proxy, figure.get("version"))
                value = _value(figure) + beside_of(figure)
                lines.append(f"| {name} | {dimension['n_prompts']} | {title}{mark_of(figure)} | {value} |")
    for table in summary["published_rows"]:
        lines += ["", "## Published by others", "", f"{table['source']}. {table['note']}".strip(), ""]
        lines += [f"| model | {' | '.join(table['figures'])} |", f"|---|{'---|' * len(table['figures'])}"]
        lines += [f"| {' | '.join(cells)} |" for cells in table_rows(table)]
    names = list(results)
    lines += [
        "",
        "## All metrics",
        "",
        *summary["beside"].values(),
        "",
        f"| metric | {' | '.join(names)} |",
        f"|---|{'---|' * len(names)}",
    ]
    for metric, result in results[ALL].items():
        arrow = {"higher": " ↑", "lower": " ↓", "none": ""}[result.direction]
        unit = f" ({result.unit})" if result.unit else ""
        cells = [_value(results[group][metric].to_json()) + group_beside(summary, group, metric) for group in names]
        title = labelled(metric, result.version) + mark_of(entry_of(result))
        lines.append(f"| {title}{unit}{arrow} | {' | '.join(cells)} |")
    if any_marked(summary["groups"]):
        lines += ["", NOTE]
    lines += grown_lines(summary["groups"][ALL])
    lines += skipped_lines(summary["skipped"])
    for what in ("failed", "unreadable", "broken_references"):
        if counted[what]:
            lines += ["", f"## {what.replace('_', ' ').capitalize()}", ""]
            lines += [f"- {name}: {reason}" for name, reason in counted[what].items()]
    return "\n".join(lines) + "\n"


def items_told(summary: Mapping[str, Any]) -> str:
    """How many prompts a run has, times seeds where these are several."""
    items, clips = summary["n_items"], summary["n_clips"]
    return str(items) if clips == items else f"{items} x {clips // items}"


def group_beside(summary: Mapping[str, Any], group: str, metric: str) -> str:
    """As `beside_of`, of a metric over a group of the summary."""
    conditions: Mapping[str, Any] = summary["groups"][group]
    others = {name: found[metric] for name, found in conditions.items() if metric in found}
    return beside_of({"beside": {name: found for name, found in others.items() if name in (TRUTH, FLOOR)}})


def _value(figure: Mapping[str, Any]) -> str:
    if figure.get("status") == "skipped":
        return "skipped"
    if figure["value"] is None:
        return f"- (n {told_n(figure)})"
    text = f"{figure['value']:.3f}"
    if figure.get("ci_low") is not None and figure.get("ci_high") is not None:
        text += f" [{figure['ci_low']:.3f}, {figure['ci_high']:.3f}]"
    return f"{text} n {told_n(figure)}"
