import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from tests.tiny import ALIVE_CAPABILITIES, TINY_ALIVE
from tests.training.small import joint_data

from vivace.conditioning.text import encode_prompts
from vivace.data.fingerprint import weights_hash
from vivace.errors import VivaceError
from vivace.models.alive import AliveTransformer
from vivace.models.alive_context import AliveContext
from vivace.models.alive_sizes import SIZES
from vivace.pair import AV
from vivace.pipelines.alive import AlivePipeline
from vivace.pipelines.capabilities import AliveCapabilities
from vivace.pipelines.folder import shipped_models
from vivace.timeline import Timeline
from vivace.training.alive import PARTS, AliveObjective, AliveRecipe, run_alive
from vivace.training.checkpoint import latest_checkpoint, load_weights
from vivace.training.export import ExportRecipe, run_export
from vivace.training.flow_step import encode_captions, with_conditions
from vivace.training.recipe import check_recipe, load_recipe, recipe_json
from vivace.training.tasks import dropped_speech

RECIPES = sorted((Path(__file__).parents[2] / "recipes" / "nano-alive").glob("*.toml"))
TRANSFORMER = {**TINY_ALIVE, "text_dims": [16], "text_len": 192}


def alive_recipe(latents: Path, optimizer: dict[str, Any] | None = None, **changes: Any) -> AliveRecipe:
    """Keyword arguments replace entries of the single stage; `start_from` is the recipe's."""
    start = {"start_from": changes.pop("start_from")} if "start_from" in changes else {}
    data = joint_data(latents, **{"steps": 3, **changes})
    data |= {"unit": "alive", "transformer": TRANSFORMER, "optimizer": optimizer or {}, **start}
    recipe = check_recipe(data, "alive.toml")
    assert isinstance(recipe, AliveRecipe)
    return recipe


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_recipes_of_nano_alive_train_the_nano_configuration_and_can_be_exported(path: Path) -> None:
    recipe = load_recipe(path)
    if isinstance(recipe, AliveRecipe):
        with torch.device("meta"):
            asked, nano = (AliveTransformer(**config) for config in (recipe.transformer, SIZES["nano"]))
        shapes = [{name: x.shape for name, x in model.state_dict().items()} for model in (asked, nano)]
        assert shapes[0] == shapes[1]
        for name in ("rope_theta", "time_theta", "text_len"):
            assert asked.config[name] == nano.config[name]
    else:
        assert isinstance(recipe, ExportRecipe)
        assert AliveCapabilities.read(recipe.capabilities).name == "nano-alive"


def test_the_shipped_model_says_what_its_recipe_says() -> None:
    recipe = load_recipe(RECIPES[0].parents[1] / "nano-alive-balanced" / "2-export.toml")
    assert isinstance(recipe, ExportRecipe)
    index = json.loads((shipped_models()["nano-alive"] / "model_index.json").read_text())
    assert index["capabilities"] == recipe.capabilities


def test_a_recipe_has_alive_s_dropout_and_trains_something(latents: Path) -> None:
    assert alive_recipe(latents).stages[0].dropout.exchange == 0.3
    data = alive_recipe(latents).model_dump()
    frozen = {"optimizer": {"rates": dict.fromkeys(PARTS, 0.0)}, "train_text_encoder": False}
    with pytest.raises(ValidationError, match="nothing is trained"):
        AliveRecipe.model_validate(data | frozen)


@pytest.mark.parametrize(
    ("task", "dropout", "rates", "trains"),
    [
        ({}, 0.3, {"audio": 1.0}, True),
        ({}, 0.0, {"exchange": 1.0}, True),
        ({}, 0.3, {"exchange": 1.0}, False),
        ({"audio": "given"}, 0.0, {"audio": 1.0}, True),
        ({"audio": "given"}, 0.3, {"audio": 1.0}, False),
        ({"audio": "absent"}, 0.0, {"audio": 1.0, "exchange": 1.0}, False),
    ],
)
def test_a_recipe_of_which_a_step_could_train_nothing_is_refused(
    latents: Path, tmp_path: Path, task: dict[str, str], dropout: float, rates: dict[str, float], trains: bool
) -> None:
    data = alive_recipe(latents, tasks=[{"name": "it", "probability": 1.0, **task}]).model_dump(mode="json")
    data["train_text_encoder"] = False
    data["optimizer"]["rates"] = dict.fromkeys(PARTS, 0.0) | rates
    data["stages"][0]["dropout"]["exchange"] = dropout
    if trains:
        objective = AliveObjective(AliveRecipe.model_validate(data), tmp_path)
        for step in range(3):
            objective.loss(step)["loss"].backward()
    else:
        with pytest.raises(ValidationError, match=r"task 'it' of stage '.*' trains nothing"):
            AliveRecipe.model_validate(data)


def test_samples_are_guided_as_alive_is_and_leave_training_as_it_was(
    latents: Path, codecs: dict[str, Path], tmp_path: Path
) -> None:
    data = alive_recipe(latents).model_dump(mode="json")
    data["validation"]["samples"] = {
        **{name: str(path) for name, path in codecs.items()},
        **{"prompts": 2, "batch": 1, "seconds": 0.8, "height": 32, "width": 32},
        "preset": {"steps": 2, "solver": "euler", "mutual": {"video": 2.0, "audio": 1.0}},
    }
    objective = AliveObjective(AliveRecipe.model_validate(data), tmp_path)
    before = objective.loss(2)["loss"]
    figures = objective.validate(20)
    folder = tmp_path / "samples" / "step-00000020"
    assert sorted(path.name for path in folder.iterdir()) == ["00.mp4", "00.png", "01.mp4", "01.png"]
    assert set(figures) > {"video", "audio"}
    after = objective.loss(2)["loss"]
    assert torch.equal(before, after)
    after.backward()
    data["validation"]["samples"]["preset"] = {"align": {"video": 1.0, "audio": 1.0}}  # a guide of NAVA's
    with pytest.raises(ValidationError, match="align"):
        AliveRecipe.model_validate(data)


@pytest.mark.parametrize(
    ("states", "expected"),
    [({}, {"video", "audio"}), ({"video": "absent"}, {"audio"}), ({"video": "first-frame"}, {"video", "audio"})],
)
def test_a_loss_is_a_function_of_weights_and_step_in_every_task(
    latents: Path, tmp_path: Path, states: dict[str, str], expected: set[str]
) -> None:
    tasks = [{"name": "it", "probability": 1.0, **states}]
    first, again = (AliveObjective(alive_recipe(latents, tasks=tasks), tmp_path).loss(2) for _ in range(2))
    assert set(first) == expected | {"loss"}
    assert all(torch.equal(value, again[key]) for key, value in first.items())
    assert torch.isfinite(first["loss"])


def test_every_parameter_that_is_trained_has_the_rate_of_its_part(latents: Path, tmp_path: Path) -> None:
    rates = {"video": 1.0, "audio": 0.1, "exchange": 0.0}
    settings = {"muon_rate": 2e-3, "adamw_rate": 1e-3, "rates": rates}
    objective = AliveObjective(alive_recipe(latents, settings), tmp_path)
    found = {
        id(parameter): group["lr"]
        for optimizer in objective.optimizers().values()
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    wanted = {"video": [1e-3, 2e-3], "audio": [1e-4, 2e-4]}
    for part, allowed in wanted.items():
        here = {found.pop(id(parameter)) for parameter in getattr(objective.transformer, part).parameters()}
        assert sorted(here) == pytest.approx(allowed)
    assert not any(parameter.requires_grad for parameter in objective.transformer.exchange.parameters())
    assert {found.pop(id(parameter)) for parameter in objective.text_encoder.parameters()} == {2e-3, 1e-3}
    assert not found


def test_frozen_parts_are_unchanged_to_the_byte(latents: Path, tmp_path: Path) -> None:
    rates = {"video": 1.0, "audio": 0.0, "exchange": 0.0}
    recipe = alive_recipe(latents, {"weight_decay": 0.1, "rates": rates})
    before = {part: weights_hash(getattr(AliveObjective(recipe, tmp_path).transformer, part)) for part in PARTS}
    figures = run_alive(recipe, tmp_path)
    assert {"video", "audio"} <= set(figures)
    checkpoint = latest_checkpoint(tmp_path / "checkpoints")
    for ema in (False, True):
        trained = AliveObjective(recipe, tmp_path).transformer
        trained.load_state_dict(load_weights(checkpoint, "transformer", ema=ema))
        after = {part: weights_hash(getattr(trained, part)) for part in PARTS}
        assert {part for part in PARTS if after[part] != before[part]} == {"video"}
    # The next run of the chain takes on what this one learned.
    taken = AliveObjective(alive_recipe(latents, start_from=str(tmp_path)), tmp_path / "next").transformer
    assert {part: weights_hash(getattr(taken, part)) for part in PARTS} == after


def test_clips_are_shown_with_their_times_and_known_pictures(latents: Path, tmp_path: Path) -> None:
    tasks = [{"name": "i2v", "probability": 1.0, "video": "first-frame"}]
    objective = AliveObjective(alive_recipe(latents, tasks=tasks), tmp_path)
    ready = objective.prepare(0)
    clip = objective.context(ready, 0).clip
    clean = ready.batch.latents
    timeline = Timeline(frames=4 * (clean.video.shape[2] - 1) + 1, fps=24)
    assert clip.times.video.tolist() == timeline.latent_frame_times().tolist()
    assert len(clip.times.audio) == clean.audio.shape[1]
    assert torch.equal(clip.condition, clean.video)
    assert clip.mask.flatten().tolist() == [1.0] + [0.0] * (clean.video.shape[2] - 1)
    free = with_conditions(objective.context(ready, 0), clean, AV(0, 0), ready.batch.rows[0])
    assert isinstance(free, AliveContext)
    assert free.clip.condition is None


def test_what_is_said_is_told_by_itself_unless_it_is_dropped(latents: Path, tmp_path: Path) -> None:
    objective = AliveObjective(alive_recipe(latents), tmp_path)
    captions = ["a man says <S>hello<E>", "a drum"]
    parts = objective.transformer, objective.text_encoder, objective.tokenizer
    told, untold, dropped = (
        encode_captions(*parts, captions, [drop, False], mute=[mute, False])
        for drop, mute in ((False, False), (False, True), (True, False))
    )
    words = len(encode_prompts(objective.text_encoder, objective.tokenizer, ["hello"]).features[0])
    for context, expected in ((told, words), (untold, 0), (dropped, 0)):
        assert context.speech.shown.sum(1).tolist() == [expected + 1, 1]  # with the learned first token
    assert torch.equal(told.text, untold.text)
    assert dropped.shown.sum(1)[0] == 1
    drops = [dropped_speech(4, 0.3, 1, step) for step in range(200)]
    assert abs(sum(map(sum, drops)) / 800 - 0.3) < 0.05


def test_an_exported_run_is_a_model_that_makes_clips(latents: Path, codecs: dict[str, Path], tmp_path: Path) -> None:
    recipe = alive_recipe(latents, steps=2)
    run_alive(recipe, tmp_path / "run")
    (tmp_path / "run" / "recipe.json").write_text(recipe_json(recipe))
    settings = {"unit": "export", "run": tmp_path / "run", "output": tmp_path / "model", **codecs}
    made = ExportRecipe.model_validate(settings | {"capabilities": ALIVE_CAPABILITIES})
    assert run_export(made, tmp_path)["step"] == 2
    pipeline = AlivePipeline.from_pretrained(tmp_path / "model")
    averaged = load_weights(latest_checkpoint(tmp_path / "run" / "checkpoints"), "transformer", ema=True)
    for key, value in pipeline.transformer.state_dict().items():
        assert torch.equal(value, averaged[key].to(torch.bfloat16).float())
    assert pipeline.transformer.config.trained_with["vae"] == weights_hash(pipeline.vae)
    assert pipeline("a red ball", seed=1).frames.shape[2:] == (32, 32, 3)
    with pytest.raises(VivaceError, match="takes no voices"):
        run_export(made.model_copy(update={"speaker_encoder": tmp_path}), tmp_path)
