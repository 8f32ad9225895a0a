"""How long a clip takes and how much memory: sampling, decoding, and the whole command from a cold start.

    python benchmarks/generate.py [--model nano-nava] [--runs 5] [--seconds 2] [--threads 2]

Everything is measured in one run on one machine, so the ratios hold elsewhere even where the seconds do not. The cold
start is the command `vivace generate` in a process of its own, files included; its peak memory is that of the process.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PROMPT = "a red ball bounces three times on a wooden floor"
KILOBYTES = 1024 if sys.platform != "darwin" else 1  # ru_maxrss counts kilobytes on Linux, bytes on macOS


def cold_start(model: str, seconds: float, threads: int) -> dict[str, float]:
    """Wall time and peak memory of `vivace generate` in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", "import sys; from vivace.cli.main import main; sys.exit(main())"]
        command += ["generate", PROMPT, "--model", model, "--seconds", str(seconds), "--seed", "0", "--json"]
        command += ["--output", str(Path(folder) / "clip.mp4")]
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": str(threads)})
        wall = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return {"command_s": wall, "command_peak_mb": max(peak, before) * KILOBYTES / 2**20}


def warm(model: str, seconds: float, runs: int, threads: int) -> dict[str, Any]:
    """Times of the parts in a process that has loaded the model: medians over `runs` after one to warm up."""
    import torch

    from vivace.cli.making import Models

    torch.set_num_threads(threads)
    start = time.perf_counter()
    pipeline, model_hash = Models().load(model)
    load = time.perf_counter() - start
    spent: dict[str, list[float]] = {}
    for run in range(runs + 1):
        out = pipeline(PROMPT, seconds=seconds, seed=run)
        if run:
            for part, value in out.seconds_spent.items():
                spent.setdefault(part, []).append(value)
    plan = pipeline.plan(PROMPT, seconds=seconds)
    evaluations = sum(len(turn.rule.needed()) for turn in plan.turns)  # at each step of the turns together
    medians = {f"{part}_s": statistics.median(values) for part, values in spent.items()}
    clip = float(out.timeline.seconds)
    making = medians["sampling_s"] + medians["decoding_s"]
    return {
        "model_hash": model_hash[:16],
        "steps": plan.preset.steps,
        "branches": len(plan.rule.needed()),
        "size": f"{plan.width}x{plan.height}",
        "clip_s": clip,
        "load_s": load,
        **medians,
        "sampling_and_decoding_s": making,
        "clip_seconds_per_second": clip / making,
        "decoding_share": medians["decoding_s"] / making,
        "seconds_per_step_and_branch": medians["sampling_s"] / (plan.preset.steps * evaluations),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano-nava")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    figures: dict[str, Any] = {"machine": platform.machine(), "threads": arguments.threads}
    figures |= cold_start(arguments.model, arguments.seconds, arguments.threads)
    figures |= warm(arguments.model, arguments.seconds, arguments.runs, arguments.threads)
    figures["command_over_making"] = figures["command_s"] / figures["sampling_and_decoding_s"]
    print(json.dumps({key: round(v, 4) if isinstance(v, float) else v for key, v in figures.items()}, indent=1))


if __name__ == "__main__":
    main()
