"""report.html of one run: what its summary and its items tell, as figures; n at every number, and how it was made."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vivace.errors import VivaceError
from vivace.evaluation.comparing import LEVEL, Comparison, Subject, compare
from vivace.evaluation.grown import NOTE as GROWING_NOTE
from vivace.evaluation.grown import grown, without_end
from vivace.evaluation.proxy_verdicts import HELD_AGAINST, told, verdict_of
from vivace.evaluation.published_metric import labelled
from vivace.evaluation.report.charts import (
    Estimate,
    ForestRow,
    Point,
    confusion,
    curves,
    forest,
    interval_bars,
)
from vivace.evaluation.report.page import escape, fold, legend, section, table, tiles, write_page
from vivace.evaluation.report.published_section import published_section
from vivace.evaluation.report.strips import draw_strip, load_strip, strip_of, strip_path
from vivace.evaluation.results import Results, read_results
from vivace.evaluation.seeds import SEEDS_NOTE, told_n
from vivace.evaluation.sensitivity import shift_curves, tells_apart
from vivace.evaluation.shift_verdicts import NOTE, any_marked, mark_of
from vivace.evaluation.summary import CEILING, FLOOR, TRUTH, beside_of
from vivace.media import read_clip
from vivace.perception.percept import percept_from_json

REFERENCES = (CEILING, TRUTH, FLOOR)
FIRST = ("av_event_f1_50ms", "av_offset_in_window", "av_offset_median_abs", "sound_kind", "colour", "one_object")
SHOWN = 3  # clips of each end
MAX_CLIP = 2**20  # bytes of a kept clip that is put into the page
_PLAYERS = {".mp4": ("video", "video/mp4"), ".wav": ("audio", "audio/wav")}


def write_report(folder: Path) -> Path:
    """Write report.html beside the results of a finished run.

    Returns:
        The file.

    Raises:
        VivaceError: no finished run in the folder, damaged results, a file that cannot be written.
    """
    results = read_results(folder)
    colours = condition_colours(results.conditions)
    summary = results.summary
    title = f"{results.protocol['suite']} benchmark: {results.model}"
    split = f"{summary['split']} prompts, " if "split" in summary else ""
    lead = (
        f"{split}weights {str(summary.get('model_hash') or 'unknown')[:16]}. Values with "
        "95 % intervals (bootstrap over prompts); n is how many prompts have a value. Press a condition to fade it."
    )
    lead += f" {SEEDS_NOTE}" if "each_prompt" in (summary.get("seeds") or {}) else ""
    parts = [
        _tiles(results),
        _as_published(results),
        published_section(results.summary),
        _groups(results, colours),
        _normalised(results),
        _between_generators(results),
        _growing(results, colours),
        _sensitivity(results, colours),
        _confusions(results),
        _clips(results),
        _undefined(results),
        _made(results),
    ]
    path = folder / "report.html"
    write_page(path, title, lead, [part for part in parts if part])
    return path


def condition_colours(conditions: Sequence[str]) -> dict[str, str]:
    """A colour's class for each: references are grey marks, the others take the colours in turn."""
    made = [name for name in conditions if name not in REFERENCES]
    return {name: "ref" if name in REFERENCES else f"c{made.index(name) % 6}" for name in conditions}


def estimate_of(score: Mapping[str, Any] | None) -> Estimate | None:
    """A metric's entry of summary.json; None where it has no value."""
    if score is None or score["value"] is None:
        return None
    return Estimate(score["value"], score["ci_low"], score["ci_high"], score["n"], told_n(score))


def places_of(unit: str) -> int:
    return 3 if unit == "" else 1


def titled(metric: str, direction: str, unit: str, version: object) -> str:
    """A metric's name with its unit and where its better end is, and "unverified" where its version says so."""
    arrow = {"higher": " ↑", "lower": " ↓"}.get(direction, "")
    return f"{labelled(metric, version)}{f' ({unit})' if unit else ''}{arrow}"


def _main_group(results: Results) -> str:
    groups = results.summary["groups"]
    return "all" if "all" in groups else next(iter(groups), "all")


def _tiles(results: Results) -> str:
    conditions = results.summary["groups"].get(_main_group(results), {})
    if not results.generators:
        return ""
    scores = conditions.get(results.generators[0], {})
    names = [name for name in FIRST if name in scores] or [n for n, s in scores.items() if s["direction"] != "none"]
    entries = []
    for name in names[:6]:
        score = scores[name]
        estimate = estimate_of(score)
        if estimate is None:
            continue
        places = 2 if score["unit"] == "" else 1
        interval = "" if estimate.low is None else f"[{estimate.low:.{places}f}, {estimate.high:.{places}f}] "
        beside = [
            f"{other} {found.value:.{places}f}"
            for other in (CEILING if CEILING in conditions else TRUTH, FLOOR)
            if (found := estimate_of(conditions.get(other, {}).get(name))) is not None
        ]
        more = f"{interval}n {estimate.said}{' · ' if beside else ''}{' · '.join(beside)}"
        title = titled(name + mark_of(score), score["direction"], "", score.get("version"))
        entries.append((title, f"{estimate.value:.{places}f} {score['unit']}".strip(), more))
    return tiles(entries)


def _groups(results: Results, colours: Mapping[str, str]) -> str:
    parts = [legend(colours)]
    main = _main_group(results)
    for group, conditions in results.summary["groups"].items():
        inside = _bars(conditions, colours)
        if inside:
            parts.append(fold(group, f'<div class="card">{inside}</div>', opened=group == main))
    note = (
        "Bars are what a model made. Grey marks are what it is held against: the true clips (truth), the true clips "
        "through the codecs (ceiling), the model's pictures with the sound of another of its clips (floor). Arrows "
        "point to the better end; a figure without one describes."
    )
    note += "".join(f" {told}" for told in (results.summary.get("beside") or {}).values())
    if any_marked(results.summary["groups"]):
        note += f" {NOTE}"
    return section("Figures", *parts, note=note) if len(parts) > 1 else ""


def _bars(conditions: Mapping[str, Mapping[str, Any]], colours: Mapping[str, str]) -> str:
    """One chart for each unit, metrics in the summary's order."""
    names = list(dict.fromkeys(name for scores in conditions.values() for name in scores))
    by_unit: dict[str, list[tuple[str, dict[str, Estimate]]]] = {}
    for name in names:
        score = next(scores[name] for scores in conditions.values() if name in scores)
        row = {
            condition: found
            for condition in colours
            if (found := estimate_of(conditions.get(condition, {}).get(name))) is not None
        }
        if row:
            title = titled(name + mark_of(score), score["direction"], "", score.get("version"))
            by_unit.setdefault(score["unit"], []).append((title, row))
    return "".join(
        f"<figure><figcaption>{escape(unit) or 'shares and scores'}</figcaption>"
        f"{interval_bars(rows, colours, places=places_of(unit))}</figure>"
        for unit, rows in by_unit.items()
    )


def _as_published(results: Results) -> str:
    """A suite's own figures, and its dimensions with what stands for each."""
    columns: Mapping[str, Any] = results.summary.get("columns") or {}
    dimensions: Mapping[str, Any] = results.summary.get("dimensions") or {}
    published = [
        (
            labelled(name, column.get("version")),
            *_figure(column),
            str(column.get("metric") or "-"),
            str(column.get("rule") or ""),
        )
        for name, column in columns.items()
    ]
    profile: list[tuple[str, ...]] = []
    for name, dimension in dimensions.items():
        prompts = str(dimension["n_prompts"])
        profile += [
            (
                name,
                prompts,
                labelled(proxy, found.get("version")) + mark_of(found),
                *_figure(found),
                verdict_of(proxy, found) or "-",
            )
            for proxy, found in dimension["proxies"].items()
        ]
        profile += [] if dimension["proxies"] else [(name, prompts, str(dimension["judged"]), "-", "0", "-")]
    parts = []
    if published:
        parts.append(section("As published", table(("figure", "value", "n", "made of", "rule"), published, (2,))))
    if profile:
        head = ("dimension", "prompts", "proxy", "value", "n", "verdict")
        parts.append(section("By dimension", table(head, profile, (1, 4)), note=f"{told(dimensions)}. {HELD_AGAINST}"))
    return "".join(parts)


def _figure(found: Mapping[str, Any]) -> tuple[str, str]:
    """Value with its interval and what stands beside it, and n; why there is none."""
    if found.get("value") is None:
        return ("skipped" if found.get("status") == "skipped" else "-"), told_n(found)
    text = f"{found['value']:.3f}"
    if found.get("ci_low") is not None and found.get("ci_high") is not None:
        text += f" [{found['ci_low']:.3f}, {found['ci_high']:.3f}]"
    return text + beside_of(found), told_n(found)


def _normalised(results: Results) -> str:
    group = _main_group(results)
    found = (results.summary.get("normalised") or {}).get(group) or {}
    if not found or not results.generators:
        return ""
    scores = results.summary["groups"][group][results.generators[0]]
    rows = [
        (
            labelled(name, scores[name].get("version")),
            {results.generators[0]: Estimate(value, None, None, scores[name]["n"])},
        )
        for name, value in found.items()
    ]
    chart = interval_bars(rows, {results.generators[0]: "c0"}, places=2)
    note = (
        "0 is what swapped sound reaches by chance, 1 what the codecs let through: (value - floor) / (ceiling - floor)."
    )
    return section("Between floor and ceiling", fold("Show", f'<div class="card">{chart}</div>'), note=note)


def _between_generators(results: Results) -> str:
    subjects = [
        Subject(name, results, name) for name in results.generators if any(made == name for made, _ in results.rows)
    ]
    if len(subjects) < 2:
        return ""
    try:
        found = compare(subjects)
    except VivaceError:
        return ""  # items of an earlier version, which hold no values of single prompts
    return section("The same prompts, other settings", *forest_figures(found), note=comparison_note(found))


def comparison_note(found: Comparison) -> str:
    """What the differences are, and how they are tested."""
    note = (
        f"Mean difference over {found.prompts} prompts, each counted once, with its 95 % bootstrap interval; p of a "
        f"sign-flip test, corrected by Holm over every test shown. Filled marks hold at {LEVEL:g}."
    )
    sets = list(dict.fromkeys(entry.metric for entry in found.differences if entry.of_sets))
    if sets:
        note += (
            f" Of {', '.join(sets)}, which have no value for a prompt, it is the difference of the two sets' values, "
            "its interval by drawing prompts for both at once, and p by exchanging the two prompt by prompt."
        )
    return note


def forest_figures(found: Comparison) -> list[str]:
    """A forest plot for each pair of subjects and each unit."""
    parts = []
    pairs = dict.fromkeys((entry.first, entry.second) for entry in found.differences)
    for first, second in pairs:
        by_unit: dict[str, list[ForestRow]] = {}
        for entry in found.differences:
            if (entry.first, entry.second) == (first, second):
                paired = entry.paired
                by_unit.setdefault(entry.unit, []).append(
                    ForestRow(
                        titled(entry.metric, entry.direction, "", entry.version),
                        Estimate(paired.mean, paired.low, paired.high, paired.n),
                        f"p {entry.adjusted:.3g}",
                        entry.better is not None,
                    )
                )
        for unit, rows in by_unit.items():
            caption = f"{first} minus {second}{f', {unit}' if unit else ''}"
            chart = forest(rows, places=places_of(unit))
            parts.append(f'<figure class="card"><figcaption>{escape(caption)}</figcaption>{chart}</figure>')
    return parts


def _sensitivity(results: Results, colours: Mapping[str, str]) -> str:
    length = (results.summary.get("settings") or {}).get("seconds")
    wanted = [name for name in (*results.generators[:1], TRUTH) if name in colours]
    percepts = {
        name: {
            item_id: percept_from_json(dict(row["percept"]))
            for item_id, row in results.of(name).items()
            if "percept" in row and {"video", "audio"} <= row["percept"].keys()
        }
        for name in wanted
    }
    found = {name: shift_curves(seen, float(length)) for name, seen in percepts.items() if len(seen) > 1 and length}
    if not found:
        return ""
    charts, blind = [], []
    for metric in next(iter(found.values())):
        lines = {
            name: [
                Point(float(shift), estimate)
                for shift, result in metrics[metric].items()
                if (estimate := estimate_of(result.to_json())) is not None
            ]
            for name, metrics in found.items()
        }
        lines = {name: line for name, line in lines.items() if line}
        if lines:
            ns = ", ".join(f"{name} n {len(percepts[name])}" for name in lines)
            charts.append(curves(f"{metric} ({ns})", lines, colours, "sound later by ms"))
        if TRUTH in found and not tells_apart(found[TRUTH][metric]):
            blind.append(metric)
    note = (
        "What is heard, moved by a known time, and the figures computed again. A model whose curve is flat makes sound "
        "at moments that have nothing to do with its pictures."
    )
    if blind:
        note += f" On the true clips a shift of 200 ms either way is not told from none by: {', '.join(blind)}."
    return section("If the sound came earlier or later", f'<div class="columns">{"".join(charts)}</div>', note=note)


def _growing(results: Results, colours: Mapping[str, str]) -> str:
    """Metrics of whole sets over 1/n, and what they come to at 0."""
    charts: dict[str, dict[str, list[Point]]] = {}
    ends: dict[str, list[str]] = {}
    for metric, condition, by_n in grown(results.summary["groups"].get(_main_group(results), {})):
        points = [
            Point(1.0 / point["n"], Estimate(point["value"], point["low"], point["high"], point["n"]))
            for point in reversed(by_n["points"])
        ]
        if by_n["inf"]["value"] is not None:
            points.insert(
                0, Point(0.0, Estimate(by_n["inf"]["value"], None, None, points[0].estimate.n, "without end"))
            )
        charts.setdefault(metric, {})[condition] = points
        ends.setdefault(metric, []).append(f"{condition}: {without_end(by_n)}")
    figures = [
        f"<div>{curves(metric, lines, colours, '1/n; at 0 without end')}"
        f'<p class="note">{escape("; ".join(ends[metric]))}.</p></div>'
        for metric, lines in charts.items()
    ]
    note = f"{GROWING_NOTE} Bands span the subsets."
    return (
        section("Sets over growing n", f'<div class="columns">{"".join(figures)}</div>', note=note) if figures else ""
    )


def _confusions(results: Results) -> str:
    parts = []
    for condition in (*results.generators[:1], TRUTH):
        kinds: Counter[tuple[str, str]] = Counter()
        floors: Counter[tuple[str, str]] = Counter()
        for row in results.of(condition).values():
            expected, percept = row.get("expected") or {}, row.get("percept") or {}
            asked = _asked_sound(expected)
            if asked and percept.get("audio"):
                kinds[asked, percept["audio"].get("kind") or "nothing"] += 1
            floor = expected.get("floor") or expected.get("surface")
            if floor and percept.get("video"):
                floors[str(floor), percept["video"].get("floor") or "none"] += 1
        for what, counts in (("sound", kinds), ("floor", floors)):
            if counts:
                parts.append(confusion(f"{what}, {condition}", counts))
    note = "Rows are what the prompt states, columns what the blind detectors find; shades are shares of a row."
    return section("What is taken for what", f'<div class="columns">{"".join(parts)}</div>', note=note) if parts else ""


def _asked_sound(expected: Mapping[str, Any]) -> str | None:
    kind = expected.get("kind")
    if kind == "impacts":
        return f"ball on {expected['floor']}" if expected.get("floor") else None
    return None if kind is None else str(kind)


def item_scores(results: Results, condition: str) -> dict[str, tuple[float, int]]:
    """Item -> mean of its values between 0 and 1 that have a better end (turned where less is better), and how many."""
    found: dict[str, list[float]] = {}
    for metric, values in results.clip_values(condition).items():
        direction, unit = results.direction(metric)
        if direction == "none" or unit or not all(0 <= value <= 1 for value in values.values()):
            continue
        for item_id, value in values.items():
            found.setdefault(item_id, []).append(value if direction == "higher" else 1 - value)
    return {item_id: (sum(values) / len(values), len(values)) for item_id, values in found.items()}


def _clips(results: Results) -> str:
    if not results.generators:
        return ""
    condition = results.generators[0]
    scores = item_scores(results, condition)
    kept = [item_id for item_id in scores if is_pictured(results, condition, item_id)]
    order = sorted(kept, key=lambda item_id: (-scores[item_id][0], item_id))
    if not order:
        return ""
    best, worst = order[: min(SHOWN, (len(order) + 1) // 2)], order[::-1][: min(SHOWN, len(order) // 2)]
    parts = []
    for title, chosen in (("Best", best), ("Worst", worst)):
        if chosen:
            parts.append(f"<h3>{title}</h3>")
            parts += [_clip(results, condition, item_id, scores[item_id]) for item_id in chosen]
    note = (
        "Chosen by the mean of a clip's own figures between 0 and 1, of those that have a better end. Orange marks: "
        "something is seen to hit; blue marks: something begins to sound; dashed lines join what lies within 75 ms."
    )
    return section("Best and worst clips", *parts, note=note)


def _clip(results: Results, condition: str, item_id: str, score: tuple[float, int]) -> str:
    row = results.rows[condition, item_id]
    values = ", ".join(
        f"{labelled(name, entry.get('version'))} {entry['value']:.3g}"
        for name, entry in row["metrics"].items()
        if entry.get("value") is not None
    )
    told = f"{item_id}, seed {row.get('seed', '?')}, mean {score[0]:.2f} of {score[1]} figures"
    return (
        f'<figure class="card"><figcaption><b>{escape(str(row.get("prompt", "")))}</b>'
        f'<span class="note">{escape(told)}</span></figcaption>{pictured(results, condition, item_id)}'
        f'<p class="note">{escape(values)}</p></figure>'
    )


def is_pictured(results: Results, condition: str, item_id: str) -> bool:
    """Whether there is something to be seen of a clip."""
    stored = strip_path(results.folder, condition, item_id)
    return stored.is_file() or _kept(results, condition, item_id) is not None


def pictured(results: Results, condition: str, item_id: str) -> str | None:
    """The strip of a clip, and the clip itself where the run has kept it and it is small; None where neither is."""
    if not is_pictured(results, condition, item_id):
        return None
    clip, stored = _kept(results, condition, item_id), strip_path(results.folder, condition, item_id)
    seen = load_strip(stored) if clip is None or stored.is_file() else strip_of(read_clip(clip))
    return draw_strip(seen, results.rows[condition, item_id].get("percept")) + _playable(clip)


def _kept(results: Results, condition: str, item_id: str) -> Path | None:
    """The file of a clip where the run has kept it: by condition, or as a suite does."""
    clips = results.folder / "clips"
    # A suite keeps what its model made, and nothing of what that is held against.
    folders = [clips / condition.replace(" ", "-"), *([clips] if condition in results.generators else [])]
    places = (folder / f"{item_id}{end}" for folder in folders for end in _PLAYERS)
    return next((path for path in places if path.is_file()), None)


def _playable(path: Path | None) -> str:
    """The clip itself, where it is small."""
    if path is None or path.stat().st_size > MAX_CLIP:
        return ""
    tag, kind = _PLAYERS[path.suffix]
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return f'<{tag} controls loop playsinline preload="metadata" src="data:{kind};base64,{data}"></{tag}>'


def _undefined(results: Results) -> str:
    rows = []
    for group, conditions in results.summary["groups"].items():
        for condition, scores in conditions.items():
            for metric, score in scores.items():
                title = labelled(metric, score.get("version"))
                for reason, count in (score.get("reasons") or {}).items():
                    rows.append((group, condition, title, told_n(score), str(count), reason))
    skipped = [
        (str(entry.get("metric")), str(entry.get("key")), str(entry.get("file")), str(entry.get("licence")))
        for entry in results.summary.get("skipped") or ()
    ]
    parts = []
    if skipped:
        parts.append(
            fold(f"{len(skipped)} metrics skipped", table(("metric", "--weights key", "file", "licence"), skipped))
        )
    if rows:
        head = ("group", "condition", "metric", "n", "undefined", "why")
        parts.append(fold(f"{len(rows)} reasons why a figure has no value", table(head, rows, (3, 4))))
    note = "A clip without a value is left out of a figure and counted here, never taken as 0."
    return section("Not measured", *parts, note=note) if parts else ""


def _made(results: Results) -> str:
    summary = results.summary
    seeds = sorted({int(row["seed"]) for row in results.rows.values() if row.get("seed") is not None})
    rows = [
        ("model", results.model),
        ("weights", str(summary.get("model_hash", "unknown"))),
        ("command", str(summary.get("command") or "not recorded")),
        *((f"weights of {name}", str(digest)) for name, digest in (summary.get("weights") or {}).items()),
        ("protocol", ", ".join(f"{name} {value}" for name, value in results.protocol.items() if value is not None)),
        ("conditions", ", ".join(results.conditions)),
        ("clips", str(sum(condition in results.generators for condition, _ in results.rows))),
        ("seeds", f"{seeds[0]} to {seeds[-1]}, {len(seeds)} different" if seeds else "none recorded"),
    ]
    if "counted" in summary:
        rows += [(f"clips {name.replace('_', ' ')}", str(len(found))) for name, found in summary["counted"].items()]
    for name in ("environment", "bootstrap"):
        rows += [(f"{name}: {key}", str(value)) for key, value in (summary.get(name) or {}).items()]
    versions = Counter(results.versions().values())
    rows.append(("versions of metrics", ", ".join(f"{count} of {name}" for name, count in sorted(versions.items()))))
    whole = {name: value for name, value in summary.items() if name not in ("groups", "normalised", "skipped")}
    listing = f"<pre>{escape(json.dumps(whole, indent=1))}</pre>"
    return section("How it was made", table(("", ""), rows), fold("All settings", listing))
