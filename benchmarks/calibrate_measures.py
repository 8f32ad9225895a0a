"""What every weight-free measure can tell, on true clips of the world that are treated in known ways; writes a report.

    python benchmarks/calibrate_measures.py --clips 64 --processes 16          the full report
    python benchmarks/calibrate_measures.py --clips 8 --material impacts       small
    python benchmarks/calibrate_measures.py --clips 8 --output FOLDER          writes elsewhere
    python benchmarks/calibrate_measures.py --clips 12 --add                   only measures that the report lacks

It prints how long is left, and may be interrupted: what is measured of a clip under all treatments is kept (--work)
and the same command goes on from there, also with more clips. What was measured by other detectors, by another
definition of a measure or through other codecs is measured anew; after a change of the world's code give a new folder.

The report (docs/results/calibration.md, and .json with the values of every clip) shows for each measure: the true
clips, their round trip through the codecs of a model (ceiling), sound that is late or early, degraded pictures and
sound, the sound of another clip (floor), silence and a still picture (guards). A measure of sound and picture together
that does not tell 200 ms from none is marked, and src/vivace/evaluation/shift_verdicts.json takes the verdicts over, so
that every report of a benchmark can mark it too.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np

from vivace.errors import VivaceError
from vivace.evaluation.calibration import (
    CEILING,
    FLOOR,
    LEVEL,
    PICTURE_FAULTS,
    SHIFTS,
    SILENCE,
    SOUND_FAULTS,
    STILL,
    TRUTH,
    Treated,
    Values,
    fooled,
    is_about_synchrony,
    mean_of,
    measure_treated,
    moved,
    shift_name,
    tells_shift,
    treatments,
)
from vivace.evaluation.clip_figures import every_figure
from vivace.evaluation.groups import group_items, is_talk, metrics_of, senses, swap_metric
from vivace.evaluation.ledger import whole_rows
from vivace.evaluation.metric import ItemMetric
from vivace.evaluation.prompts import WorldItem, true_clip, world_items
from vivace.evaluation.quality_metrics import clip_metrics
from vivace.evaluation.references import clip_refs, script_events, true_times, voice_refs
from vivace.evaluation.shift_verdicts import FILE, verdicts_of_rows
from vivace.evaluation.signal_sets import picture_features, signal_distances, sound_features
from vivace.evaluation.swaps import swap_results
from vivace.media import Clip, replacing
from vivace.perception.thresholds import fingerprint

# Name in the report -> group of the world benchmark, ":NAME" for those of its prompts that state NAME.
MATERIAL = {
    "impacts": "seen",
    "things to a side": "seen:position",
    "moving camera": "camera",
    "talk": "talk-seen",
    "talk with effect": "talk-effect",
    "silence": "silence",
    "ambience": "ambience",
    "vehicle": "vehicle",
    "shots": "shots",
}
OUTPUT = Path(__file__).parents[1] / "docs" / "results"
WORK = Path("results") / "calibration"
FAULTS = (*PICTURE_FAULTS, *SOUND_FAULTS)
Job = tuple[str, WorldItem, WorldItem | None]  # group, clip, whose sound is the floor
_codecs: dict[str, Callable[[Clip], Clip]] = {}
_reported: dict[str, set[str]] = {}  # group -> measures that have a row and are not measured again
SETS = ("swap_auc", "swap_d_prime", *(f"signal_{k}_{s}" for s in ("sound", "pictures") for k in ("frechet", "kernel")))
_MOST = 4096  # prompts among which those that state something are looked for


def items_of(group: str, count: int) -> list[WorldItem]:
    base, _, stated = group.partition(":")
    if base not in ("seen", "camera"):
        return group_items("val", [group], max(count, 2), hand=False)[:count]
    asked = (16 if base == "camera" else 4) * max(count, 2)
    found: list[WorldItem] = []
    while len(found) < count and asked <= _MOST:
        items = world_items("val", asked, hand=False, camera=base == "camera")
        found = [item for item in items if item.group == base and (not stated or item.expected.get(stated) is not None)]
        asked *= 4
    return found[:count]


def metrics_for(group: str) -> list[ItemMetric]:
    """Of impacts and talk also the measures of any clip, of impacts those against the true one; of other scenes they
    are the same."""
    base, _, stated = group.partition(":")
    if stated:
        return [metric for metric in metrics_of(base) if f"expected:{stated}" in metric.requires]
    return [
        *metrics_of(group),
        *(every_figure() if group == "seen" else clip_metrics() if group == "talk-seen" else []),
    ]


def due_metrics(group: str) -> list[ItemMetric]:
    """Those of a group that have no row yet, and what the measures of whole sets are made of."""
    known = _reported.get(group, set())
    base = swap_metric(group).name if _swaps(group) and "swap_auc" not in known else None
    return [metric for metric in metrics_for(group) if metric.name not in known or metric.name == base]


def _swaps(group: str) -> bool:
    return group in ("seen", "talk-seen")


def _distances_due(group: str) -> bool:
    return group == "seen" and "signal_kernel_sound" not in _reported.get(group, set())


def measured(group: str, count: int, processes: int, kept: Kept) -> Values:
    """All clips of a group under all treatments; `_codecs` gives the ceiling. What is kept is not measured again."""
    items = items_of(group, count)
    jobs: list[Job] = [
        (group, item, items[(n + 1) % len(items)] if len(items) > 1 else None) for n, item in enumerate(items)
    ]
    due = [job for job in jobs if kept.find(job) is None]
    material = next(name for name, one in MATERIAL.items() if one == group)
    started = time.monotonic()
    for done, (job, values) in enumerate(_run(due, processes), 1):
        kept.add(job, values)
        each = (time.monotonic() - started) / done
        print(
            f"{material}: {len(jobs) - len(due) + done} of {len(jobs)}, {each:.0f} s each, "
            f"{each * (len(due) - done) / 60:.0f} min left of this material",
            flush=True,
        )
    every: Values = {}
    for job in jobs:
        for measure, by_treatment in (kept.find(job) or {}).items():
            for treatment, by_clip in by_treatment.items():
                every.setdefault(measure, {}).setdefault(treatment, {}).update(by_clip)
    return every


def _run(jobs: Sequence[Job], processes: int) -> Iterator[tuple[Job, Values]]:
    """Each job with what comes of it, as it comes."""
    if processes < 2 or len(jobs) < 2:
        yield from ((job, measure_one(job)) for job in jobs)
        return
    # Forked, so that the codecs are loaded once.
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("fork")) as pool:
        running = {pool.submit(measure_one, job): job for job in jobs}
        try:
            for found in as_completed(running):
                yield running[found], found.result()
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def measure_one(job: Job) -> Values:
    """One clip of a group under all treatments; the other one's sound is the floor."""
    group, item, other = job
    values: Values = {}
    true, base = true_clip(item), group.partition(":")[0]
    treated = list(treatments(item.id, true, None if other is None else true_clip(other), _codecs.get("round trip")))
    measure_treated(
        item.id,
        treated,
        due_metrics(group),
        senses(base),
        values,
        expected=item.expected,
        refs=_refs(item, other, true),
        prompt=item.prompt,
    )
    if _distances_due(group):
        for side in ("sound", "pictures"):
            for treatment, vector in _vectors(treated, side).items():
                for place, value in enumerate(vector):
                    values.setdefault(f"{side} {place}", {})[treatment] = {item.id: float(value)}
    return values


def _refs(item: WorldItem, other: WorldItem | None, true: Clip) -> dict[str, Any]:
    """Everything that a clip can be compared with; `other` lends a foreign voice."""
    voices = voice_refs([item, *([] if other is None else [other])]) if is_talk(item.group) else {}
    times = true_times(item) | script_events(item, "t2av", true=True)
    return voices.get(item.id, {}) | times | clip_refs(item, "t2av", true, true=True)


def _vectors(treated: Sequence[tuple[str, Treated]], side: str) -> dict[str, np.ndarray]:
    """Treatment -> vector of a side, found once for each state of it."""
    known: dict[str, np.ndarray] = {}
    found = {}
    for treatment, one in treated:
        key = one.pictures if side == "pictures" else one.sound
        if key not in known:
            known[key] = (picture_features if side == "pictures" else sound_features)(one.clip)
        found[treatment] = known[key]
    return found


class Kept:
    """clips.jsonl of a folder: what was measured of each clip, appended and never rewritten.

    Args:
        folder: made where it is not there. by: what the figures depend on beside the clip.
    """

    def __init__(self, folder: Path, by: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path, self._by = folder / "clips.jsonl", by
        self._found: dict[str, Values] = {row["key"]: row["values"] for row in whole_rows(self.path)}

    def find(self, job: Job) -> Values | None:
        return self._found.get(self._key(job))

    def add(self, job: Job, values: Values) -> None:
        key = self._key(job)
        self._found[key] = values
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, "group": job[0], "clip": job[1].id, "values": values}) + "\n")

    def _key(self, job: Job) -> str:
        group, item, other = job
        clips = [[one.id, one.seed, one.prompt, one.height, one.width] for one in (item, other) if one is not None]
        measures = [[metric.name, metric.version] for metric in due_metrics(group)]
        told = [group, clips, measures, _distances_due(group), list(SHIFTS), list(FAULTS), self._by]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def codecs_of(model: str) -> tuple[Callable[[Clip], Clip], str]:
    """A clip through a model's codecs, and the digest of the model's weights."""
    from vivace.cli.making import Models
    from vivace.evaluation.codecs import round_trip

    pipeline, digest = Models().load(model)
    return lambda clip: round_trip(pipeline.vae, pipeline.audio_vae, pipeline.vocoder, clip), digest


def rows_of(material: str, metrics: Sequence[ItemMetric], values: Values) -> list[dict[str, Any]]:
    rows = []
    for metric in metrics:
        found = values.get(metric.name, {})
        if not found or mean_of(found[TRUTH])[0] is None:
            continue
        both = is_about_synchrony(metric)
        rows.append(
            {
                "material": material,
                "measure": metric.name,
                "unit": metric.unit,
                "direction": metric.direction,
                "both_sides": both,
                "clips": len(found[TRUTH]),
                "means": {treatment: mean_of(of_clip) for treatment, of_clip in found.items()},
                "tells_200_ms": tells_shift(metric, found) if both else None,
                "moved_by": [fault for fault in FAULTS if moved(found, fault)[0] == "yes"],
                "fooled_by": [guard for guard in (SILENCE, STILL) if both and fooled(metric, found, guard)],
            }
        )
    return rows


def rows_of_sets(material: str, group: str, values: Values) -> list[dict[str, Any]]:
    """Rows of the measures of whole sets: a value for each treatment, and no test over clips."""
    found: dict[str, dict[str, tuple[float | None, int]]] = {}
    tells: dict[str, str] = {}
    told: dict[str, Any] = {}
    if _swaps(group) and (base := values.get(swap_metric(group).name)):
        for treatment, of_clip in base.items():
            for name, result in swap_results(_defined(of_clip), _defined(base.get(FLOOR, {}))).items():
                found.setdefault(name, {})[treatment] = (result.value, result.n)
                tells[name], told[name] = tells_shift(swap_metric(group), base), result
    for side in ("sound", "pictures"):
        parts = [of for name, of in values.items() if name.startswith(f"{side} ")]
        for treatment in parts[0] if parts else ():
            made, true = (_stacked(parts, one) for one in (treatment, TRUTH))
            for name, result in signal_distances(side, made, true).items():
                found.setdefault(name, {})[treatment] = (result.value, result.n)
                told[name] = result
    return [
        {
            "material": material,
            "measure": name,
            "unit": told[name].unit,
            "direction": told[name].direction,
            "both_sides": name in tells,
            "clips": means[TRUTH][1],
            "means": means,
            "tells_200_ms": tells.get(name),
            "moved_by": [],
            "fooled_by": [],
        }
        for name, means in found.items()
    ]


def _defined(of_clip: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in of_clip.items() if value is not None}


def _stacked(parts: Sequence[Mapping[str, Mapping[str, float | None]]], treatment: str) -> dict[str, np.ndarray]:
    return {name: np.array([part[treatment][name] for part in parts], float) for name in parts[0][treatment]}


def markdown(rows: Sequence[dict[str, Any]], told: dict[str, Any]) -> str:
    shifts = [shift_name(ms) for ms in SHIFTS]
    about = (
        f"Written by `{told['command']}`: {told['clips']} true clips of 2 s of each material, from the world's val "
        f"split, and the codecs of {told['model'] or 'no model'}. Means over the clips that have a value, "
        "with their number where it is not all. The sound is late by the milliseconds given, early where negative.\n\n"
        "*Tells 200 ms*: the values at -200 and +200 ms both differ from the true clips' (sign-flip test over clips, "
        f'p < {LEVEL}) and not for the better, or most clips have no value left. **A measure with "no" says nothing of '
        "synchrony.** *As good as true*: the measure is fooled by silence or by a still picture."
    )
    lines = ["# What the weight-free measures can tell", "", about]
    if told.get("added"):
        by = ", ".join(f"`{command}`" for command in told["added"])
        lines += ["", f"Where another number of clips stands beside a measure, its row was added by {by}."]
    if any(row["measure"] in SETS for row in rows):
        lines += [
            "",
            "`swap_*` and `signal_*` are values of whole sets, and no test over clips is made of them: `swap_*` tells "
            "the treated clips from those with swapped sound (and *tells 200 ms* where its score does), `signal_*` is "
            "the distance from the true clips.",
        ]
    if told["clips"] < 32:
        lines += ["", f'{told["clips"]} clips are few: a "no" may become a "yes" with more. Full: --clips 64.']
    for material in MATERIAL:
        part = [row for row in rows if row["material"] == material]
        if not part:
            continue
        both = [row for row in part if row["both_sides"]]
        columns = ["truth", CEILING, *shifts, FLOOR, SILENCE, STILL]
        if both:
            lines += [
                "",
                f"## Synchrony, {material}",
                "",
                f"| measure | tells 200 ms | {' | '.join(columns)} | as good as true |",
                "|---" * (len(columns) + 3) + "|",
            ]
        for row in both:
            cells = [_cell(row, treatment) for treatment in (TRUTH, *columns[1:])]
            lines.append(
                f"| {_name(row, told['clips'])} | {_verdict(row['tells_200_ms'])} | {' | '.join(cells)} | "
                f"{', '.join(row['fooled_by']) or '-'} |"
            )
        columns = ["truth", CEILING, *FAULTS]
        lines += ["", f"## Degradations, {material}", ""]
        lines += ["Bold: the value differs from the true clips'.", "", f"| measure | {' | '.join(columns)} |"]
        lines.append("|---" * (len(columns) + 1) + "|")
        for row in part:
            cells = [_cell(row, treatment) for treatment in (TRUTH, *columns[1:])]
            lines.append(f"| {_name(row, told['clips'])} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _name(row: dict[str, Any], usual: int) -> str:
    arrow = {"higher": " ↑", "lower": " ↓", "none": ""}[row["direction"]]
    clips = row.get("clips", usual)
    return (
        row["measure"]
        + (f" ({row['unit']})" if row["unit"] else "")
        + arrow
        + (f" [{clips}]" if clips != usual else "")
    )


def _verdict(verdict: str) -> str:
    return "**no**" if verdict == "no" else verdict


def _cell(row: dict[str, Any], treatment: str) -> str:
    value, n = row["means"].get(treatment, (None, 0))
    if value is None:
        return "-"
    text = f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    most = max(count for _, count in row["means"].values())
    text += f" ({n})" if n < most else ""
    return f"**{text}**" if treatment in row["moved_by"] else text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=8, help="true clips of each material")
    parser.add_argument("--model", default="nano-nava", help="whose codecs give the ceiling; '' for none")
    parser.add_argument("--processes", type=int, default=1, help="clips measured at a time")
    parser.add_argument("--material", choices=MATERIAL, action="append", help="one of the materials; repeat; all")
    parser.add_argument("--add", action="store_true", help="measure what the report lacks, and add it")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder of the report")
    parser.add_argument("--work", type=Path, default=WORK, help="folder of what is kept of each clip")
    arguments = parser.parse_args()
    try:
        calibrate(arguments)
    except KeyboardInterrupt:
        print("\nInterrupted: the same command goes on.", file=sys.stderr)
        sys.exit(130)
    except VivaceError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def calibrate(arguments: argparse.Namespace) -> None:
    """Measure what is due and write the report.

    Raises:
        VivaceError: a number of clips or processes below 1, an unknown model.
    """
    for name in ("clips", "processes"):
        if getattr(arguments, name) < 1:
            raise VivaceError(f"--{name} is {getattr(arguments, name)}; give 1 or more.")
    digest = None
    if arguments.model:
        _codecs["round trip"], digest = codecs_of(arguments.model)
    kept = Kept(arguments.work, {"codecs": digest, "perception": fingerprint()})
    only = "".join(f" --material {name}" for name in arguments.material or ())
    command = f"python benchmarks/calibrate_measures.py --clips {arguments.clips}{only}"
    told: dict[str, Any] = {"command": command, "clips": arguments.clips, "model": arguments.model}
    rows: list[dict[str, Any]] = []
    if arguments.add:
        told, rows = _written(arguments.output)
        told["added"] = [*told.get("added", []), f"{command} --add"]
    for material, group in MATERIAL.items():
        _reported[group] = {row["measure"] for row in rows if row["material"] == material}
    for material in [name for name in MATERIAL if name in (arguments.material or MATERIAL)]:
        group = MATERIAL[material]
        if any(metric.name not in _reported[group] for metric in due_metrics(group)):
            values = measured(group, arguments.clips, arguments.processes, kept)
            new = [*rows_of(material, due_metrics(group), values), *rows_of_sets(material, group, values)]
            rows += [row for row in new if row["measure"] not in _reported[group]]
    _write(arguments.output, rows, told)


def _written(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What a report tells of itself, and its rows.

    Raises:
        VivaceError: there is none to add to.
    """
    path = folder / "calibration.json"
    with contextlib.suppress(OSError, ValueError, KeyError):
        found = json.loads(path.read_text(encoding="utf-8"))
        rows = [{"clips": found["clips"], **row} for row in found.pop("rows")]
        return found, rows
    raise VivaceError(f"{path} holds no report to add to; leave --add out to write one.")


def _write(folder: Path, rows: list[dict[str, Any]], told: dict[str, Any]) -> None:
    """The report, and the verdicts for the reports of benchmarks: in the package where the report is the project's."""
    verdicts = FILE if folder.resolve() == OUTPUT.resolve() else folder / FILE.name
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "calibration.json") as path:
        path.write_text(json.dumps(told | {"rows": rows}, indent=1) + "\n", encoding="utf-8")
    with replacing(folder / "calibration.md") as path:
        path.write_text(markdown(rows, told), encoding="utf-8")
    with replacing(verdicts) as path:
        path.write_text(json.dumps(verdicts_of_rows(rows), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
