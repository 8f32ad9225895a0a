"""What is complete, as curves over the steps of joint training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.audio_rates.judging import FIGURES
from benchmarks.audio_rates.unit import START

from vivace.evaluation.report.charts import Estimate, Point, curves
from vivace.evaluation.report.page import legend, section, write_page


def curve_of(runs: Path) -> dict[str, Any]:
    """The start, and for each rate and step of which a seed is complete the figures of every seed."""
    start = runs / START
    found = [json.loads(path.read_text()) for path in sorted(runs.glob("*/points/*.json"))]
    rows = []
    for rate, step in sorted({(point["rate"], point["step"]) for point in found}, key=lambda at: (-at[0], at[1])):
        own = sorted((p for p in found if (p["rate"], p["step"]) == (rate, step)), key=lambda p: p["seed"])
        figures = {name: [point[name] for point in own] for name in FIGURES}
        rows.append({"rate": rate, "step": step, "seeds": [point["seed"] for point in own], "figures": figures})
    settings = runs / "settings.json"
    return {
        "settings": json.loads(settings.read_text()) if settings.is_file() else None,
        "start": json.loads(start.read_text()) if start.is_file() else None,
        "rows": rows,
    }


def markdown(found: dict[str, Any]) -> str:
    """The table for a reader."""
    if found["start"] is None:
        return "Nothing is complete yet.\n"
    heads = ["audio rate", "step", "seeds", *(f"{name} ({_better(name)})" for name in FIGURES)]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    start = [_told([found["start"][name]]) for name in FIGURES]
    lines.append("| " + " | ".join(["towers alone", "0", "", *start]) + " |")
    for row in found["rows"]:
        cells = [f"{row['rate']:g}", str(row["step"]), str(len(row["seeds"]))]
        lines.append("| " + " | ".join([*cells, *(_told(row["figures"][name]) for name in FIGURES)]) + " |")
    prompts = found["settings"]["prompts"]
    told = f"{prompts} prompts and as many true sounds; means over the seeds, [lowest, highest]."
    return "\n".join([*lines, "", told, ""])


def write_curves(path: Path, found: dict[str, Any]) -> None:
    """The same as curves, in a page of its own; bands go from the lowest to the highest seed."""
    rates = sorted({row["rate"] for row in found["rows"]}, reverse=True)
    colours = {f"{rate:g}": f"c{number}" for number, rate in enumerate(rates)}
    charts = []
    for name in FIGURES:
        lines = {f"{rate:g}": _line(found, rate, name) for rate in rates}
        if any(len(line) > 1 for line in lines.values()):
            charts.append(curves(f"{name} ({_better(name)})", lines, colours, "steps of joint training"))
    lead = (
        "Joint training from two towers that were trained alone, by the audio tower's share of the video tower's rate."
    )
    write_page(path, "Rates of the audio tower", lead, [section("Curves", legend(colours), *charts)])


def _line(found: dict[str, Any], rate: float, name: str) -> list[Point]:
    points = [(0, [found["start"][name]])]
    points += [(row["step"], row["figures"][name]) for row in found["rows"] if row["rate"] == rate]
    known = [(step, [value for value in values if value is not None]) for step, values in points]
    return [Point(step, Estimate(sum(v) / len(v), min(v), max(v), len(v))) for step, v in known if v]


def _better(name: str) -> str:
    return "lower is better" if FIGURES[name] else "higher is better"


def _told(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "none"
    mean = f"{sum(known) / len(known):.4f}"
    return mean if len(known) == 1 else f"{mean} [{min(known):.4f}, {max(known):.4f}]"
