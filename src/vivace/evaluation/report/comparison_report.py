"""comparison.md and comparison.html of two runs or more, and comparison.json for programs."""

from __future__ import annotations

import json
from pathlib import Path

from vivace.evaluation.comparing import Comparison
from vivace.evaluation.published_metric import labelled
from vivace.evaluation.report.charts import Estimate, interval_bars
from vivace.evaluation.report.page import escape, fold, legend, section, table, write_page
from vivace.evaluation.report.run_report import (
    comparison_note,
    condition_colours,
    forest_figures,
    is_pictured,
    item_scores,
    pictured,
    places_of,
    titled,
)
from vivace.evaluation.seeds import is_first
from vivace.media import replacing

SIDE_BY_SIDE = 8  # prompts
DIFFERENCES_HEAD = ("metric", "first", "second", "difference [95 %]", "n", "p", "p (Holm)", "d", "better")


def write_comparison(folder: Path, found: Comparison) -> None:
    """Write the three files into a folder, each whole or not at all.

    Raises:
        VivaceError: a path that cannot be written.
    """
    texts = {
        "comparison.json": json.dumps(found.to_json(), indent=1) + "\n",
        "comparison.md": comparison_markdown(found),
    }
    for name, text in texts.items():
        with replacing(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    write_page(folder / "comparison.html", _title(found), _lead(found), _sections(found))


def comparison_markdown(found: Comparison) -> str:
    """Both tables, and what was compared."""
    lines = [f"# {_title(found)}", "", _lead(found), "", "## Each prompt's own value, mean over prompts", ""]
    lines += markdown_table(*_means(found))
    lines += ["", "## Differences", "", comparison_note(found), ""]
    lines += markdown_table(DIFFERENCES_HEAD, difference_rows(found))
    if found.unpaired:
        lines += ["", _untested(found)]
    if found.sizes:
        lines += ["", of_other_sizes(found)]
    lines += ["", "## What was compared", ""]
    lines += markdown_table(("name", "folder", "condition", "weights"), _subjects(found))
    if found.differing:
        lines += ["", "Settings that differ:", ""]
        lines += markdown_table(
            ("setting", *(s.name for s in found.subjects)), [(n, *v) for n, v in found.differing.items()]
        )
    lines += ["", f"Prompts sha256 {found.prompts_hash}."]
    return "\n".join(lines) + "\n"


def _title(found: Comparison) -> str:
    return " and ".join(subject.name for subject in found.subjects) + " compared"


def _lead(found: Comparison) -> str:
    protocol = found.subjects[0].results.protocol
    told = ", ".join(
        f"{name} {value}" for name, value in protocol.items() if value is not None and name != "perception"
    )
    return f"{found.prompts} prompts that all have, of the group {found.group}. Measured by: {told}."


def _means(found: Comparison) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    names = [subject.name for subject in found.subjects]
    rows = []
    for metric, row in found.means.items():
        direction, unit = found.subjects[0].results.direction(metric)
        cells = [f"{row[name][0]:.{places_of(unit)}f} n {row[name][1]}" if name in row else "-" for name in names]
        rows.append((titled(metric, direction, unit, found.versions.get(metric)), *cells))
    return ("metric", *names), rows


def difference_rows(found: Comparison) -> list[tuple[str, ...]]:
    """Every test of a comparison, under `DIFFERENCES_HEAD`."""
    rows: list[tuple[str, ...]] = []
    for entry in found.differences:
        paired, places = entry.paired, places_of(entry.unit)
        rows.append(
            (
                titled(entry.metric, entry.direction, entry.unit, entry.version),
                entry.first,
                entry.second,
                f"{paired.mean:+.{places}f} [{paired.low:.{places}f}, {paired.high:.{places}f}]",
                f"{paired.n} (alone {entry.only_first}, {entry.only_second})",
                f"{paired.p_value:.3g}",
                f"{entry.adjusted:.3g}",
                "-" if paired.effect is None else f"{paired.effect:.2f}",
                entry.better or "none shown",
            )
        )
    return rows


def _untested(found: Comparison) -> str:
    names = ", ".join(labelled(name, found.versions.get(name)) for name in found.unpaired)
    return f"Without values, or features, of enough common prompts, so not tested: {names}."


def of_other_sizes(found: Comparison) -> str:
    """Which values of whole sets must not be read side by side."""
    told = "; ".join(
        f"{labelled(name, found.versions.get(name))}: " + ", ".join(f"{subject} n {n}" for subject, n in row.items())
        for name, row in found.sizes.items()
    )
    return (
        f"A value of a whole set depends on n, and in the runs' summaries it is of other n ({told}): do not hold those "
        "against each other. What is tested here is of the same prompts."
    )


def _subjects(found: Comparison) -> list[tuple[str, ...]]:
    return [
        (s.name, str(s.results.folder), s.condition, str(s.results.summary.get("model_hash", ""))[:16])
        for s in found.subjects
    ]


def _sections(found: Comparison) -> list[str]:
    names = [subject.name for subject in found.subjects]
    colours = condition_colours(names)
    by_unit: dict[str, list[tuple[str, dict[str, Estimate]]]] = {}
    for metric, row in found.means.items():
        direction, unit = found.subjects[0].results.direction(metric)
        bars = {name: Estimate(row[name][0], None, None, row[name][1]) for name in names if name in row}
        by_unit.setdefault(unit, []).append((titled(metric, direction, "", found.versions.get(metric)), bars))
    charts = [
        f'<figure class="card"><figcaption>{escape(unit) or "shares and scores"}</figcaption>'
        f"{interval_bars(rows, colours, places=places_of(unit))}</figure>"
        for unit, rows in by_unit.items()
    ]
    parts = [
        section("Differences", *forest_figures(found), note=comparison_note(found)),
        section(
            "Each model by itself",
            legend(colours),
            *charts,
            note="The mean over prompts of each prompt's own value; the summaries pool events, so theirs may differ.",
        ),
        side_by_side(found),
        section(
            "All numbers",
            fold("Differences", table(DIFFERENCES_HEAD, difference_rows(found))),
            fold("Means", table(*_means(found))),
        ),
    ]
    if found.unpaired:
        parts.append(section("Not tested", note=_untested(found)))
    if found.sizes:
        parts.append(section("Sets of other sizes", note=of_other_sizes(found)))
    made = [table(("name", "folder", "condition", "weights"), _subjects(found))]
    if found.differing:
        made.append(table(("setting that differs", *names), [(n, *v) for n, v in found.differing.items()]))
    made.append(f'<p class="note">Prompts sha256 {escape(found.prompts_hash)}.</p>')
    parts.append(section("What was compared", *made))
    return parts


def side_by_side(found: Comparison) -> str:
    """The clips of all subjects under their prompt, for the prompts on which they differ most."""
    scores = {s.name: item_scores(s.results, s.condition) for s in found.subjects}
    rows = {s.name: s.results.of(s.condition, found.group) for s in found.subjects}
    shown = [s for s in found.subjects if any(is_pictured(s.results, s.condition, item) for item in rows[s.name])]
    common = set.intersection(*(set(rows[s.name]) & set(scores[s.name]) for s in found.subjects))
    common = {
        item for item in common if is_first(item) and sum(is_pictured(s.results, s.condition, item) for s in shown) > 1
    }

    def spread(item: str) -> float:
        values = [scores[s.name][item][0] for s in found.subjects]
        return max(values) - min(values)

    cards = []
    for item in sorted(common, key=lambda item: (-spread(item), item))[:SIDE_BY_SIDE]:
        clips = [
            f'<h4>{escape(s.name)} <span class="note">mean {scores[s.name][item][0]:.2f} of '
            f"{scores[s.name][item][1]} figures</span></h4>{pictured(s.results, s.condition, item) or ''}"
            for s in shown
        ]
        prompt = str(rows[found.subjects[0].name][item].get("prompt", ""))
        cards.append(f'<figure class="card"><figcaption><b>{escape(prompt)}</b></figcaption>{"".join(clips)}</figure>')
    note = (
        f"The {len(cards)} prompts of {found.prompts} on which they differ most, by the mean of a clip's own figures "
        "between 0 and 1. Orange marks: something is seen to hit; blue marks: something begins to sound."
    )
    return section("Side by side", *cards, note=note) if cards else ""


def markdown_table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """Lines of a table in Markdown."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return lines + [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
