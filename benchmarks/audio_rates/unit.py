"""One joint training: a rate of the audio tower, a seed, and what its clips are like on the way."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.audio_rates.judging import judged
from benchmarks.units import keep_settings, take_averaged, write_text

from vivace.evaluation.prompts import check_request
from vivace.training.alive import AliveObjective, AliveRecipe
from vivace.training.loop import train
from vivace.training.recipe import load_recipe

START = "start.json"


@dataclass(frozen=True)
class RatesSettings:
    """What all trainings have in common.

    Args:
        recipe: of the unit alive; its first stage is trained. start: run, or model folder, with both towers.
        model: folder with the codecs and the vocoder.
        steps: of each training. points: at which clips are judged.
        prompts, talk: how many are held out of balls and instruments, and of talk.
        sampling: steps of the sampler. size, seconds: of a clip.
        threads: of the training.
    """

    recipe: Path
    start: Path
    model: Path
    steps: int
    points: int
    prompts: int
    talk: int
    sampling: int
    size: int
    seconds: float
    threads: int


def recipe_of(rate: float, seed: int, settings: RatesSettings) -> AliveRecipe:
    """Everything but the audio tower's rate and the seed is the same for all.

    Raises:
        ValueError: a recipe of another unit, or steps that the points do not divide.
        VivaceError: a recipe that cannot be read.
    """
    if settings.points < 1 or settings.steps % settings.points:
        raise ValueError(f"{settings.steps} steps do not part into {settings.points} equal ones; give a multiple")
    recipe = load_recipe(settings.recipe)
    if not isinstance(recipe, AliveRecipe):
        raise ValueError(f"{settings.recipe} is a recipe of another unit than alive")
    data = recipe.model_dump(mode="json")
    stage = data["stages"][0] | {"steps": settings.steps}
    loop = data["loop"] | {
        "steps": settings.steps,
        "warmup_steps": min(data["loop"]["warmup_steps"], settings.steps // 10),
        "decay_steps": 0,
        "validate_every": settings.steps,
        "milestone_every": settings.steps // settings.points,
        "threads": settings.threads,
    }
    rates = {"video": 1.0, "audio": rate, "exchange": 1.0}
    changes = {
        "seed": seed,
        "start_from": str(settings.start),
        "start_text_encoder_from": None,
        "optimizer": data["optimizer"] | {"rates": rates},
        "stages": [stage],
        "loop": loop,
    }
    return AliveRecipe.model_validate(data | changes)


def judge_start(runs: Path, settings: RatesSettings, check: Callable[[], None] = lambda: None) -> Path:
    """The clips of the two towers before anything joined them; nothing is done where they were judged.

    Raises:
        ValueError: the folder was begun with other settings.
        VivaceError: one prompt alone, of either sort.
    """
    for count in (settings.prompts, settings.talk or settings.prompts):
        check_request("val", count)
    result = runs / START
    keep_settings(runs / "settings.json", json.dumps(asdict(settings), default=str, indent=1) + "\n", "--runs")
    if not result.is_file():
        objective = AliveObjective(recipe_of(1.0, 0, settings), runs)
        check()
        write_text(result, json.dumps(judged(objective, settings, check)) + "\n")
    return result


def run_unit(
    runs: Path, rate: float, seed: int, settings: RatesSettings, check: Callable[[], None] = lambda: None
) -> Path:
    """Train and judge, or go on; nothing is done where all points are judged. Returns the folder.

    `check` is asked between the parts, and may raise KeyboardInterrupt.

    Raises:
        ValueError: the folder holds a unit with other settings.
        KeyboardInterrupt: stopped; the next call goes on.
    """
    folder = runs / f"{rate:g}-{seed}"
    recipe = recipe_of(rate, seed, settings)
    keep_settings(folder / "recipe.json", recipe.model_dump_json(indent=1) + "\n", "--runs")
    every = settings.steps // settings.points
    due = {step: _point(folder, step) for step in range(every, settings.steps + 1, every)}
    due = {step: path for step, path in due.items() if not path.is_file()}
    if not due:
        return folder
    objective = AliveObjective(recipe, folder)
    check()
    train(objective, recipe.loop, folder)
    for step, path in due.items():
        check()
        checkpoint = folder / "checkpoints" / f"step-{step:08d}"
        take_averaged(objective, checkpoint)
        found = {"rate": rate, "seed": seed, "step": step, **judged(objective, settings, check)}
        write_text(path, json.dumps(found) + "\n")
    return folder


def _point(folder: Path, step: int) -> Path:
    return folder / "points" / f"{step:08d}.json"
