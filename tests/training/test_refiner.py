"""Training of a refiner: pairs, frozen base, exact steps, export."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from tests.tiny import ALIVE_CAPABILITIES, REFINER_CAPABILITIES, tiny_alive_transformer, tiny_text_encoder
from tests.training.small import encode_recipe
from transformers import ByT5Tokenizer

from vivace.conditioning.given import encode_pictures, fit_pictures
from vivace.data.fingerprint import weights_hash
from vivace.data.latents import read_batch
from vivace.data.shards import ShardReader
from vivace.errors import VivaceError
from vivace.pipelines.alive import AlivePipeline
from vivace.pipelines.refiner import AliveRefinerPipeline
from vivace.pipelines.refiner_abilities import RefinerCapabilities
from vivace.timeline import Timeline
from vivace.training.checkpoint import latest_checkpoint, load_weights
from vivace.training.clips import Length, SceneSource, Size
from vivace.training.codec_files import load_codecs, load_vocoder
from vivace.training.encode import ClipFolder, EncodeRecipe, run_encode
from vivace.training.low_side import LowSide, low_latents, roughened, small_pictures
from vivace.training.recipe import check_recipe, load_recipe, recipe_json
from vivace.training.refiner import RefinerObjective, RefinerRecipe, load_base, run_refiner
from vivace.training.refiner_export import RefinerExportRecipe, run_refiner_export
from vivace.world import Scene, render_video

RECIPES = Path(__file__).parents[2] / "recipes"
SOURCE = SceneSource(clips=3, lengths=(Length(seconds=0.8),), sizes=(Size(height=64, width=64),))


@pytest.fixture(scope="module")
def pairs(codecs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs") / "train"
    run_encode(encode_recipe(folder, codecs, SOURCE, low=LowSide(factor=2.0), store="fp32", batch=2), folder)
    return folder


@pytest.fixture(scope="module")
def base(codecs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder whose codecs are those of the latents."""
    vae, audio_vae = load_codecs(codecs["vae"], codecs["audio_vae"])
    text_encoder = tiny_text_encoder()
    hashes = {"vae": weights_hash(vae), "audio_vae": weights_hash(audio_vae)}
    pipeline = AlivePipeline(
        transformer=tiny_alive_transformer(
            text_len=192, trained_with=hashes | {"text_encoder": weights_hash(text_encoder)}
        ),
        text_encoder=text_encoder,
        tokenizer=ByT5Tokenizer(),
        vae=vae,
        audio_vae=audio_vae,
        vocoder=load_vocoder(codecs["vocoder"]),
        scheduler=FlowMatchEulerDiscreteScheduler(),
        capabilities=ALIVE_CAPABILITIES,
    )
    folder = tmp_path_factory.mktemp("models") / "alive"
    pipeline.save_pretrained(folder)
    return folder


def refiner_recipe(pairs: Path, model: Path, **changes: Any) -> RefinerRecipe:
    data = {
        "unit": "alive-refiner",
        "seed": 7,
        "base": str(model),
        "transformer": {"window": [2, 1, 1]},
        "sources": [{"folder": str(pairs), "batch": 3}],
        "validation": {"latents": str(pairs), "clips": 2, "batch": 2},
        "loop": {
            "steps": 3,
            "warmup_steps": 0,
            "log_every": 1,
            "validate_every": 1000,
            "threads": 1,
            "checkpoint_every_seconds": 1000,
        },
        **changes,
    }
    recipe = check_recipe(data, "refiner.toml")
    assert isinstance(recipe, RefinerRecipe)
    return recipe


@torch.no_grad()
def test_pairs_hold_small_pictures_made_large_beside_the_large_ones(pairs: Path, codecs: dict[str, Path]) -> None:
    reader = ShardReader(pairs, "latents")
    assert reader.header.metadata["low"]["factor"] == 2.0
    batch = read_batch(reader, [0, 1])
    assert batch.low.shape == batch.latents.video.shape == (2, 4, 6, 4, 4)
    assert batch.to("cpu").low is not None
    vae, _ = load_codecs(codecs["vae"], codecs["audio_vae"])
    row, like = reader.rows[0], np.zeros((21, 64, 64, 3), np.uint8)
    again, plain = (
        low_latents(settings, vae, reader.ids[0], row, like)
        for settings in (LowSide(factor=2.0), LowSide(factor=2.0, codec=0, blur=0, noise=0))
    )
    torch.testing.assert_close(again, batch.low[0])
    enlarged = fit_pictures(small_pictures(row, like, 32, 32), 64, 64)
    torch.testing.assert_close(plain, encode_pictures(vae, [enlarged], torch.device("cpu"))[0])
    assert not torch.allclose(again, plain, atol=1e-4)
    assert not torch.allclose(again, batch.latents.video[0], atol=1e-4)


def test_small_pictures_are_the_scene_itself_or_the_clip_reduced(pairs: Path) -> None:
    row = ShardReader(pairs, "latents").rows[0]
    large = np.random.default_rng(0).integers(0, 256, (9, 64, 64, 3), dtype=np.uint8)
    rendered = render_video(Scene.from_json(row["scene"]), Timeline(9), 32, 32)
    np.testing.assert_array_equal(small_pictures(row, large, 32, 32), rendered)
    means = large.reshape(9, 32, 2, 32, 2, 3).mean(axis=(2, 4))
    assert (
        np.abs(small_pictures({"scene": ""}, large, 32, 32) - means).max() <= 1
    )  # reduced, and rounded, one axis after the other
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(roughened(large, 0.0, 0.0, rng), large)
    assert roughened(large, 2.0, 0.0, rng).std() < large.std()
    flat = np.full((4, 32, 32, 3), 128, np.uint8)
    assert 2.5 < roughened(flat, 0.0, 3.0, rng).std() < 3.5
    assert LowSide(factor=2.25).size(288, 144, 16) == (128, 64)
    with pytest.raises(VivaceError, match="44x44, no multiples of the video codec's 16"):
        LowSide(factor=2.25).size(100, 100, 16)


def test_a_step_is_a_function_of_weights_and_number_and_leaves_the_base_as_it_is(
    pairs: Path, base: Path, tmp_path: Path
) -> None:
    first, again = (RefinerObjective(refiner_recipe(pairs, base), tmp_path) for _ in range(2))
    losses = first.loss(1)
    assert set(losses) == {"loss", "video"}
    assert torch.equal(losses["loss"], again.loss(1)["loss"])
    assert not torch.equal(losses["loss"], first.loss(2)["loss"])
    losses["loss"].backward()
    grown = {name for name, parameter in first.transformer.named_parameters() if parameter.grad is not None}
    assert any(name.startswith("video.") for name in grown)
    for part in (first.base.transformer, first.base.text_encoder):
        assert all(parameter.grad is None and not parameter.requires_grad for parameter in part.parameters())
    figures = first.validate(0)
    assert {"low", "video", "video@0.1", "video@0.9"} <= set(figures)
    assert all(np.isfinite(list(figures.values())))


def test_the_source_is_within_the_range_of_degradation(pairs: Path, base: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"dropout": {"exchange": 0.0, "text": 0.0}}
    plain = RefinerObjective(refiner_recipe(pairs, base, degradation=[0.0, 0.0], **settings), tmp_path).prepare(0)
    assert torch.equal(plain.source, plain.batch.low)
    noise, mixed = (
        RefinerObjective(refiner_recipe(pairs, base, degradation=[w, w], **settings), tmp_path).prepare(0).source
        for w in (1.0, 0.9)
    )
    torch.testing.assert_close(mixed, 0.1 * plain.source + 0.9 * noise)
    ready = RefinerObjective(refiner_recipe(pairs, base), tmp_path).prepare(0)
    shares = (ready.source - ready.batch.low).flatten(1).norm(dim=1) / (noise - ready.batch.low).flatten(1).norm(dim=1)
    assert ((shares > 0.84) & (shares < 0.96)).all()
    assert len({round(float(share), 4) for share in shares}) == len(shares)


def test_a_resumed_run_ends_as_an_uninterrupted_one_and_is_exported(pairs: Path, base: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in base.rglob("*") if path.is_file()}
    recipe = refiner_recipe(pairs, base)
    run_refiner(recipe, tmp_path / "whole")
    loop = recipe.loop.model_dump() | {"steps": 2}
    run_refiner(refiner_recipe(pairs, base, loop=loop), tmp_path / "parts")
    run_refiner(recipe, tmp_path / "parts")
    whole, parts = (
        load_weights(latest_checkpoint(tmp_path / name / "checkpoints"), "transformer", ema=False)
        for name in ("whole", "parts")
    )
    start = RefinerObjective(recipe, tmp_path).transformer.state_dict()
    assert whole.keys() == start.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert any(not torch.equal(whole[name], start[name]) for name in whole)

    (tmp_path / "whole" / "recipe.json").write_text(recipe_json(recipe))
    settings = {"unit": "export-refiner", "run": tmp_path / "whole", "output": tmp_path / "refiner"}
    made = RefinerExportRecipe.model_validate(settings | {"capabilities": REFINER_CAPABILITIES})
    assert run_refiner_export(made, tmp_path)["step"] == 3
    assert {path: path.read_bytes() for path in base.rglob("*") if path.is_file()} == before
    assert (tmp_path / "refiner" / "training" / "refiner" / "recipe.json").is_file()
    stored = {path.parent.name for path in (tmp_path / "refiner").rglob("*.safetensors")}
    assert stored == {"transformer"}
    pipeline = AliveRefinerPipeline.from_pretrained(tmp_path / "refiner", base=base)
    averaged = load_weights(latest_checkpoint(tmp_path / "whole" / "checkpoints"), "transformer", ema=True)
    for name, value in pipeline.transformer.state_dict().items():
        assert torch.equal(value, averaged[name].to(torch.bfloat16).float())
    assert list(pipeline.transformer.config.window) == [2, 1, 1]
    assert pipeline.transformer.config.trained_with == load_base(base).hashes
    for folder, weights in (("whole", averaged), ("refiner", pipeline.transformer.state_dict())):
        later = RefinerObjective(refiner_recipe(pairs, base, start_from=str(tmp_path / folder)), tmp_path).transformer
        assert all(torch.equal(value, weights[name]) for name, value in later.state_dict().items())
    (tmp_path / "whole" / "recipe.json").write_text("{}")
    with pytest.raises(VivaceError, match="not a run of the unit alive-refiner"):
        run_refiner_export(made, tmp_path)


def test_what_does_not_go_together_is_refused(
    pairs: Path, base: Path, clips: Path, codecs: dict[str, Path], latents: Path, tmp_path: Path
) -> None:
    for changes, complaint in (
        ({"base": str(tmp_path)}, "holds no Alive model"),
        ({"sources": [{"folder": str(latents), "batch": 2}]}, "has no low side|other codecs|have no low side"),
        ({"transformer": {"dim": 48}}, "no weights"),
        ({"transformer": {"audio_heads": 1}}, "'audio_heads' is no part"),
        ({"start_from": str(tmp_path)}, "start_from .* does not fit"),
    ):
        with pytest.raises(VivaceError, match=complaint):
            RefinerObjective(refiner_recipe(pairs, base, **changes), tmp_path)
    for changes, complaint in (
        ({"degradation": [0.9, 0.8]}, "no range"),
        ({"sources": [{"folder": str(pairs), "tasks": ["t2av"]}]}, "one task"),
        ({"text_encoder": {}}, "unknown"),
    ):
        with pytest.raises(VivaceError, match=complaint):
            refiner_recipe(pairs, base, **changes)
    with pytest.raises(VivaceError, match="no multiples"):
        run_encode(encode_recipe(tmp_path / "odd", codecs, ClipFolder(folder=clips), low=LowSide()), tmp_path / "odd")


def test_the_recipes_go_together_and_take_half_of_the_base_s_steps() -> None:
    loaded = {path.stem: load_recipe(path) for path in sorted((RECIPES / "nano-alive-refiner").glob("*.toml"))}
    train, export = loaded["2-refiner"], loaded["3-export"]
    assert isinstance(train, RefinerRecipe)
    assert isinstance(export, RefinerExportRecipe)
    held_out = loaded["1-encode-validation"]
    encoded = loaded["1-encode-pairs"]
    assert isinstance(encoded, EncodeRecipe)
    assert isinstance(held_out, EncodeRecipe)
    assert encoded.low == held_out.low
    assert (train.sources[0].folder, train.validation.latents) == (encoded.output, held_out.output)
    size = encoded.source.sizes[0]
    assert encoded.low.size(size.height, size.width, 16) == (128, 128)
    model = load_recipe(RECIPES / "nano-alive" / "6-export.toml")
    assert (train.base, encoded.vae, encoded.audio_vae) == (model.output, model.vae, model.audio_vae)
    abilities = RefinerCapabilities.read(export.capabilities)
    base_steps = model.capabilities["presets"][model.capabilities["preset"]]["steps"]
    assert all(2 * preset.steps == base_steps for preset in abilities.presets.values())
