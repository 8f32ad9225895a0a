"""What every weight-free measure can tell, on true clips of the world that are treated in known ways; writes a report.

    python benchmarks/calibrate_measures.py --clips 64 --processes 16          the full report
    python benchmarks/calibrate_measures.py --clips 8 --material impacts       small
    python benchmarks/calibrate_measures.py --clips 8 --output FOLDER          writes elsewhere

It prints how long is left, and may be interrupted: what is measured of a clip under all treatments is kept (--work)
and the same command goes on from there, also with more clips. What was measured by other detectors, by another
definition of a measure or through other codecs is measured anew; after a change of the world's code give a new folder.

The report (docs/results/calibration.md, and .json with the values of every clip) shows for each measure: the true
clips, their round trip through the codecs of a model (ceiling), sound that is late or early, degraded pictures and
sound, the sound of another clip (floor), silence and a still picture (guards). A measure of sound and picture together
that does not tell 200 ms from none is marked.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

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
from vivace.evaluation.groups import group_items, metrics_of, senses
from vivace.evaluation.ledger import whole_rows
from vivace.evaluation.metric import ItemMetric
from vivace.evaluation.prompts import WorldItem, true_clip, world_items
from vivace.evaluation.quality_metrics import clip_metrics
from vivace.media import Clip, replacing
from vivace.perception.thresholds import fingerprint

# Name in the report -> group of the world benchmark.
MATERIAL = {
    "impacts": "seen",
    "talk": "talk-seen",
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


def items_of(group: str, count: int) -> list[WorldItem]:
    if group == "seen":
        items = world_items("val", 2 * count, hand=False, camera=False)
        return [item for item in items if item.group == "seen"][:count]
    return group_items("val", [group], max(count, 2), hand=False)[:count]


def metrics_for(group: str) -> list[ItemMetric]:
    """Of impacts and talk also the measures of any clip; those of other scenes are the same there."""
    return [*metrics_of(group), *(clip_metrics() if group in ("seen", "talk-seen") else [])]


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
    measure_treated(
        item.id,
        treatments(item.id, true_clip(item), None if other is None else true_clip(other), _codecs.get("round trip")),
        metrics_for(group),
        senses(group),
        values,
        expected=item.expected,
    )
    return values


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
        measures = [[metric.name, metric.version] for metric in metrics_for(group)]
        told = [group, clips, measures, list(SHIFTS), list(FAULTS), self._by]
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
        found = values[metric.name]
        if mean_of(found[TRUTH])[0] is None:
            continue
        both = is_about_synchrony(metric)
        rows.append(
            {
                "material": material,
                "measure": metric.name,
                "unit": metric.unit,
                "direction": metric.direction,
                "both_sides": both,
                "means": {treatment: mean_of(of_clip) for treatment, of_clip in found.items()},
                "tells_200_ms": tells_shift(metric, found) if both else None,
                "moved_by": [fault for fault in FAULTS if moved(found, fault)[0] == "yes"],
                "fooled_by": [guard for guard in (SILENCE, STILL) if both and fooled(metric, found, guard)],
            }
        )
    return rows


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
                f"| {_name(row)} | {_verdict(row['tells_200_ms'])} | {' | '.join(cells)} | "
                f"{', '.join(row['fooled_by']) or '-'} |"
            )
        columns = ["truth", CEILING, *FAULTS]
        lines += ["", f"## Degradations, {material}", ""]
        lines += ["Bold: the value differs from the true clips'.", "", f"| measure | {' | '.join(columns)} |"]
        lines.append("|---" * (len(columns) + 1) + "|")
        for row in part:
            cells = [_cell(row, treatment) for treatment in (TRUTH, *columns[1:])]
            lines.append(f"| {_name(row)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _name(row: dict[str, Any]) -> str:
    arrow = {"higher": " ↑", "lower": " ↓", "none": ""}[row["direction"]]
    return row["measure"] + (f" ({row['unit']})" if row["unit"] else "") + arrow


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
    rows: list[dict[str, Any]] = []
    wanted = [name for name in MATERIAL if name in (arguments.material or MATERIAL)]
    for material in wanted:
        group = MATERIAL[material]
        values = measured(group, arguments.clips, arguments.processes, kept)
        rows += rows_of(material, metrics_for(group), values)
    only = "".join(f" --material {name}" for name in arguments.material or ())
    command = f"python benchmarks/calibrate_measures.py --clips {arguments.clips}{only}"
    told = {"command": command, "clips": arguments.clips, "model": arguments.model}
    arguments.output.mkdir(parents=True, exist_ok=True)
    with replacing(arguments.output / "calibration.json") as path:
        path.write_text(json.dumps(told | {"rows": rows}, indent=1) + "\n", encoding="utf-8")
    with replacing(arguments.output / "calibration.md") as path:
        path.write_text(markdown(rows, told), encoding="utf-8")


if __name__ == "__main__":
    main()
