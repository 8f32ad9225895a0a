"""summary.json and summary.md of a suite: figures by group, as the benchmark publishes them, and by dimension."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from vivace.evaluation.metric import Result
from vivace.evaluation.published import Skipped
from vivace.evaluation.statistics import DRAWS, SEED
from vivace.evaluation.suites.ledger import SCHEMA, Outcome, SuiteMetric
from vivace.evaluation.suites.suite import Column, Suite
from vivace.evaluation.summary import environment
from vivace.media import replacing

ALL = "all"
HUMAN_ONLY = "human only"


@dataclass(frozen=True)
class Counted:
    """Clips that were not measured, or not whole: ids, or ids with the reason."""

    missing: list[str]
    failed: dict[str, str]
    unreadable: dict[str, str]
    cut: list[str]


def write_suite_summary(
    folder: Path,
    suite: Suite,
    identity: Mapping[str, Any],
    condition: str,
    metrics: Sequence[SuiteMetric],
    outcomes: Mapping[str, Mapping[str, Outcome]],
    skipped: Sequence[Skipped],
    counted: Counted,
) -> dict[str, Any]:
    """Write both files and return what summary.json holds.

    Args:
        condition: what the clips are called in `groups`. outcomes: metric -> item -> outcome.
    """
    by_name = {metric.name: metric for metric in metrics}

    def pooled(metric: str, ids: Sequence[str]) -> Result:
        return _pooled(by_name[metric], {name: outcomes[metric][name] for name in ids})

    groups = {ALL: [item.id for item in suite.items]}
    if len({item.group for item in suite.items}) > 1:
        for item in suite.items:
            groups.setdefault(item.group, []).append(item.id)
    results = {group: {name: pooled(name, ids) for name in by_name} for group, ids in groups.items()}
    members = {item.id: item.group for item in suite.items}
    columns = {column.name: _column(column, members, by_name, pooled, skipped) for column in suite.columns}
    dimensions = {}
    for name, proxies in suite.dimensions.items():
        ids = [item.id for item in suite.items if name in item.tags]
        dimensions[name] = {
            "n_prompts": len(ids),
            "judged": "proxies" if proxies else HUMAN_ONLY,
            "proxies": {
                proxy: pooled(proxy, ids).to_json() if proxy in by_name else _not_measured(proxy, skipped)
                for proxy in proxies
            },
        }
    summary: dict[str, Any] = {
        "schema": SCHEMA,
        **identity,
        "note": suite.note,
        "environment": environment(),
        "bootstrap": {"draws": DRAWS, "seed": SEED, "over": "items", "level": 0.95},
        "generators": [condition],
        "n_items": len(suite.items),
        "counted": asdict(counted),
        "groups": {
            group: {condition: {name: result.to_json() for name, result in scores.items()}}
            for group, scores in results.items()
        },
        "normalised": {},
        "columns": columns,
        "dimensions": dimensions,
        "skipped": [entry.to_json() for entry in skipped],
    }
    with replacing(folder / "summary.json") as path:
        path.write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    with replacing(folder / "summary.md") as path:
        path.write_text(_markdown(summary, results), encoding="utf-8")
    return summary


def _pooled(metric: SuiteMetric, outcomes: Mapping[str, Outcome]) -> Result:
    part: Any = metric.fresh()  # an outcome is of the form that its metric gave
    for name, outcome in outcomes.items():
        part.add(name, outcome)
    return part.compute()


def _column(
    column: Column,
    members: Mapping[str, str],
    by_name: Mapping[str, SuiteMetric],
    pooled: Any,
    skipped: Sequence[Skipped],
) -> dict[str, Any]:
    """A published figure: value, n, what it is made of, and why it is none."""
    told: dict[str, Any] = {"metric": column.metric, "pooling": column.pooling, "rule": column.rule}
    told |= {"groups": list(column.groups), "twin_of": column.twin, "value": None, "n": 0}
    if column.metric is None or column.metric not in by_name:
        return told | _not_measured(column.metric, skipped)
    parts = column.groups or tuple(dict.fromkeys(members.values()))
    ids = {part: [name for name, group in members.items() if group == part] for part in parts}
    if column.pooling == "items":
        result = pooled(column.metric, [name for part in parts for name in ids[part]])
        return told | {key: result.to_json()[key] for key in ("value", "ci_low", "ci_high", "n", "reasons", "version")}
    means = [result for part in parts if (result := pooled(column.metric, ids[part])).value is not None]
    values = [result.value for result in means if result.value is not None]
    return told | {"value": fmean(values) if values else None, "n": sum(result.n for result in means)}


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
        f"Items {summary['n_items']}: missing {len(counted['missing'])}, of these not to be made "
        f"{len(counted['failed'])}; unreadable {len(counted['unreadable'])}; cut {len(counted['cut'])}."
    )
    if summary["columns"]:
        lines += ["", "## As published", "", "| figure | value | made of | rule |", "|---|---|---|---|"]
        for name, column in summary["columns"].items():
            lines.append(f"| {name} | {_value(column)} | {column['metric'] or '-'} | {column['rule']} |")
    if summary["dimensions"]:
        lines += ["", "## By dimension", "", "| dimension | prompts | proxy | value |", "|---|---|---|---|"]
        for name, dimension in summary["dimensions"].items():
            if not dimension["proxies"]:
                lines.append(f"| {name} | {dimension['n_prompts']} | {HUMAN_ONLY} | - |")
            for proxy, figure in dimension["proxies"].items():
                lines.append(f"| {name} | {dimension['n_prompts']} | {proxy} | {_value(figure)} |")
    names = list(results)
    lines += ["", "## All metrics", "", f"| metric | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for metric, result in results[ALL].items():
        arrow = {"higher": " ↑", "lower": " ↓", "none": ""}[result.direction]
        unit = f" ({result.unit})" if result.unit else ""
        version = f" [{result.version}]" if "unverified" in result.version else ""
        cells = [_value(results[group][metric].to_json()) for group in names]
        lines.append(f"| {metric}{unit}{arrow}{version} | {' | '.join(cells)} |")
    if summary["skipped"]:
        lines += ["", "## Skipped", ""]
        reasons: dict[str, list[str]] = {}
        for entry in summary["skipped"]:
            reasons.setdefault(entry["reason"], []).append(entry["metric"])
        lines += [f"- {', '.join(entries)}: {reason}" for reason, entries in reasons.items()]
    for what in ("failed", "unreadable"):
        if counted[what]:
            lines += ["", f"## {what.capitalize()}", ""]
            lines += [f"- {name}: {reason}" for name, reason in counted[what].items()]
    return "\n".join(lines) + "\n"


def _value(figure: Mapping[str, Any]) -> str:
    if figure.get("status") == "skipped":
        return "skipped"
    if figure["value"] is None:
        return f"- (n {figure['n']})"
    text = f"{figure['value']:.3f}"
    if figure.get("ci_low") is not None and figure.get("ci_high") is not None:
        text += f" [{figure['ci_low']:.3f}, {figure['ci_high']:.3f}]"
    return f"{text} n {figure['n']}"
