"""What a refiner adds to enlarging by a fixed kernel, on scenes of the world that were never trained on.

    python benchmarks/refiner.py [--model nano-alive-refiner] [--clips 64] [--split test] [--output refiner.json]

writes refiner.json, and beside it the table as refiner.md.

Every scene is rendered small and at the refiner's scale. The small clip goes through the base model's video codec, as
every generated clip has (--source render leaves that out), and is then enlarged by each method; the large render is the
truth. "codec" is that truth after the video codec: no refiner can come nearer. Sync is judged by blind detectors on the
pictures and the clip's own sound, which each method leaves as it is (compared sample by sample). Two rows of
differences, scene by scene, say whether refined pictures are nearer to the truth than bicubic ones, and whether they
keep the sync of the small clip.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vivace.conditioning.given import encode_pictures
from vivace.errors import VivaceError
from vivace.evaluation.enlargement import enlarged, picture_figures
from vivace.evaluation.metric import Sample
from vivace.evaluation.paired import paired_difference
from vivace.evaluation.prompts import WorldItem, true_clip, world_items
from vivace.evaluation.statistics import bootstrap_interval
from vivace.evaluation.sync import sync_metrics
from vivace.media import Clip
from vivace.pipelines.decoding import decode_levels
from vivace.pipelines.refiner import AliveRefinerPipeline
from vivace.world import render_video

METHODS = ("refined", "bicubic", "lanczos", "codec")
SYNC = ("av_event_f1_75ms", "av_offset_median_abs")


def through_codec(pipeline: AliveRefinerPipeline, frames: np.ndarray) -> np.ndarray:
    """Pictures as the base's video codec gives them back. uint8 [T, H, W, 3]"""
    vae, count = pipeline.base.vae, frames.shape
    multiple = int(vae.config.scale_factor_spatial)
    padded = np.pad(frames, ((0, 0), (0, -count[1] % multiple), (0, -count[2] % multiple), (0, 0)), mode="edge")
    with torch.inference_mode():
        latents = encode_pictures(vae, [padded], pipeline.device)
        parts = [part.cpu().numpy() for part in decode_levels(vae, latents)]
    return np.concatenate(parts)[:, : count[1], : count[2]]


def measured(pipeline: AliveRefinerPipeline, item: WorldItem, source: str) -> tuple[dict[str, Any], dict[str, Sample]]:
    """Figures of each method on one scene, and its clip for the judges of sync."""
    small = true_clip(item)
    assert item.scene is not None
    assert small.frames is not None
    width, height = pipeline.abilities.target((item.width, item.height), None, None, None)
    truth = render_video(item.scene, item.timeline, height, width)
    frames = through_codec(pipeline, small.frames) if source == "codec" else small.frames
    start = time.perf_counter()
    out = pipeline(Clip(frames, small.fps, small.audio, small.sample_rate), item.prompt, seed=item.seed)
    seconds = time.perf_counter() - start
    if small.audio is None or out.audio is None or not np.array_equal(out.audio, small.audio):
        raise VivaceError(f"The sound of {item.id} is not what it was; this is a fault of the refiner.")
    make: dict[str, Callable[[], np.ndarray]] = {
        "refined": lambda: out.frames,
        "bicubic": lambda: enlarged(frames, height, width, "bicubic"),
        "lanczos": lambda: enlarged(frames, height, width, "lanczos"),
        "codec": lambda: through_codec(pipeline, truth),
    }
    figures: dict[str, Any] = {"id": item.id, "seconds": seconds}
    samples = {}
    for method in METHODS:
        made = make[method]()
        figures[method] = picture_figures(truth, made, float(small.fps))
        samples[method] = Sample(item.id, Clip(made, small.fps, small.audio, small.sample_rate), item.prompt)
    samples["small"] = Sample(item.id, Clip(frames, small.fps, small.audio, small.sample_rate), item.prompt)
    samples["truth"] = Sample(item.id, Clip(truth, small.fps, small.audio, small.sample_rate), item.prompt)
    for sample in samples.values():
        _ = sample.percept  # found now, so that no clip need be kept
    return figures, {name: Sample(item.id, None, item.prompt, seen=sample.percept) for name, sample in samples.items()}


def summary(rows: list[dict[str, Any]], samples: dict[str, list[Sample]]) -> dict[str, Any]:
    """Means with 95 % bootstrap intervals over the scenes, by method and figure; sync by method; and what the refiner
    changes, scene by scene: of figures against bicubic enlarging, of sync against the small clip."""
    table: dict[str, Any] = {}
    names = sorted({name for row in rows for method in METHODS for name in row[method]})
    values = {
        method: {name: {row["id"]: row[method][name] for row in rows if name in row[method]} for name in names}
        for method in METHODS
    }
    for method in METHODS:
        for name, found in values[method].items():
            low, high = bootstrap_interval("ratio", [(value, 1.0) for value in found.values()])
            mean = float(np.mean(list(found.values())))
            table.setdefault(method, {})[name] = {"value": mean, "low": low, "high": high, "n": len(found)}
    sync: dict[str, Any] = {}
    of_scenes: dict[str, dict[str, dict[str, float]]] = {}
    for method, each in samples.items():
        for metric in sync_metrics():
            if metric.name in SYNC:
                lines = {sample.id: metric.update(sample) for sample in each}
                result = metric.compute()
                sync.setdefault(method, {})[metric.name] = {
                    "value": result.value,
                    "low": result.ci_low,
                    "high": result.ci_high,
                    "n": result.n,
                }
                of_scenes.setdefault(method, {})[metric.name] = {
                    name: line["value"] for name, line in lines.items() if line.get("value") is not None
                }
    changes = {
        "refined - bicubic": {name: _change(values["refined"][name], values["bicubic"][name]) for name in names},
        "refined - small": {name: _change(of_scenes["refined"][name], of_scenes["small"][name]) for name in SYNC},
    }
    seconds = float(np.median([row["seconds"] for row in rows]))
    return {"n": len(rows), "seconds_per_clip": seconds, "pictures": table, "sync": sync, "changes": changes}


def _change(first: dict[str, float], second: dict[str, float]) -> dict[str, Any] | None:
    """The mean difference over the scenes that have both, with its 95 % interval."""
    if len(first.keys() & second.keys()) < 2:
        return None
    found = paired_difference(first, second)
    return {"value": found.mean, "low": found.low, "high": found.high, "n": found.n}


def markdown(found: dict[str, Any]) -> str:
    """The table for a reader: a row for each method, then the small clips and the truth, of which sync is told, and
    what the refiner changes."""
    figures = [*found["pictures"][METHODS[0]], *SYNC]
    lines = ["| pictures | " + " | ".join(figures) + " |", "|" + "---|" * (1 + len(figures))]
    rows = {name: {**found["pictures"].get(name, {}), **sync} for name, sync in found["sync"].items()}
    for name, own in (rows | found["changes"]).items():
        signed = "+" if name in found["changes"] else ""
        cells = [_cell(own.get(figure), signed) for figure in figures]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    told = f"{found['n']} {found['split']} scenes, 95 % intervals over scenes; differences are means scene by scene;"
    return "\n".join(
        [*lines, "", f"{told} {found['seconds_per_clip']:.1f} s a clip. Written by `{found['command']}`.", ""]
    )


def _cell(figure: dict[str, Any] | None, signed: str) -> str:
    if figure is None or figure["value"] is None:
        return ""
    told = f"{figure['value']:{signed}.3f}"
    return told if figure["low"] is None else f"{told} [{figure['low']:.3f}, {figure['high']:.3f}]"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano-alive-refiner")
    parser.add_argument("--base", default=None)
    parser.add_argument("--clips", type=int, default=64)
    parser.add_argument("--split", choices=("val", "test"), default="test")
    parser.add_argument("--source", choices=("codec", "render"), default="codec")
    parser.add_argument("--size", type=int, default=128, help="sides of the small clips (pixels)")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--output", type=Path, default=None)
    words = sys.argv[1:] if arguments is None else arguments
    asked = parser.parse_args(words)
    pipeline = AliveRefinerPipeline.from_pretrained(asked.model, base=asked.base)
    settings: dict[str, Any] = {"seconds": asked.seconds, "height": asked.size, "width": asked.size}
    rows, samples = [], {}
    for item in world_items(asked.split, asked.clips, hand=False, camera=False, **settings):
        figures, judged = measured(pipeline, item, asked.source)
        rows.append(figures)
        for name, sample in judged.items():
            samples.setdefault(name, []).append(sample)
    command = shlex.join(["python", "benchmarks/refiner.py", *words])
    found = {"command": command, "model": asked.model, "split": asked.split, "source": asked.source}
    found |= summary(rows, samples)
    text = json.dumps(found | {"rows": rows}, indent=1)
    if asked.output is not None:
        asked.output.parent.mkdir(parents=True, exist_ok=True)
        asked.output.write_text(text + "\n")
        asked.output.with_suffix(".md").write_text(markdown(found))
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
