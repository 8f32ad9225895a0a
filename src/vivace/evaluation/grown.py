"""What summaries tell of metrics of whole sets over growing n (`vivace.evaluation.growing_sets`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vivace.evaluation.growing_sets import SUBSETS
from vivace.evaluation.published_metric import labelled

NOTE = (
    f"Of a metric of whole sets: its mean over {SUBSETS} subsets of a quarter, a half and three quarters of the clips, "
    "its value of all, and NAME_inf, what a straight line over 1/n gives for sets without end. What lies between the "
    "last two is the doing of n: hold values of one n against each other, or those without end."
)


def grown(conditions: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[tuple[str, str, Mapping[str, Any]]]:
    """(metric as it is shown, condition, its `by_n`) of a group in a summary, of all that have several sizes."""
    return [
        (labelled(metric, score.get("version")), condition, score["by_n"])
        for condition, scores in conditions.items()
        for metric, score in scores.items()
        if len((score.get("by_n") or {}).get("points", ())) > 1
    ]


def grown_lines(conditions: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    """A section in Markdown of a group's metrics of whole sets; nothing where none has several sizes."""
    rows = []
    for metric, condition, by_n in grown(conditions):
        told = ", ".join(f"{point['value']:.3f} n {point['n']}" for point in by_n["points"])
        rows.append(f"| {metric} | {condition} | {told} | {without_end(by_n)} |")
    head = ["", "## Sets over growing n", "", NOTE, "", "| metric | of | value | without end |", "|---|---|---|---|"]
    return [*head, *rows] if rows else []


def without_end(by_n: Mapping[str, Any]) -> str:
    """The extrapolated value by its name, or why there is none."""
    end = by_n["inf"]
    return f"none: {end['reason']}" if end["value"] is None else f"{end['name']} {end['value']:.3f}"
