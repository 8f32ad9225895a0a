"""One training: an arm, a seed, and what came of it on clips and prompts that neither arm has seen."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.curation_training.sets import HELD_OUT
from benchmarks.units import encoder_of, keep_settings, pipeline_of, take_averaged, write_text

from vivace.curation.caption import parse
from vivace.data.latents import ordered_batches
from vivace.data.shards import ShardReader
from vivace.evaluation.attributes import attribute_metrics
from vivace.evaluation.metric import ItemMetric, Sample
from vivace.evaluation.sync import event_f1
from vivace.media import Clip
from vivace.pair import AV
from vivace.pipelines.nava import NavaPipeline
from vivace.sampling.flow import Times
from vivace.sampling.presets import Preset, Scale
from vivace.training.checkpoint import latest_checkpoint
from vivace.training.flow_step import caption_of, draw_noise, encode_captions, flow_errors
from vivace.training.joint import JointObjective, JointRecipe
from vivace.training.loop import train
from vivace.training.tasks import Stream, stream
from vivace.training.validate import LEVELS, SEED
from vivace.world import caption_with_attributes, sample_scene
from vivace.world.footage import structured_caption

# Each row of the table: (numerator, denominator) of every held-out clip or prompt, and whether less is better.
FIGURES: dict[str, bool] = {
    "video error": True,
    "audio error": True,
    "AV event F1 75 ms": False,
    "agreement, seen": False,
    "agreement, heard": False,
}
JUDGED = ("impacts", "drum", "impacts", "bell", "impacts", "woodblock", "impacts", "xylophone")
Records = dict[str, list[list[float]]]


@dataclass(frozen=True)
class UnitSettings:
    """What every training has in common.

    Args:
        width, steps, batch: of the network and its training. text_encoder: run or model folder whose text encoder is
            read unchanged; None trains a small new one. text_len: bytes. prompts: held out, to make clips of.
        sampling: steps of the sampler. model: folder with the codecs and the vocoder. size, seconds: of a clip.
    """

    width: int
    steps: int
    batch: int
    text_encoder: Path | None
    text_len: int
    prompts: int
    sampling: int
    model: Path
    size: int
    seconds: float
    threads: int
    precision: str


def recipe_of(sets: Path, arm: str, seed: int, settings: UnitSettings) -> JointRecipe:
    """Everything but the clips and the seed is the same for all; the seed fixes initial weights, noise and order."""
    sample = ShardReader(sets / arm / "train", "latents").get(0)
    width, steps = settings.width, settings.steps
    encoder = encoder_of(settings.text_encoder, width)
    return JointRecipe.model_validate(
        {
            "unit": "joint",
            "seed": seed,
            "transformer": {
                "video_channels": sample["video"].shape[0],
                "audio_channels": sample["audio"].shape[1],
                "dim": width,
                "ffn_dim": 4 * width,
                "freq_dim": 64,
                "num_heads": 4,
                "num_double_layers": 1,
                "num_single_layers": 3,
                "text_dim": encoder["d_model"],
                "text_len": settings.text_len,
                "places": True,
                "hide_pads": True,
                "gaussian_skip": True,
                "still_skip": True,
                "rope_theta": 200.0,
                "speaker_dim": 0,
            },
            "text_encoder": encoder,
            "start_text_encoder_from": settings.text_encoder,
            "train_text_encoder": settings.text_encoder is None,
            "stages": [
                {
                    "name": "all",
                    "steps": steps,
                    "sources": [{"folder": str(sets / arm / "train"), "batch": settings.batch}],
                    "times": {"kind": "logit-normal", "std": 1.8, "shift": 6.0, "spread": True},
                    "audio_weight": 1.0,
                }
            ],
            "validation": {"latents": str(sets / HELD_OUT / "train"), "clips": 16, "batch": settings.batch},
            "loop": {
                "steps": steps,
                "warmup_steps": min(50, steps // 10),
                "decay_steps": steps // 2,
                "ema_decay": 0.99,
                "validate_every": steps,
                "threads": settings.threads,
                "precision": settings.precision,
                "checkpoint_every_seconds": 120,
            },
        }
    )


def run_unit(
    runs: Path, sets: Path, arm: str, seed: int, settings: UnitSettings, check: Callable[[], None] = lambda: None
) -> Path:
    """Train and judge, or go on, and write `result.json`; nothing is done where it is there.

    `check` is asked between the parts, and may raise KeyboardInterrupt.

    Raises:
        ValueError: the folder holds a unit with other settings.
        KeyboardInterrupt: stopped; the next call goes on.
    """
    folder = runs / f"{arm}-{seed}"
    result, kept = folder / "result.json", folder / "unit.json"
    recipe = recipe_of(sets, arm, seed, settings)
    told = {"recipe": recipe.model_dump(mode="json"), "prompts": settings.prompts, "sampling": settings.sampling}
    text = json.dumps(told, indent=1) + "\n"
    keep_settings(kept, text, "--folder")
    if result.is_file():
        return result
    objective = JointObjective(recipe, folder)
    check()
    train(objective, recipe.loop, folder)
    check()
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    checkpoint = latest_checkpoint(folder / "checkpoints")
    assert checkpoint is not None
    take_averaged(objective, checkpoint)
    found = {
        "arm": arm,
        "seed": seed,
        "steps": settings.steps,
        "seen": settings.steps * settings.batch,
        "parameters": sum(p.numel() for module in objective.modules().values() for p in module.parameters()),
        "seconds_per_step": statistics.median(line["seconds"] for line in lines if "seconds" in line),
        "records": {**held_out_records(objective, settings.batch), **prompt_records(objective, settings, check)},
    }
    write_text(result, json.dumps(found) + "\n")
    return result


@torch.no_grad()
def held_out_records(objective: JointObjective, batch: int) -> Records:
    """Of every held-out clip its mean squared velocity error over fixed levels and noise, both sides noisy."""
    found: Records = {"video error": [], "audio error": []}
    reader = objective.held_out
    for number, group in enumerate(ordered_batches(reader, len(reader), batch)):
        captions = [caption_of(row, stream(SEED, Stream.CAPTION, number, k)) for k, row in enumerate(group.rows)]
        parts = objective.transformer, objective.text_encoder, objective.tokenizer
        context = encode_captions(*parts, captions, [False] * len(captions))
        sums = {side: torch.zeros(len(captions)) for side in ("video", "audio")}
        for place, level in enumerate(LEVELS):
            sigmas = torch.full((len(captions),), level)
            times = AV.of(Times(sigmas, sigmas * 1000, torch.ones_like(sigmas)))
            noise = draw_noise(group.latents, SEED, number, place)
            errors = flow_errors(objective.transformer, group.latents, noise, times, AV(0, 0), context, exchange=True)
            for side, error in errors.items():
                sums[side] += error / len(LEVELS)
        for name, total in sums.items():
            found[f"{name} error"] += [[value, 1.0] for value in total.tolist()]
    return found


def prompts(count: int, seconds: float) -> list[tuple[str, dict[str, Any]]]:
    """Held-out scenes of balls and instruments, told as the captions of the training are, with what these state."""
    found = []
    for number in range(count):
        scene = sample_scene(number, "val", kind=JUDGED[number % len(JUDGED)], seconds=seconds)
        text, _ = structured_caption(scene)
        # The same stream as that of `structured_caption`, hence the same words.
        _, stated = caption_with_attributes(scene, np.random.default_rng([scene.seed, 2]))
        found.append((parse(text).to_nava(), dict(stated)))
    return found


def prompt_records(objective: JointObjective, settings: UnitSettings, check: Callable[[], None]) -> Records:
    """Clips made of held-out prompts with the same noise for all networks, as detectors without sight of the prompt
    find them."""
    preset = Preset(steps=settings.sampling, solver="euler", shift=3.0, text=Scale(video=2.0, audio=2.0))
    pipeline = pipeline_of(NavaPipeline, objective, settings.model, preset, settings.size, settings.seconds)
    metrics = attribute_metrics()
    kinds = {
        "agreement, seen": [metric for metric in metrics if "video" in metric.requires],
        "agreement, heard": [metric for metric in metrics if "audio" in metric.requires],
    }
    f1 = event_f1(0.075)
    found: Records = {name: [] for name in FIGURES if not name.endswith("error")}
    asked = prompts(settings.prompts, settings.seconds)
    for start in range(0, len(asked), 4):
        check()
        group = asked[start : start + 4]
        seeds = list(range(start, start + len(group)))
        made = pipeline([text for text, _ in group], seconds=settings.seconds, seed=seeds)
        frames, audio = np.asarray(made.frames), np.asarray(made.audio)
        for place, (text, stated) in enumerate(group):
            clip = Clip(frames[place], made.fps, audio[place], made.audio_sample_rate)
            sample = Sample(f"{start + place:05d}", clip, text, stated)
            found["AV event F1 75 ms"].append(_summed([f1], sample))
            for name, members in kinds.items():
                found[name].append(_summed(members, sample))
    return found


def _summed(metrics: list[ItemMetric], sample: Sample) -> list[float]:
    """Numerators and denominators of a clip together; (0, 0) where nothing is to be counted."""
    told = [metric.update(sample).get("record") for metric in metrics]
    return np.sum([[0.0, 0.0], *(record for record in told if record is not None)], axis=0).tolist()
