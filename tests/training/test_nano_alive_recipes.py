"""The chain of recipes that trains nano-alive, its references and its refiner, run in its order at toy size."""

import itertools
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tests.tiny import TINY_ALIVE, tiny_text_encoder

from vivace.data.fingerprint import weights_hash
from vivace.data.shards import ShardReader
from vivace.errors import VivaceError
from vivace.media import Clip
from vivace.pipelines.alive import AlivePipeline
from vivace.pipelines.refiner import AliveRefinerPipeline
from vivace.training.alive import PARTS, AliveObjective, AliveRecipe
from vivace.training.encode import EncodeRecipe
from vivace.training.recipe import RUNNERS, check_recipe, load_recipe, recipe_json

RECIPES = Path(__file__).parents[2] / "recipes"
FOLDER = RECIPES / "nano-alive"
RUNS = ("1-video", "2-audio", "3-joint", "4-tuning", "5-pictures")
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


def small(name: str, runs: Path, latents: Path, codecs: dict[str, Path], folder: str = "nano-alive") -> Any:
    """A recipe with small networks, batches and steps; order, tasks, rates, dropout and noise levels are its own."""
    data = moved(tomllib.loads((RECIPES / folder / f"{name}.toml").read_text()), runs, latents, codecs)
    if data["unit"] == "encode":
        data["source"] |= {"lengths": [{"seconds": 0.8}], "sizes": [{"height": 64, "width": 64}]}
        data["source"] |= {"characters": 2, "takes": 2} if "characters" in data["source"] else {"clips": 3}
        data |= {"workers": 1, "precision": "fp32"}
        data.pop("speaker_encoder", None)  # the small latents beside it have no voices either
        if "low" in data:
            data["low"] |= {"factor": 2.0}
    if data["unit"] == "alive-refiner":
        data["transformer"] |= {"num_single_layers": 1}
        data["sources"][0]["batch"] = 2
    if data["unit"] == "alive":
        sizes = {"text_len": 256, "learned_positions": [32, 8, 8], "audio_positions": 128}
        data["transformer"] |= {**TINY_ALIVE, **sizes}
        data["text_encoder"] |= SMALL_ENCODER
        for stage in data["stages"]:
            stage["steps"] = 2
            for source in stage["sources"]:
                source["batch"] = 2
                source.pop("kinds", None)
    if "loop" in data:
        steps = 2 * len(data.get("stages", [0]))
        data["loop"] |= {"steps": steps, "warmup_steps": 0, "decay_steps": 0, "threads": 1, "precision": "fp32"}
        data["validation"] |= {"clips": 2, "batch": 2}
    return check_recipe(data, name)


def run(name: str, runs: Path, latents: Path, codecs: dict[str, Path], of: str = "nano-alive") -> Any:
    recipe, folder = small(name, runs, latents, codecs, of), runs / "runs" / of / name
    folder.mkdir(parents=True)
    figures = RUNNERS[type(recipe)](recipe, folder)
    (folder / "recipe.json").write_text(recipe_json(recipe))
    return figures


@pytest.fixture(scope="module")
def chain(latents: Path, codecs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the recipes of nano-alive were run in their order."""
    runs = tmp_path_factory.mktemp("chain")
    tiny_text_encoder().save_pretrained(runs / "src" / "vivace" / "nano" / "nano-nava" / "text_encoder")
    for name in (*RUNS, "6-export"):
        run(name, runs, latents, codecs)
    return runs


def test_the_recipes_run_in_their_order_and_end_in_a_model_that_makes_clips(
    chain: Path, latents: Path, codecs: dict[str, Path], tmp_path: Path
) -> None:
    parts = [*PARTS, "text_encoder"]
    hashes: list[dict[str, str]] = []
    for name in RUNS:
        # A run that starts from this one has its weights.
        data = small(name, chain, latents, codecs).model_dump()
        data |= {"start_from": chain / "runs" / "nano-alive" / name, "start_text_encoder_from": None}
        taken = AliveObjective(AliveRecipe.model_validate(data), tmp_path / "taken")
        modules = {part: getattr(taken.transformer, part) for part in PARTS} | {"text_encoder": taken.text_encoder}
        hashes.append({part: weights_hash(module) for part, module in modules.items()})
    changed = [{part for part in parts if after[part] != before[part]} for before, after in itertools.pairwise(hashes)]
    # The video tower and the text encoder learn first.
    assert changed == [{"audio"}, set(PARTS), set(PARTS), set(PARTS)]
    folder = chain / "src" / "vivace" / "nano" / "nano-alive"
    records = ["audio", "joint", "together", "tuning", "video"]
    assert sorted(path.name for path in (folder / "training").iterdir()) == records
    pipeline = AlivePipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    for preset in pipeline.abilities.presets:
        made = pipeline("a red ball", seed=1, preset=preset, num_inference_steps=1, seconds=0.5, width=96, height=96)
        assert made.frames.shape[2:] == (96, 96, 3)


def test_what_follows_runs_too_and_a_refiner_fits_the_model_with_and_without_references(
    chain: Path, latents: Path, codecs: dict[str, Path]
) -> None:
    for name in ("1-encode-pairs", "1-encode-validation", "2-refiner", "3-export"):
        run(name, chain, latents, codecs, of="nano-alive-refiner")
    for name in ("1-encode-cross", "1-encode-cross-pictures", "2-cross", "3-tuning", "4-export"):
        run(name, chain, latents, codecs, of="nano-alive-references")
    # Trained beside the model that knew no references; its base is now the one that does.
    refiner = AliveRefinerPipeline.from_pretrained(chain / "src" / "vivace" / "nano" / "nano-alive-refiner")
    assert refiner.base.abilities.most_references == 2
    refiner.base.set_progress_bar_config(disable=True)
    clip = {"seed": 1, "num_inference_steps": 1, "seconds": 0.5, "width": 96, "height": 96}
    made = refiner.base("a red ball", **clip)
    small_clip = Clip(made.frames[0], made.fps, made.audio[0].clip(-1, 1), made.audio_sample_rate)
    large = refiner(small_clip, "a red ball", audio_latents=made.latents.audio, num_inference_steps=1, seed=1)
    assert large.frames.shape[1:3] == (216, 216)
    assert large.audio is small_clip.audio
    shown = ShardReader(chain / "runs" / "nano-alive-references" / "latents-cross", "latents")
    assert all("references" in shown.get(number) for number in range(len(shown.ids)))
    for name in ("1-balanced", "2-export"):
        run(name, chain, latents, codecs, of="nano-alive-balanced")
    folder = chain / "src" / "vivace" / "nano" / "nano-alive-refiner"
    with pytest.raises(VivaceError, match="trained with another audio_tower"):  # so that a refiner has to follow
        AliveRefinerPipeline.from_pretrained(folder)
    for name in ("3-refiner", "4-export-refiner"):
        run(name, chain, latents, codecs, of="nano-alive-balanced")
    assert AliveRefinerPipeline.from_pretrained(folder).base.abilities.most_references == 2


def test_latents_that_are_mixed_are_made_with_the_same_codecs() -> None:
    recipes = [load_recipe(path) for path in sorted(RECIPES.glob("nano-*/*.toml"))]
    made = {x.output: (x.vae, x.audio_vae, x.speaker_encoder) for x in recipes if isinstance(x, EncodeRecipe)}
    trained = [x for x in recipes if isinstance(x, AliveRecipe)]
    assert len(trained) == len(RUNS) + 4
    for recipe in trained:
        folders = {source.folder for stage in recipe.stages for source in stage.sources}
        # A folder with voices and one without are not mixed either.
        assert len({made[folder] for folder in folders | {recipe.validation.latents}}) == 1


@pytest.mark.parametrize("name", RUNS)
def test_every_run_has_what_the_first_nano_model_taught(name: str) -> None:
    recipe = load_recipe(FOLDER / f"{name}.toml")
    assert isinstance(recipe, AliveRecipe)
    config = recipe.transformer
    assert config["learned_positions"]  # each token is told where it is
    assert config["audio_positions"]
    for stage in recipe.stages:
        # Where the sound leads by 5, a larger shift keeps its own levels as high as they can be.
        shift, lead = (9.0, 5.0) if name not in ("1-video", "2-audio") else (6.0, 1.0)
        assert (stage.times.kind, stage.times.shift, stage.times.std) == ("logit-normal", shift, 1.8)
        assert stage.times.sound_lead == lead
        assert stage.times.spread
        if any(task.joint for task in stage.tasks):
            assert stage.dropout.exchange == 0.1
    first = load_recipe(FOLDER / f"{RUNS[0]}.toml")
    assert isinstance(first, AliveRecipe)
    assert first.start_text_encoder_from == Path("src/vivace/nano/nano-nava")
    assert list(config["text_dims"]) == [recipe.text_encoder["d_model"]]
