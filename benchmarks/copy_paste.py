"""How much of a reference is copied beside who is to be seen: the same held-out clips by one or more models.

    python -m benchmarks.copy_paste MODEL [MODEL ...] [--count 64] [--split val] [--seconds 2] [--size 128x128]
        [--controls 3] [--preset NAME] [--batch 4] [--output FILE.json, beside which FILE.md is the table]

Every model is an Alive folder that has learned to use references; a folder trained on references from other takes and
one trained on changed pictures of the clip itself stand side by side. Prompts, references, controls and seeds are the
same for all. Definitions: `vivace.evaluation.copy_paste`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vivace.cli.options import parse_size
from vivace.evaluation.copy_paste import ReferenceItem, copy_paste_metrics, reference_items, with_one_face
from vivace.evaluation.metric import Result, Sample
from vivace.media import Clip
from vivace.pipelines.alive import AlivePipeline


def scores(pipeline: AlivePipeline, items: Sequence[ReferenceItem], batch: int, preset: str | None) -> list[Result]:
    """What a model's clips of these items copy and keep."""
    metrics = copy_paste_metrics()
    for start in range(0, len(items), batch):
        group = items[start : start + batch]
        made = pipeline(
            [item.prompt for item in group],
            references=[[item.picture()] for item in group],
            seed=[item.seed for item in group],
            seconds=group[0].seconds,
            height=group[0].height,
            width=group[0].width,
            modalities="both",
            preset=preset,
        )
        for item, frames in zip(group, np.asarray(made.frames), strict=True):
            clip = Clip(frames, made.fps, None, made.audio_sample_rate)
            sample = Sample(item.id, clip, item.prompt, refs=item.refs())
            for metric in metrics:
                metric.update(sample)
    return [metric.compute() for metric in metrics]


def table(found: dict[str, list[Result]]) -> str:
    """The models side by side."""
    names = [result.name for result in next(iter(found.values()))]
    lines = ["| model | " + " | ".join(names) + " |", "|" + "---|" * (len(names) + 1)]
    for model, results in found.items():
        cells = [
            "none" if r.value is None else f"{r.value:.3f} [{_bound(r.ci_low)}, {_bound(r.ci_high)}] (n {r.n})"
            for r in results
        ]
        lines.append(f"| {model} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _bound(value: float | None) -> str:
    return "?" if value is None else f"{value:.3f}"


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--count", type=int, default=64, help="characters; those are left out whose face is not found")
    parser.add_argument("--split", choices=("val", "test"), default="val")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--size", default="128x128")
    parser.add_argument("--controls", type=int, default=3)
    parser.add_argument("--preset")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args(words)
    width, height = parse_size(options.size)
    items = reference_items(
        options.split, options.count, seconds=options.seconds, height=height, width=width, controls=options.controls
    )
    pipelines: dict[str, Any] = {model: AlivePipeline.from_pretrained(model) for model in options.models}
    if any(pipeline.abilities.reference_faces == "drawn" for pipeline in pipelines.values()):
        items = with_one_face(items)  # the same for all
    found: dict[str, list[Result]] = {}
    for model, pipeline in pipelines.items():
        pipeline.set_progress_bar_config(disable=True)
        found[model] = scores(pipeline, items, options.batch, options.preset)
    if options.output is not None:
        report = {model: {r.name: r.to_json() for r in results} for model, results in found.items()}
        options.output.write_text(json.dumps(report, indent=1) + "\n")
        options.output.with_suffix(".md").write_text(table(found) + "\n")
    print(table(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
