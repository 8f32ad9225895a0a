"""What a refiner adds to enlarging by a fixed kernel, on scenes of the world that were never trained on.

    python benchmarks/refiner.py [--model nano-alive-refiner] [--clips 64] [--split test] [--output refiner.json]

writes refiner.json, and beside it the table as refiner.md.

Every scene is rendered small and at the refiner's scale. The small clip goes through the base model's video codec, as
every generated clip has (--source render leaves that out), and is then enlarged by each method; the large render is the
truth. "codec" is that truth after the video codec: no refiner can come nearer. Sync is judged by blind detectors on the
pictures and the clip's own sound, which each method leaves as it is (compared sample by sample).
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
from vivace.evaluation.prompts import WorldItem, true_clip, world_items
from vivace.evaluation.statistics import bootstrap_interval
from vivace.evaluation.sync import sync_metrics
from vivace.evaluation.world import score_samples
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
    """Means with 95 % bootstrap intervals over the scenes, by method and figure; and sync by method."""
    table: dict[str, Any] = {}
    for method in METHODS:
        for name in sorted({name for row in rows for name in row[method]}):
            records = [(row[method][name], 1.0) for row in rows if name in row[method]]
            low, high = bootstrap_interval("ratio", records)
            mean = float(np.mean([value for value, _ in records]))
            table.setdefault(method, {})[name] = {"mean": mean, "low": low, "high": high, "n": len(records)}
    sync = {}
    for name, each in samples.items():
        results = score_samples(each, sync_metrics())
        sync[name] = {metric: results[metric].value for metric in SYNC if metric in results}
    seconds = float(np.median([row["seconds"] for row in rows]))
    return {"n": len(rows), "seconds_per_clip": seconds, "pictures": table, "sync": sync}


def markdown(found: dict[str, Any]) -> str:
    """The table for a reader: a row for each method, then the small clips and the truth, of which sync is told."""
    figures = list(found["pictures"][METHODS[0]])
    lines = ["| pictures | " + " | ".join([*figures, *SYNC]) + " |", "|" + "---|" * (1 + len(figures) + len(SYNC))]
    for name, sync in found["sync"].items():
        own = found["pictures"].get(name, {})
        each = [own.get(figure) for figure in figures]
        cells = [f"{x['mean']:.3f} [{x['low']:.3f}, {x['high']:.3f}]" if x else "" for x in each]
        cells += ["none" if sync.get(metric) is None else f"{sync[metric]:.3f}" for metric in SYNC]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    told = f"{found['n']} {found['split']} scenes, means with 95 % intervals; {found['seconds_per_clip']:.1f} s a clip."
    return "\n".join([*lines, "", f"{told} Written by `{found['command']}`.", ""])


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
