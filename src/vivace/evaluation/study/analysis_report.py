"""analysis.json, analysis.md and analysis.html of a study."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from vivace.evaluation.report.charts import Estimate, preference_bars
from vivace.evaluation.report.page import escape, section, table, write_page
from vivace.evaluation.study.analysis import Analysis, Verdict
from vivace.evaluation.study.store import Study
from vivace.media import replacing

_VERDICTS = ("axis", "first", "second", "G/S/B", "net [95 %]", "n", "prompts", "G/(G+B) [Wilson]", "(G+S)/(B+S)", "p",
             "p (Holm)", "labels G/S/B/none")  # fmt: skip
_AGREEMENT = ("axis", "pairs with 2 votes", "raw", "alpha nominal", "alpha interval", "between rounds")
_RANKS = ("axis", "system", "Elo [95 %]")
_RATERS = ("rater", "round", "pairs", "controls passed", "counted", "left / right")
_NOTE = (
    "G, S, B: votes that the first is better, the same, worse. Net is (G - B) / n with a 95 % bootstrap interval over "
    "prompts; p an exact sign test of G against B, corrected by Holm over all axes and opponents. Labels: what more "
    "than half of a pair's votes say."
)
_PROFILE = "The votes of all dimensions of a group together; about each clip those were asked that its prompt is about."
_ROUNDS = (
    "Two rounds are our reading of Alive's study, whose procedure is unpublished: in the second, fresh raters judge "
    "again what the first left without a majority, or what raters judged who failed the controls."
)


def write_analysis(folder: Path, study: Study, found: Analysis) -> None:
    """Write the three files, each whole or not at all.

    Raises:
        VivaceError: a path that cannot be written.
    """
    design = study.design
    rules = {
        "title": design.title,
        "systems": ", ".join(design.systems),
        "raters": design.raters,
        "per_rater": design.per_rater,
        "control_share": design.control_share,
        "control_pass": design.control_pass,
        "seed": design.seed,
        "round": study.round,
        "second_round_pairs": None if study.second is None else len(study.second),
        "votes": len(study.votes),
    }
    tables = _tables(found)
    lines = [f"# {design.title}", "", _lead(study, found), "", _NOTE, ""]
    for title, head, rows in tables:
        lines += [f"## {title}", "", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
        lines += [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows] + [""]
    lines += [_sides(found), "", _ROUNDS, ""]
    texts = {
        "analysis.json": json.dumps({"rules": rules, **found.to_json()}, indent=1) + "\n",
        "analysis.md": "\n".join(lines),
    }
    for name, text in texts.items():
        with replacing(folder / name) as path:
            path.write_text(text, encoding="utf-8")
    parts = [section("Who is preferred", *_charts(found.verdicts), note=_NOTE)]
    if found.profile:
        parts.insert(0, section("Profile", *_charts(found.profile), note=_PROFILE))
    parts += [section(title, table(head, rows)) for title, head, rows in tables]
    parts.append(section("Rules", table(("", ""), [(name, str(value)) for name, value in rules.items()]), note=_ROUNDS))
    write_page(folder / "analysis.html", design.title, f"{_lead(study, found)} {_sides(found)}", parts)


def _charts(verdicts: Sequence[Verdict]) -> list[str]:
    """A figure for each two systems."""
    charts = []
    for first, second in dict.fromkeys((entry.first, entry.second) for entry in verdicts):
        bars = [
            (entry.axis, (entry.tally.good, entry.tally.same, entry.tally.bad), _net(entry), f"p {entry.adjusted:.3g}")
            for entry in verdicts
            if (entry.first, entry.second) == (first, second)
        ]
        caption = f"{first} (blue: better) against {second} (orange: better)"
        charts.append(
            f'<figure class="card"><figcaption>{escape(caption)}</figcaption>{preference_bars(bars)}</figure>'
        )
    return charts


def _lead(study: Study, found: Analysis) -> str:
    counted = [rater for rater in found.raters if rater.counted]
    votes = sum(rater.pairs for rater in counted)
    out = len(found.raters) - len(counted)
    dropped = f"; {out} failed the controls and are left out" if out else "; nobody failed the controls"
    return f"{votes} judged pairs of {len(counted)} raters, {len(study.design.axes)} axes{dropped}."


def _sides(found: Analysis) -> str:
    p_value = f"p {found.side_p:.3g}"
    return f"The left clip was the better one {found.left} times, the right one {found.right} times ({p_value})."


def _net(entry: Verdict) -> Estimate:
    return Estimate(entry.tally.net, *entry.net_interval, entry.tally.n)


def _tables(found: Analysis) -> list[tuple[str, tuple[str, ...], list[tuple[str, ...]]]]:
    tables: list[tuple[str, tuple[str, ...], list[tuple[str, ...]]]] = [
        ("Votes", _VERDICTS, [_verdict(entry) for entry in found.verdicts]),
        (
            "Agreement of the raters",
            _AGREEMENT,
            [
                (entry.axis, str(entry.pairs), *(_number(value) for value in (
                    entry.raw, entry.alpha_nominal, entry.alpha_interval, entry.between_rounds)))
                for entry in found.agreement
            ],
        ),
    ]  # fmt: skip
    if found.profile:
        tables.insert(0, ("Profile", ("group", *_VERDICTS[1:]), [_verdict(entry) for entry in found.profile]))
    if found.ranks:
        ranks: list[tuple[str, ...]] = [
            (entry.axis, entry.system, f"{entry.elo:.0f} [{entry.low:.0f}, {entry.high:.0f}]") for entry in found.ranks
        ]
        tables.append(("Strengths (Bradley-Terry with ties)", _RANKS, ranks))
    raters: list[tuple[str, ...]] = [
        (
            entry.name,
            str(entry.round),
            str(entry.pairs),
            f"{entry.passed} of {entry.controls}",
            "yes" if entry.counted else "no",
            f"{entry.left} / {entry.right}",
        )
        for entry in found.raters
    ]
    return [*tables, ("Raters", _RATERS, raters)]


def _verdict(entry: Verdict) -> tuple[str, ...]:
    tally, wilson = entry.tally, entry.tally.wins_interval()
    wins = "-" if wilson is None else f"{tally.wins:.3f} [{wilson[0]:.3f}, {wilson[1]:.3f}]"
    low, high = entry.net_interval
    return (
        entry.axis,
        entry.first,
        entry.second,
        f"{tally.good}/{tally.same}/{tally.bad}",
        f"{tally.net:+.3f} [{low:.3f}, {high:.3f}]",
        str(tally.n),
        str(entry.prompts),
        wins,
        _number(tally.good_or_same),
        f"{tally.p_value:.3g}",
        f"{entry.adjusted:.3g}",
        "/".join(str(count) for count in entry.labels),
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
