"""models.md and models.html: the models beside each other and beside the truth, with the commands that made it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vivace.evaluation.models_measured import ModelsMeasured
from vivace.evaluation.report.charts import Estimate, interval_bars
from vivace.evaluation.report.comparison_report import (
    DIFFERENCES_HEAD,
    difference_rows,
    markdown_table,
    side_by_side,
)
from vivace.evaluation.report.page import escape, fold, legend, section, table, write_page
from vivace.evaluation.report.run_report import (
    comparison_note,
    estimate_of,
    forest_figures,
    places_of,
    titled,
)
from vivace.evaluation.shift_verdicts import NOTE, any_marked, mark_of
from vivace.evaluation.summary import CEILING, FLOOR, TRUTH
from vivace.media import replacing

TITLE = "The models, measured"
_WHAT = (
    "Each model's clips of held-out scenes, and beside them the true clips (truth), the true clips through the model's "
    "codecs (ceiling), and the model's pictures with the sound of another of its clips (floor)."
)
_HOW = (
    "Values over prompts with 95 % bootstrap intervals; n is how many prompts have a value. Arrows point to the better "
    "end. Summary and report in each run's folder have every figure and the reasons of what has no value."
)
_MODELS_HEAD = ("model", "state", "clips made", "weights", "settings")


def write_models(folder: Path, found: ModelsMeasured, command: str) -> None:
    """Write both files into a folder, each whole or not at all.

    Args:
        command: that writes this page.

    Raises:
        VivaceError: a path that cannot be written.
    """
    with replacing(folder / "models.md") as path:
        path.write_text(models_markdown(found, command), encoding="utf-8")
    write_page(folder / "models.html", TITLE, f"{_WHAT} {_how(found)}", _sections(found, command))


def _how(found: ModelsMeasured) -> str:
    blind = any(any_marked(results.summary["groups"]) for results in found.runs.values())
    told = [_HOW, *([NOTE] if blind else [])]
    if sizes := _of_other_sizes(found):
        told.append(
            f"{', '.join(sizes)}: a value of a whole set depends on n, and these columns are not of one n; do not hold "
            "them against each other."
        )
    return " ".join(told)


def _of_other_sizes(found: ModelsMeasured) -> list[str]:
    """The metrics of whole sets that are shown of different n in a group."""
    every: dict[str, None] = {}
    for group in found.groups:
        for metric in found.metrics(group):
            entries = [entry for column in found.columns if (entry := column.scores(group).get(metric))]
            sizes = {entry["n"] for entry in entries if entry.get("scope") == "set" and entry["value"] is not None}
            every |= {metric: None} if len(sizes) > 1 else {}
    return list(every)


def models_markdown(found: ModelsMeasured, command: str) -> str:
    """Who was measured, the figures, the paired differences, and the commands."""
    lines = [f"# {TITLE}", "", _WHAT, "", _how(found), ""]
    lines += markdown_table(_MODELS_HEAD, _models(found))
    for group in found.groups:
        lines += ["", f"## {_heading(group)}", ""]
        lines += markdown_table(*_figures(found, group))
    lines += ["", "## Differences", ""]
    if found.comparison is None:
        lines.append("One run without true clips: there is nothing to be compared.")
    else:
        lines += [comparison_note(found.comparison), ""]
        lines += markdown_table(DIFFERENCES_HEAD, difference_rows(found.comparison))
        if found.comparison.unpaired:
            lines += [
                "",
                f"Without values of two common prompts, so not tested: {', '.join(found.comparison.unpaired)}.",
            ]
    lines += ["", "## Commands", "", "```sh", *_commands(found, command), "```"]
    return "\n".join(lines) + "\n"


def _sections(found: ModelsMeasured, command: str) -> list[str]:
    colours = _colours(found)
    charts = [
        fold(_heading(group), f'<div class="card">{inside}</div>', opened=number == 0)
        for number, group in enumerate(found.groups)
        if (inside := _bars(found, group, colours))
    ]
    numbers = [fold(_heading(group), table(*_figures(found, group))) for group in found.groups]
    parts = [
        section("Who was measured", table(_MODELS_HEAD, _models(found))),
        section("Figures", legend(colours), *charts),
    ]
    if found.comparison is not None:
        parts += [
            section("Differences", *forest_figures(found.comparison), note=comparison_note(found.comparison)),
            side_by_side(found.comparison),
        ]
        numbers.append(fold("Differences", table(DIFFERENCES_HEAD, difference_rows(found.comparison))))
    parts += [
        section("All numbers", *numbers),
        section("Commands", f"<pre>{escape(chr(10).join(_commands(found, command)))}</pre>"),
    ]
    return [part for part in parts if part]


def _models(found: ModelsMeasured) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, results in found.runs.items():
        summary = results.summary
        made = len(results.of(results.generators[0])) if results.generators else 0
        every = sum(condition == results.generators[0] for condition, _ in results.rows) if results.generators else 0
        settings = summary.get("settings") or {}
        told = [f"split {summary['split']}"] if "split" in summary else []
        told += [f"{float(settings['seconds']):.2f} s"] if "seconds" in settings else []
        told += [str(settings["size"])] if "size" in settings else []
        preset = settings.get("preset") or {}
        told += [f"{preset['steps']} steps of {preset.get('solver')}"] if "steps" in preset else []
        rows.append(
            (
                name,
                "measured",
                f"{every}, of them {made} in {_heading('all')!r}",
                str(summary.get("model_hash", "unknown"))[:16],
                ", ".join(told),
            )
        )
    for one in found.missing:
        state = "missing: its run has not come to its end" if one.clips else f"missing: {one.folder} holds no run"
        rows.append((one.name, state, f"n {one.clips}", "-", "-"))
    return rows


def _figures(found: ModelsMeasured, group: str) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    rows = []
    for metric in found.metrics(group):
        cells = []
        for column in found.columns:
            estimate, unit = estimate_of(column.scores(group).get(metric)), _entry(found, group, metric)["unit"]
            cells.append("-" if estimate is None else estimate.text(places_of(unit)).replace(" · ", " "))
        rows.append((_titled(found, group, metric), *cells))
    return ("metric", *(column.label for column in found.columns)), rows


def _bars(found: ModelsMeasured, group: str, colours: Mapping[str, str]) -> str:
    by_unit: dict[str, list[tuple[str, dict[str, Estimate]]]] = {}
    for metric in found.metrics(group):
        row = {
            column.label: estimate
            for column in found.columns
            if (estimate := estimate_of(column.scores(group).get(metric))) is not None
        }
        by_unit.setdefault(_entry(found, group, metric)["unit"], []).append((_titled(found, group, metric), row))
    return "".join(
        f"<figure><figcaption>{escape(unit) or 'shares and scores'}</figcaption>"
        f"{interval_bars(rows, colours, places=places_of(unit))}</figure>"
        for unit, rows in by_unit.items()
    )


def _colours(found: ModelsMeasured) -> dict[str, str]:
    """A colour for each model; what they are held against are grey marks."""
    made = [column.label for column in found.columns if column.condition not in (TRUTH, CEILING, FLOOR)]
    return {
        column.label: f"c{made.index(column.label) % 6}" if column.label in made else "ref" for column in found.columns
    }


def _entry(found: ModelsMeasured, group: str, metric: str) -> Mapping[str, Any]:
    """What a summary says of a metric, whichever column has it."""
    entry: Mapping[str, Any] = next(c.scores(group)[metric] for c in found.columns if metric in c.scores(group))
    return entry


def _titled(found: ModelsMeasured, group: str, metric: str) -> str:
    entry = _entry(found, group, metric)
    return titled(metric + mark_of(entry), str(entry["direction"]), str(entry["unit"]), entry.get("version"))


def _heading(group: str) -> str:
    return "Impacts and instruments" if group == "all" else group


def _commands(found: ModelsMeasured, command: str) -> list[str]:
    lines = []
    for name, made in found.commands().items():
        lines.append(made or f"# {name}: made by a version that does not record its command")
    lines += [f"{one.command}  # missing" for one in found.missing]
    return [*lines, command]
