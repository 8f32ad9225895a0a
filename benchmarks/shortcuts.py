"""What the step cache and compiled blocks save on a trained model, and how far they lead from the exact clip.

    python -m benchmarks.shortcuts [--model nano-nava] [--cache 0.05 0.1 0.2 0.4] [--compile] [--clips 4]
        [--seconds 2] [--steps N] [--device cpu|cuda] [--threads 2] [--json]

Every clip is made exactly and with each shortcut in turn, from the same noise. The error is that of the latents before
decoding, |clip - exact| / |exact| (Euclidean), for picture and sound; the time is that of sampling. Beside each cache
stands what anyone can have without one: as many steps as it has evaluated, and their error. With random weights none of
this means anything, so it needs a model that was trained.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from vivace.pair import AV
from vivace.pipelines.nava import NavaPipeline, NavaPipelineOutput

PROMPTS = (
    "a red ball bounces three times on a wooden floor",
    "a mallet hits a drum four times",
    "a blue ball bounces twice on a metal plate",
    "a mallet plays a xylophone",
)


@contextmanager
def evaluations(pipeline: NavaPipeline) -> Iterator[list[int]]:
    """How many clips' tokens go through the last block, as a list of one number."""
    count = [0]

    def add(block: Any, args: tuple[Any, ...], out: AV[torch.Tensor]) -> None:
        count[0] += max(len(side) for _, side in out.items())

    hook = pipeline.transformer.blocks()[-1].register_forward_hook(add)
    try:
        yield count
    finally:
        hook.remove()


def errors(out: NavaPipelineOutput, exact: NavaPipelineOutput) -> dict[str, float]:
    """Of the latents of each modality, relative to the exact ones."""
    relative = out.latents.map(lambda x, y: float((x - y).double().norm() / y.double().norm()), exact.latents)
    return dict(relative.items())


def cached(pipeline: NavaPipeline, thresholds: Sequence[float], clips: int, **settings: Any) -> list[dict[str, Any]]:
    """For every threshold: medians over the clips of time saved, evaluations left, and errors."""
    steps = pipeline.plan(PROMPTS[0], seed=0, **settings).preset.steps
    found: dict[float, list[dict[str, Any]]] = {threshold: [] for threshold in thresholds}
    for number in range(clips):
        call = {"prompt": PROMPTS[number % len(PROMPTS)], "seed": number, "output_type": "latent", **settings}
        with evaluations(pipeline) as every:
            exact = pipeline(**call)
        for threshold in thresholds:
            with evaluations(pipeline) as some:
                out = pipeline(**call, cache=threshold)
            share = some[0] / every[0]
            fewer = pipeline(**{**call, "num_inference_steps": max(1, round(steps * share))})
            found[threshold].append(
                {
                    "speed_up": exact.seconds_spent["sampling"] / out.seconds_spent["sampling"],
                    "evaluated": share,
                    "error": errors(out, exact),
                    "error_of_fewer_steps": errors(fewer, exact),
                }
            )
    return [{"cache": threshold, "steps": steps, **_medians(rows)} for threshold, rows in found.items()]


def compiled(pipeline: NavaPipeline, clips: int, **settings: Any) -> dict[str, Any]:
    """The same for compiled blocks, after one clip that compiles them."""
    calls = [
        {"prompt": PROMPTS[k % len(PROMPTS)], "seed": k, "output_type": "latent", **settings} for k in range(clips)
    ]
    exact = [pipeline(**call) for call in calls]
    pipeline.compile_blocks()
    first = pipeline(**calls[0]).seconds_spent["sampling"]
    rows = []
    for call, plain in zip(calls, exact, strict=True):
        out = pipeline(**call)
        saved = plain.seconds_spent["sampling"] / out.seconds_spent["sampling"]
        rows.append({"speed_up": saved, "error": errors(out, plain)})
    return {"first_clip_s": first, **_medians(rows)}


def _medians(rows: Sequence[Any]) -> Any:
    """Of numbers, or of every entry of mappings."""
    if isinstance(rows[0], Mapping):
        return {key: _medians([row[key] for row in rows]) for key in rows[0]}
    return statistics.median(rows)


def _table(report: Mapping[str, Any]) -> str:
    """The report for a reader."""

    def shown(error: Mapping[str, float]) -> str:
        return ", ".join(f"{side} {value:.2%}" for side, value in error.items())

    lines = [f"{report['model']}, {report['device']}, {report['clips']} clips"]
    for one in report["cache"]:
        lines.append(
            f"cache {one['cache']:g}: {one['speed_up']:.2f} times as fast, {one['evaluated']:.0%} evaluated, error "
            f"{shown(one['error'])}; that many of {one['steps']} steps alone: {shown(one['error_of_fewer_steps'])}"
        )
    if "compiled" in report:
        one = report["compiled"]
        lines.append(
            f"compiled: {one['speed_up']:.2f} times as fast after a first clip of {one['first_clip_s']:.1f} s, "
            f"error {shown(one['error'])}"
        )
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano-nava")
    parser.add_argument("--cache", type=float, nargs="*", default=[0.05, 0.1, 0.2, 0.4])
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="one machine-readable line")
    options = parser.parse_args(words)
    torch.set_num_threads(options.threads)
    pipeline = NavaPipeline.from_pretrained(options.model).to(options.device)
    pipeline.set_progress_bar_config(disable=True)
    settings = {"seconds": options.seconds, "num_inference_steps": options.steps}
    report: dict[str, Any] = {"model": options.model, "device": options.device, "clips": options.clips}
    pipeline(PROMPTS[0], seed=0, output_type="latent", **settings)  # the first one also warms up
    report["cache"] = cached(pipeline, options.cache, options.clips, **settings)
    if options.compile:
        report["compiled"] = compiled(pipeline, options.clips, **settings)
    print(json.dumps(report) if options.json else _table(report))


if __name__ == "__main__":
    main()
