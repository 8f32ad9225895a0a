"""What each scale of guidance does to sync, words, voice, picture and sound: small multiples with intervals.

    python -m benchmarks.guidance_sweep [--model nano-nava] [--point text.video=1,2,3,4]... [--count 64] [--split val]
        [--talk talk-unseen] [--seconds 2] [--steps N] [--preset NAME] [--batch 4] [--output FOLDER]

One scale is changed at a time, all others stay those of the preset, and prompts, seeds and noise are the same at every
point. A preset that makes one side before the other (`order`) has nothing for alignment to act on in the first side's
turn: that scale is drawn under the model's preset that makes both at once, and compared with it. A run that was
interrupted goes on with the same command, and further points are added to a folder. Writes sweep.png and sweep.json,
which also holds every point's difference to its preset, prompt by prompt, with interval: whether alignment guidance
improves sync says `align.*` at `av_event_f1_75ms`. Where a model has no voices, the measures of speech and the scale of
timbre are left out.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from benchmarks.measured_points import MEASURES, Measured, generator, measure_points, prompts
from benchmarks.panels import Panel, draw_panels

from vivace.cli.making import Models
from vivace.errors import VivaceError
from vivace.evaluation.generating import has_voices
from vivace.evaluation.ledger import Run
from vivace.evaluation.report.charts import Point
from vivace.evaluation.summary import TRUTH
from vivace.media import replacing, write_png
from vivace.pipelines.guide_checks import idle_side, together_preset
from vivace.pipelines.nava import NavaPipeline
from vivace.sampling.guidance import check_scale
from vivace.sampling.presets import Preset

PRESET = "preset"
SCALES: dict[str, tuple[float, ...]] = {
    "text.video": (1.0, 1.5, 2.0, 3.0, 4.0),
    "text.audio": (1.0, 1.5, 2.0, 3.0, 4.0),
    "text.above": (0.0, 0.5, 0.7, 0.85),
    "align.video": (0.0, 0.5, 1.0, 2.0),
    "align.audio": (0.0, 0.5, 1.0, 2.0),
    "timbre": (0.0, 0.5, 1.0, 2.0),
}


def parse_points(words: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """NAME=1,2,3, one or several.

    Raises:
        VivaceError: an unknown guide, or values that are no scales.
    """
    found = {}
    for word in words:
        name, _, values = word.partition("=")
        if name not in SCALES:
            raise VivaceError(f"Guide {name!r} is unknown; use one of {', '.join(SCALES)}.")
        try:
            scales = tuple(sorted({float(value) for value in values.split(",")}))
        except ValueError:
            raise VivaceError(f"Point {word!r} is not of the form {name}=1,2,3; write numbers.") from None
        for scale in scales:
            check_scale(name, scale)
        found[name] = scales
    return found


def scale_in(preset: Preset, guide: str) -> float:
    """What a preset has for a guide; 0 where the branch is off."""
    if guide == "text.above":
        return preset.text_above
    name, _, side = guide.partition(".")
    scale = getattr(preset, name)
    return 0.0 if scale is None else float(getattr(scale, side) if side else scale)


def names_of(preset: Preset, scales: Mapping[str, Sequence[float]], base: str = PRESET) -> dict[tuple[str, float], str]:
    """The point of every guide and scale; those that the preset has itself are one point, `base`."""
    prefix = "" if base == PRESET else f"{base}, "
    return {
        (guide, scale): base if scale == scale_in(preset, guide) else f"{prefix}{guide}={scale:g}"
        for guide, values in scales.items()
        for scale in sorted({*values, scale_in(preset, guide)})
    }


@dataclass(frozen=True)
class Beside:
    """Another preset, for the one guide that has nothing to act on under the preset that is swept.

    Args:
        name: of its own point.
        guide: which has nothing to act on elsewhere.
    """

    name: str
    preset: Preset
    guide: str
    why: str


def beside(pipeline: NavaPipeline, preset: Preset, settings: Mapping[str, Any]) -> Beside | None:
    """The model's preset that makes both sides at once, or this one with both at once; None where all guides act.

    Args:
        settings: what the preset's own steps and cache are exchanged for.
    """
    side = idle_side(preset)
    if side is None:
        return None
    name = together_preset(pipeline.abilities)
    other = preset.model_copy(update={"order": "together"}) if name is None else pipeline.abilities.preset_named(name)
    used = pipeline.plan("a clip", **{**settings, "preset": other}).preset
    assert isinstance(used, Preset)
    guide, called = f"align.{side}", f"preset {name or 'together'}"
    why = f"{guide} has nothing to act on with order {preset.order!r}; it is drawn, and compared, with {called}."
    return Beside(called, used, guide, why)


def sweep(
    pipeline: NavaPipeline,
    scales: Mapping[str, Sequence[float]],
    output: Path,
    identity: tuple[str, str],
    *,
    split: str = "val",
    count: int = 64,
    talk: str = "talk-unseen",
    batch: int = 4,
    **settings: Any,
) -> dict[str, Any]:
    """Measure every point; writes sweep.json and sweep.png, and returns what the former holds.

    Args:
        scales: guide -> values. identity: the model's name and hash. settings: of the pipeline's plan, such as
            "seconds", "num_inference_steps" and "preset".
    """
    plan = pipeline.plan("a clip", **settings)
    preset = plan.preset
    assert isinstance(preset, Preset)
    if not has_voices(pipeline):
        scales = {guide: values for guide, values in scales.items() if guide != "timbre"}
    other = beside(pipeline, preset, settings)
    own = {guide: values for guide, values in scales.items() if other is None or guide != other.guide}
    rows: list[tuple[str, dict[str, Any], dict[tuple[str, float], str]]] = []
    rows.append((PRESET, settings, names_of(preset, own)))
    if other is not None and other.guide in scales:
        values = {other.guide: scales[other.guide]}
        rows.append((other.name, settings | {"preset": other.preset}, names_of(other.preset, values, other.name)))
    makers = {}
    for base, using, points in rows:
        makers[base] = generator(pipeline, **using)
        for (guide, scale), name in points.items():
            if name != base:
                makers[name] = generator(pipeline, **using, guides={guide: scale})
    names = {point: name for _, _, points in rows for point, name in points.items()}
    length = float(plan.timeline.seconds)
    items = prompts(pipeline, split, count, talk, seconds=length, height=plan.height, width=plan.width)
    chosen = {"seconds": length, "size": f"{plan.width}x{plan.height}", "preset": preset.model_dump(mode="json")}
    if other is not None:  # whether its guide is asked for this time or not: a folder's further points are of one run
        chosen["beside"] = {other.name: other.preset.model_dump(mode="json")}
    found = measure_points(makers, items, output, Run(*identity, split, chosen), batch=batch)
    report = {
        "model": identity[0],
        "split": split,
        "prompts": len(items),
        "preset": chosen["preset"],
        **({"beside": chosen["beside"], "note": other.why} if len(rows) > 1 and other is not None else {}),
        "scales": {guide: {f"{scale:g}": names[guide, scale] for g, scale in names if g == guide} for guide in scales},
        "points": found.to_json(),
        "differences_to_preset": {
            name: gaps for base, _, points in rows for name, gaps in _differences(found, base, points).items()
        },
    }
    with replacing(output / "sweep.json") as path:
        path.write_text(json.dumps(report, indent=1) + "\n")
    note = str(report.get("note", ""))
    write_png(output / "sweep.png", picture(found, names, f"{identity[0]}: one scale of guidance at a time", note))
    return report


def _differences(
    found: Measured, base: str, points: Mapping[tuple[str, float], str]
) -> dict[str, dict[str, dict[str, float]]]:
    """Those of a preset's own points to it."""
    return {name: gaps for name, gaps in found.differences(base).items() if name in points.values()}


def picture(found: Measured, names: Mapping[tuple[str, float], str], heading: str, note: str = "") -> Any:
    """A row for every measure, a column for every guide; `note` stands at the foot. uint8 [H, W, 3]"""
    rows: list[list[Panel | None]] = []
    for measure in MEASURES:
        row: list[Panel | None] = []
        for guide in dict.fromkeys(guide for guide, _ in names):
            line = [
                Point(scale, found.figures[name][measure.metric])
                for (own, scale), name in names.items()
                if own == guide and measure.metric in found.figures[name]
            ]
            truth = found.figures[TRUTH].get(measure.metric)
            reference = None if truth is None else truth.value
            row.append(Panel(f"{measure.title} by {guide}", {guide: line}, reference) if line else None)
        if any(row):
            rows.append(row)
    return draw_panels(
        heading, rows, f"Bands: 95 % bootstrap intervals over prompts. Dashed: true clips. {note}".strip()
    )


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano-nava")
    parser.add_argument("--point", action="append", default=[], metavar="GUIDE=1,2,3", help="instead of all; repeat")
    parser.add_argument("--count", type=int, default=64, help="prompts of scenes, and as many of talk")
    parser.add_argument("--split", choices=("val", "test"), default="val")
    parser.add_argument("--talk", default="talk-unseen", help="group of talking prompts")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--preset")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("results/guidance"))
    asked = parser.parse_args(words)
    if asked.threads:
        torch.set_num_threads(asked.threads)
    scales = parse_points(asked.point) or SCALES
    pipeline, model_hash = Models().load(asked.model)
    if not isinstance(pipeline, NavaPipeline):
        raise SystemExit(f"{asked.model} is no NAVA model, whose guides these are.")
    report = sweep(
        pipeline,
        scales,
        asked.output,
        (asked.model, model_hash),
        split=asked.split,
        count=asked.count,
        talk=asked.talk,
        batch=asked.batch,
        seconds=asked.seconds,
        num_inference_steps=asked.steps,
        preset=asked.preset,
    )
    if "note" in report:
        print(report["note"])
    for point, metrics in report["differences_to_preset"].items():
        gap = metrics.get("av_event_f1_75ms")
        if gap is not None:
            print(f"{point}: AV events {gap['mean']:+.3f} [{gap['low']:+.3f}, {gap['high']:+.3f}], n {gap['n']}")
    print(asked.output / "sweep.png")


if __name__ == "__main__":
    try:
        main()
    except VivaceError as error:
        raise SystemExit(str(error)) from None
