"""Three ways to join picture and sound, at equal parameters, data and steps: one table.

    python -m benchmarks.paradigms run --latents FOLDER --validation FOLDER [--runs FOLDER] [--minutes 85] ...
    python -m benchmarks.paradigms table [--runs FOLDER] [--output FILE.json]

`run` trains every paradigm with every seed, one after another, each in a folder of its own. It stops by itself after
`--minutes`, with a checkpoint; the same command goes on from there, and ends when all is trained. `table` takes what is
complete and says how much that is. With `--text-encoder` all read the same trained text encoder, which stays as it is;
without, each trains a small one of its own, which takes thousands of steps before it is worth reading.

Quality is the held-out velocity error, of the whole and of what moves (each token without its mean over the clip),
both sides noisy, one of them given, and each alone; what the other side is worth is the difference, clip by clip, in
what moves. Then every network makes clips of held-out prompts (16 Euler steps, text guidance 2), and blind detectors
tell how well what is heard goes with what is seen: F1 of events at 75 ms, beside that of the same pictures with another
clip's sound. Intervals are 95 % bootstrap intervals over seeds and clips; with the same seeds and clips for all,
paradigms may be compared by them. FLOPs are those of a whole training step (forward and backward), counted by PyTorch;
seconds are the median over the run, on whatever else the machine was doing.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.paradigms.clips import judged
from benchmarks.paradigms.networks import PARADIGMS, matched, parameters
from benchmarks.paradigms.objective import FIGURES, ParadigmObjective
from benchmarks.units import encoder_of, keep_settings, run_all, take_averaged, write_table, write_text
from torch.utils.flop_counter import FlopCounterMode

from vivace.data.shards import ShardReader
from vivace.training.checkpoint import latest_checkpoint
from vivace.training.joint import JointRecipe
from vivace.training.loop import train

DRAWS = 2000
# How much smaller the error is with the other side given than without it.
WORTH = {
    "sound tells of pictures": ("moving video, pictures alone", "moving video, sound given"),
    "pictures tell of sound": ("moving audio, sound alone", "moving audio, pictures given"),
}
SYNC = {"AV event F1 75 ms": "clips", "its floor": "floor"}
TASKS = [
    {"name": "t2av", "probability": 0.45},
    {"name": "a2v", "probability": 0.2, "audio": "given"},
    {"name": "v2a", "probability": 0.15, "video": "given"},
    {"name": "t2v", "probability": 0.1, "audio": "absent"},
    {"name": "t2a", "probability": 0.1, "video": "absent"},
]


def recipe_of(paradigm: str, seed: int, options: argparse.Namespace) -> JointRecipe:
    """What one unit trains: everything but the network and the seed is the same for all."""
    sample = ShardReader(options.latents, "latents").get(0)
    channels = sample["video"].shape[0], sample["audio"].shape[1]
    encoder = encoder_of(options.text_encoder, options.text_width)
    return JointRecipe.model_validate(
        {
            "unit": "joint",
            "seed": seed,
            "transformer": {
                "paradigm": paradigm,
                "config": matched(paradigm, options.budget, *channels, encoder["d_model"]),
                "gaussian_skip": True,
            },
            "balance": options.balance,
            "text_encoder": encoder,
            "start_text_encoder_from": options.text_encoder,
            "train_text_encoder": options.text_encoder is None,
            "stages": [
                {
                    "name": "all",
                    "steps": options.steps,
                    "sources": [{"folder": str(options.latents), "batch": options.batch}],
                    "tasks": TASKS,
                    "times": {"kind": "logit-normal", "std": 1.8, "shift": 6.0, "spread": True},
                    "dropout": {"exchange": 0.1},
                    "audio_weight": 1.0,
                }
            ],
            "validation": {"latents": str(options.validation), "clips": options.clips, "batch": options.batch},
            "loop": {
                "steps": options.steps,
                "warmup_steps": min(100, options.steps // 10),
                "decay_steps": options.steps // 3,
                "ema_decay": 0.998,
                "validate_every": max(1, options.steps // 4),
                "threads": options.threads,
                "precision": options.precision,
                "checkpoint_every_seconds": 300,
            },
        }
    )


def run_unit(paradigm: str, seed: int, options: argparse.Namespace, check: Callable[[], None] = lambda: None) -> Path:
    """Train one paradigm with one seed, or go on, and write `result.json`; nothing is done where it is there.

    `check` is asked between the parts, and may raise KeyboardInterrupt.

    Raises:
        ValueError: the folder holds a unit with other settings.
        KeyboardInterrupt: stopped; the next call goes on.
    """
    folder = Path(options.runs) / f"{paradigm}-{seed}"
    result, kept = folder / "result.json", folder / "recipe.json"
    recipe = recipe_of(paradigm, seed, options)
    text = recipe.model_dump_json(indent=1) + "\n"
    keep_settings(kept, text, "--runs")
    if result.is_file():
        return result
    objective = ParadigmObjective(recipe, folder)
    check()
    train(objective, recipe.loop, folder)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    found = {
        "paradigm": paradigm,
        "seed": seed,
        "steps": options.steps,
        "parameters": parameters(paradigm, recipe.transformer["config"]),
        "flops_per_step": step_flops(recipe, folder),
        "seconds_per_step": statistics.median(line["seconds"] for line in lines if "seconds" in line),
        **averaged_figures(recipe, folder, options, check),
    }
    write_text(result, json.dumps(found) + "\n")
    return result


def averaged_figures(
    recipe: JointRecipe, folder: Path, options: argparse.Namespace, check: Callable[[], None]
) -> dict[str, Any]:
    """Held-out errors, and what was counted in clips of held-out prompts, with the averaged weights."""
    objective = ParadigmObjective(recipe, folder)
    checkpoint = latest_checkpoint(folder / "checkpoints")
    assert checkpoint is not None
    take_averaged(objective, checkpoint)
    return {
        "errors": objective.held_out_errors(),
        "sync": judged(objective, options.model, options.prompts, check),
    }


def step_flops(recipe: JointRecipe, folder: Path) -> int:
    """FLOPs of a training step in which both sides are made, forward and backward."""
    stage = recipe.stages[0].model_copy(update={"tasks": recipe.stages[0].tasks[:1]})
    stage = stage.model_copy(update={"dropout": stage.dropout.model_copy(update={"exchange": 0.0})})
    objective = ParadigmObjective(recipe.model_copy(update={"stages": (stage,)}), folder)
    # In bfloat16 attention is made of plain products, all of which are counted.
    with FlopCounterMode(display=False) as counter, torch.autocast("cpu", torch.bfloat16):
        objective.loss(0)["loss"].backward()
    return int(counter.get_total_flops())


def interval(
    found: Sequence[Sequence[Any]], statistic: Callable[[np.ndarray], float] = np.mean, draws: int = DRAWS
) -> tuple[float, float, float]:
    """The mean, or another figure, and its 95 % interval over seeds and clips resampled together; found is
    [seeds][clips], or [seeds][clips][counts]."""
    values = np.asarray(found)
    rng = np.random.default_rng(20260101)
    drawn = [
        statistic(
            values[rng.integers(0, len(values), len(values))][:, rng.integers(0, values.shape[1], values.shape[1])]
        )
        for _ in range(draws)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(statistic(values)), float(low), float(high)


def f1(counts: np.ndarray) -> float:
    """Of counts [..., (twice the pairs, events)]; 0 where nothing happens."""
    pairs, events = counts.reshape(-1, 2).sum(axis=0)
    return float(pairs / max(events, 1))


def table_of(runs: Path) -> list[dict[str, Any]]:
    """A row for each paradigm of which a seed is complete."""
    results = [json.loads(path.read_text()) for path in sorted(runs.glob("*/result.json"))]
    rows = []
    for paradigm in PARADIGMS:
        own = [result for result in results if result["paradigm"] == paradigm]
        if not own:
            continue
        errors = {name: [result["errors"][name] for result in own] for name in FIGURES}
        worth = {name: np.subtract(errors[without], errors[given]) for name, (without, given) in WORTH.items()}
        rows.append(
            {
                "paradigm": paradigm,
                "seeds": [result["seed"] for result in own],
                "clips": len(errors[FIGURES[0]][0]),
                "steps": own[0]["steps"],
                "parameters": own[0]["parameters"],
                "flops_per_step": own[0]["flops_per_step"],
                "seconds_per_step": statistics.median(result["seconds_per_step"] for result in own),
                "errors": {name: interval(values) for name, values in errors.items()},
                "worth": {name: interval(values.tolist()) for name, values in worth.items()},
                "prompts": len(own[0]["sync"]["clips"]),
                "sync": {name: interval([result["sync"][key] for result in own], f1) for name, key in SYNC.items()},
            }
        )
    return rows


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The table for a reader."""
    heads = ["paradigm", "seeds", "clips", "prompts", "steps", "M parameters", "GFLOP a step", "s a step"]
    heads += [*SYNC, *WORTH, *FIGURES]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in rows:
        found = (*row["sync"].values(), *row["worth"].values(), *row["errors"].values())
        figures = [f"{mean:.4f} [{low:.4f}, {high:.4f}]" for mean, low, high in found]
        cells = [
            row["paradigm"],
            str(len(row["seeds"])),
            str(row["clips"]),
            str(row["prompts"]),
            str(row["steps"]),
            f"{row['parameters'] / 1e6:.2f}",
            f"{row['flops_per_step'] / 1e9:.1f}",
            f"{row['seconds_per_step']:.2f}",
            *figures,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    """0 when all asked for is done, 3 when time was up before, 2 for what cannot be done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run")
    run.add_argument("--latents", type=Path, required=True)
    run.add_argument("--validation", type=Path, required=True)
    run.add_argument("--steps", type=int, default=3000)
    run.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="others may be trained beside, elsewhere")
    run.add_argument("--budget", type=int, default=3_000_000, help="parameters of each network")
    run.add_argument("--text-encoder", type=Path, help="run or model folder whose text encoder all read, unchanged")
    run.add_argument("--text-width", type=int, default=96, help="of a text encoder that learns too, a multiple of 4")
    run.add_argument("--balance", type=float, default=0.3, help="of the loss, as in a recipe")
    run.add_argument("--model", type=Path, default=Path("src/vivace/nano/nano-nava"), help="whose codecs are used")
    run.add_argument("--prompts", type=int, default=48, help="held-out, of which clips are made and judged")
    run.add_argument("--batch", type=int, default=32)
    run.add_argument("--clips", type=int, default=64, help="held-out")
    run.add_argument("--threads", type=int, default=2)
    run.add_argument("--precision", choices=("fp32", "bf16"), default="bf16")
    run.add_argument("--minutes", type=float, default=85.0)
    table = commands.add_parser("table")
    table.add_argument("--output", type=Path, help="FILE.json; FILE.md is written beside it")
    for command in (run, table):
        command.add_argument("--runs", type=Path, default=Path("runs/paradigms"))
    options = parser.parse_args(words)
    if options.command == "table":
        rows = table_of(options.runs)
        write_table(options.output, markdown(rows), rows)
        return 0

    def units(check: Callable[[], None]) -> Iterator[Path]:
        for paradigm in PARADIGMS:  # a budget that one of them cannot meet is told before the first is trained
            recipe_of(paradigm, 0, options)
        for seed in options.seeds:
            for paradigm in PARADIGMS:
                yield run_unit(paradigm, seed, options, check)

    return run_all("paradigms", options.minutes, units)


if __name__ == "__main__":
    raise SystemExit(main())
