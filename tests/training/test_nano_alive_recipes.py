"""The chain of recipes that trains nano-alive, run in its order at toy size."""

import itertools
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tests.tiny import TINY_ALIVE, tiny_text_encoder

from vivace.data.fingerprint import weights_hash
from vivace.pipelines.alive import AlivePipeline
from vivace.training.alive import PARTS, AliveObjective, AliveRecipe
from vivace.training.recipe import RUNNERS, check_recipe, load_recipe, recipe_json

FOLDER = Path(__file__).parents[2] / "recipes" / "nano-alive"
RUNS = ("1-video", "2-audio", "3-joint", "4-tuning")
SMALL_ENCODER = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}


def moved(value: Any, runs: Path, latents: Path, codecs: dict[str, Path]) -> Any:
    """A recipe's values with its folders in `runs`, and with the small data and codecs."""
    if isinstance(value, dict):
        return {key: moved(each, runs, latents, codecs) for key, each in value.items()}
    if isinstance(value, list):
        return [moved(each, runs, latents, codecs) for each in value]
    if isinstance(value, str) and value.startswith("runs/nano-nava/latents"):
        return str(latents)
    if isinstance(value, str) and value.startswith("runs/nano-nava/") and value.endswith(tuple(codecs)):
        return str(codecs[value.rpartition("/")[2]])
    if isinstance(value, str) and value.startswith(("runs/", "src/")):
        return str(runs / value)
    return value


def small(name: str, runs: Path, latents: Path, codecs: dict[str, Path]) -> Any:
    """A recipe with small networks, batches and steps; order, tasks, rates, dropout and noise levels are its own."""
    data = moved(tomllib.loads((FOLDER / f"{name}.toml").read_text()), runs, latents, codecs)
    if data["unit"] == "alive":
        sizes = {"text_len": 256, "learned_positions": [32, 8, 8], "audio_positions": 128}
        data["transformer"] |= {**TINY_ALIVE, **sizes}
        data["text_encoder"] |= SMALL_ENCODER
        for stage in data["stages"]:
            stage["steps"] = 2
            for source in stage["sources"]:
                source["batch"] = 2
        steps = 2 * len(data["stages"])
        data["loop"] |= {"steps": steps, "warmup_steps": 0, "decay_steps": 0, "threads": 1, "precision": "fp32"}
        data["validation"] |= {"clips": 2, "batch": 2}
    return check_recipe(data, name)


def run(name: str, runs: Path, latents: Path, codecs: dict[str, Path]) -> Any:
    recipe, folder = small(name, runs, latents, codecs), runs / "runs" / "nano-alive" / name
    folder.mkdir(parents=True)
    figures = RUNNERS[type(recipe)](recipe, folder)
    (folder / "recipe.json").write_text(recipe_json(recipe))
    return figures


def test_the_recipes_run_in_their_order_and_end_in_a_model_that_makes_clips(
    latents: Path, codecs: dict[str, Path], tmp_path: Path
) -> None:
    tiny_text_encoder().save_pretrained(tmp_path / "src" / "vivace" / "nano" / "nano-nava" / "text_encoder")
    parts = [*PARTS, "text_encoder"]
    hashes: list[dict[str, str]] = []
    for name in RUNS:
        run(name, tmp_path, latents, codecs)
        # A run that starts from this one has its weights.
        data = small(name, tmp_path, latents, codecs).model_dump()
        data |= {"start_from": tmp_path / "runs" / "nano-alive" / name, "start_text_encoder_from": None}
        taken = AliveObjective(AliveRecipe.model_validate(data), tmp_path / "taken")
        modules = {part: getattr(taken.transformer, part) for part in PARTS} | {"text_encoder": taken.text_encoder}
        hashes.append({part: weights_hash(module) for part, module in modules.items()})
    changed = [{part for part in parts if after[part] != before[part]} for before, after in itertools.pairwise(hashes)]
    assert changed == [{"audio"}, set(PARTS), set(PARTS)]  # the video tower and the text encoder learn first
    run("5-export", tmp_path, latents, codecs)
    folder = tmp_path / "src" / "vivace" / "nano" / "nano-alive"
    assert sorted(path.name for path in (folder / "training").iterdir()) == ["audio", "joint", "together", "video"]
    pipeline = AlivePipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    for preset in pipeline.abilities.presets:
        made = pipeline("a red ball", seed=1, preset=preset, num_inference_steps=1, seconds=0.5, width=96, height=96)
        assert made.frames.shape[2:] == (96, 96, 3)


@pytest.mark.parametrize("name", RUNS)
def test_every_run_has_what_the_first_nano_model_taught(name: str) -> None:
    recipe = load_recipe(FOLDER / f"{name}.toml")
    assert isinstance(recipe, AliveRecipe)
    config = recipe.transformer
    assert config["learned_positions"]  # each token is told where it is
    assert config["audio_positions"]
    for stage in recipe.stages:
        # Where the sound leads by 5, a larger shift keeps its own levels as high as they can be.
        shift, lead = (9.0, 5.0) if name in ("3-joint", "4-tuning") else (6.0, 1.0)
        assert (stage.times.kind, stage.times.shift, stage.times.std) == ("logit-normal", shift, 1.8)
        assert stage.times.sound_lead == lead
        assert stage.times.spread
        if any(task.joint for task in stage.tasks):
            assert stage.dropout.exchange == 0.1
    first = load_recipe(FOLDER / f"{RUNS[0]}.toml")
    assert isinstance(first, AliveRecipe)
    assert first.start_text_encoder_from == Path("src/vivace/nano/nano-nava")
    assert list(config["text_dims"]) == [recipe.text_encoder["d_model"]]
