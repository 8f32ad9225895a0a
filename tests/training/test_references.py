"""Training on references: which pictures clips of characters have, how they are encoded, shown and withheld."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.tiny import CAPABILITIES
from tests.training.small import encode_recipe
from tests.training.test_alive import alive_recipe

from vivace.cli.main import main
from vivace.data.latents import read_batch
from vivace.data.shards import ShardReader
from vivace.errors import VivaceError
from vivace.media import read_clip, write_png
from vivace.models.codecs import encode_video
from vivace.pipelines.alive import AlivePipeline
from vivace.pipelines.capabilities import AliveCapabilities
from vivace.training.alive import AliveObjective, AliveRecipe, run_alive
from vivace.training.character_clips import CharacterSource, plan_takes
from vivace.training.clips import Length, Size, render_clip
from vivace.training.codec_files import load_codecs
from vivace.training.encode import EncodeRecipe, run_encode
from vivace.training.export import ExportRecipe, run_export
from vivace.training.flow_step import flow_errors
from vivace.training.recipe import check_recipe, load_recipe, recipe_json
from vivace.training.tasks import dropped_pairs, shown_references
from vivace.world import Scene
from vivace.world.takes import TAKES, Shown, still, take_scene

RECIPES = sorted((Path(__file__).parents[2] / "recipes" / "nano-alive-references").glob("*.toml"))
SMALL = {"lengths": (Length(seconds=1.0),), "sizes": (Size(height=32, width=32),)}


def _source(**changes: Any) -> CharacterSource:
    return CharacterSource(**{"characters": 2, "takes": 3, **SMALL, **changes})


@pytest.fixture(scope="module")
def shown(codecs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("references") / "train"
    run_encode(encode_recipe(folder, codecs, _source()), folder)
    return folder


def test_a_source_is_every_take_of_every_character() -> None:
    plans = plan_takes(_source(first_character=5))
    assert [(plan.character, plan.take) for plan in plans] == [(c, t) for c in (5, 6) for t in range(3)]
    assert len({plan.id for plan in plans}) == 6
    made = render_clip(plans[4])
    assert Scene.from_json(made.row["scene"]) == take_scene(6, 1, seconds=made.row["seconds"])
    assert made.row["seed"] == 6 * TAKES + 1
    assert (made.row["character"], made.row["take"], made.row["references"]) == (6, 1, "cross")


def test_references_are_the_latents_of_single_pictures(shown: Path, codecs: dict[str, Path]) -> None:
    reader = ShardReader(shown, "latents")
    vae, _ = load_codecs(codecs["vae"], codecs["audio_vae"])
    for index, plan in enumerate(plan_takes(_source())):
        stored, pictures = reader.get(index)["references"], plan.pictures()
        assert 1 <= len(pictures) == len(stored) <= 2
        x = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)[:, :, None].float() / 127.5 - 1
        with torch.inference_mode():
            expected = encode_video(vae, x)[:, :, 0]
        torch.testing.assert_close(stored.float(), expected, atol=2e-2, rtol=1e-2)
    batch = read_batch(reader, range(6))
    assert batch.references is not None
    assert [len(x) for x in batch.references] == [len(plan.pictures()) for plan in plan_takes(_source())]


def test_single_pictures_of_characters_have_references_too(codecs: dict[str, Path], tmp_path: Path) -> None:
    run_encode(encode_recipe(tmp_path / "alone", codecs, _source(), pictures_alone=True), tmp_path)
    reader = ShardReader(tmp_path / "alone", "latents")
    batch = read_batch(reader, range(6))
    assert batch.latents.audio is None
    assert batch.latents.video is not None
    assert batch.latents.video.shape[2] == 1
    assert batch.references is not None
    assert [len(x) for x in batch.references] == [len(plan.pictures()) for plan in plan_takes(_source())]


def test_a_batch_is_shown_references_clean_and_only_those_it_has(shown: Path, tmp_path: Path) -> None:
    never = {"text": 0.0, "exchange": 0.0, "references": 0.0, "text_and_references": 0.0}
    objective = AliveObjective(alive_recipe(shown, dropout=never), tmp_path)
    ready = objective.prepare(0)
    clip = objective.context(ready, 0).clip
    counts = shown_references([len(x) for x in ready.batch.references], 0.0, objective.recipe.seed, 0)
    assert clip.given.sum(1).tolist() == counts
    assert min(counts) >= 1
    for sample, count in enumerate(counts):
        assert torch.equal(clip.references[sample, :count], ready.batch.references[sample][:count])
        assert not clip.references[sample, count:].any()
    # Nothing but the clip's own places is predicted, and what is predicted depends on the references.
    with torch.no_grad():
        for parameter in objective.transformer.parameters():
            if not parameter.any():  # at first nothing has an influence on what is predicted
                parameter.normal_(std=0.1)
        contexts = [objective.context(ready, 0)]
        contexts.append(contexts[0].with_clip(replace(clip, references=clip.references + 1)))
        plain, other = (
            flow_errors(objective.transformer, ready.batch.latents, ready.noise, ready.times, ready.known, c, True)
            for c in contexts
        )
    assert len(plain.video) == len(counts)
    assert not torch.isclose(plain.video, other.video, atol=1e-6).any()


def test_references_are_withheld_alone_or_with_the_text(shown: Path, tmp_path: Path) -> None:
    base = {"text": 0.0, "exchange": 0.0, "references": 0.0, "text_and_references": 0.0}
    no_pictures = AliveObjective(alive_recipe(shown, dropout=base | {"references": 0.99}), tmp_path)
    neither = AliveObjective(alive_recipe(shown, dropout=base | {"text_and_references": 0.99}), tmp_path)
    for step in range(3):
        context = no_pictures.context(no_pictures.prepare(step), step)
        assert context.clip.references is None
        assert (context.shown.sum(1) > 1).all()
        context = neither.context(neither.prepare(step), step)
        assert context.clip.references is None
        assert (context.shown.sum(1) == 1).all()


def test_how_often_and_how_many_references_are_shown() -> None:
    counts = [count for step in range(400) for count in shown_references([2, 1, 3, 2], 0.1, 3, step)]
    assert abs(counts.count(0) / len(counts) - 0.1) < 0.03
    of_three = np.array([shown_references([3], 0.0, 3, step)[0] for step in range(600)])
    assert all(abs((of_three == n).mean() - 1 / 3) < 0.07 for n in (1, 2, 3))
    together = [dropped_pairs(4, 0.05, 3, step) for step in range(400)]
    assert abs(np.mean(together) - 0.05) < 0.02
    assert shown_references([2, 2], 0.5, 3, 7) == shown_references([2, 2], 0.5, 3, 7)


def test_training_on_references_beside_clips_without(shown: Path, latents: Path, tmp_path: Path) -> None:
    sources = [{"folder": str(folder), "batch": 2} for folder in (shown, latents)]
    figures = run_alive(alive_recipe(latents, sources=sources, steps=4), tmp_path)
    assert np.isfinite(list(figures.values())).all()


def test_kinds_of_references_differ_in_nothing_else(codecs: dict[str, Path], tmp_path: Path) -> None:
    folders = {}
    for kind in ("perturbed", "same"):
        folders[kind] = tmp_path / kind
        run_encode(encode_recipe(folders[kind], codecs, _source(characters=1, takes=2, references=kind)), tmp_path)
    a, b = (ShardReader(folder, "latents") for folder in folders.values())
    assert a.ids == b.ids
    for index in range(2):
        one, other = a.get(index), b.get(index)
        assert torch.equal(one["video"], other["video"])
        assert torch.equal(one["audio"], other["audio"])
        assert not torch.equal(one["references"], other["references"])


@pytest.mark.parametrize("path", [path for path in RECIPES if "cross" in path.stem], ids=lambda path: path.stem)
def test_the_recipes_of_both_sorts_differ_only_in_their_references(path: Path) -> None:
    recipe = load_recipe(path)
    other = load_recipe(path.with_name(path.name.replace("cross", "perturbed")))
    assert type(recipe) is type(other)
    if isinstance(recipe, EncodeRecipe):
        assert isinstance(recipe.source, CharacterSource)
        assert isinstance(other, EncodeRecipe)
        assert recipe.source == other.source.model_copy(update={"references": recipe.source.references})
    else:
        assert isinstance(recipe, (AliveRecipe, ExportRecipe))
        one, two = (r.model_dump(mode="json") for r in (recipe, other))
        if isinstance(recipe, ExportRecipe):
            assert AliveCapabilities.read(recipe.capabilities).most_references == 2
        assert str(two).replace("perturbed", "cross") == str(one).replace("perturbed", "cross")


def test_what_learned_references_is_exported_and_animates(
    shown: Path, latents: Path, codecs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    sources = [{"folder": str(folder), "batch": 2} for folder in (shown, latents)]
    recipe = alive_recipe(latents, sources=sources, steps=2)
    run_alive(recipe, run)
    (run / "recipe.json").write_text(recipe_json(recipe))
    shipped = load_recipe(next(path for path in RECIPES if path.name == "4-export.toml"))
    assert isinstance(shipped, ExportRecipe)
    small = {**CAPABILITIES, "preset": "default", "presets": {"default": {"steps": 2, "solver": "euler"}}}
    asked = {name: shipped.capabilities[name] for name in ("most_references", "reference_faces")}
    settings = {"unit": "export", "run": run, "output": tmp_path / "model", "capabilities": small | asked, **codecs}
    run_export(ExportRecipe.model_validate(settings), tmp_path)
    pipeline = AlivePipeline.from_pretrained(tmp_path / "model")
    # The tiny codec's pictures are too small for a face to be found in them, so that the size of the clip is larger.
    face = still(Shown(take_scene(0, 1, "val"), 0.3), 96, 96)
    clip = {"seed": 1, "width": 96, "height": 96, "output_type": "latent"}
    with torch.no_grad():
        for parameter in pipeline.transformer.parameters():
            if not parameter.any():  # after two steps nothing has an influence yet
                parameter.normal_(std=0.1)
    alone, shown_one = (pipeline("a woman waves", **clip, **more) for more in ({}, {"references": face}))
    assert not torch.allclose(alone.latents.video, shown_one.latents.video)
    path = tmp_path / "face.png"
    write_png(path, face)
    words = [
        "a woman waves",
        "--model",
        str(tmp_path / "model"),
        "--size",
        "96x96",
        "--output",
        str(tmp_path / "a.mp4"),
    ]
    assert main(["animate", *words, "--reference", str(path), "--seed", "1"]) == 0
    assert read_clip(tmp_path / "a.mp4").frames.shape[1:] == (96, 96, 3)
    capsys.readouterr()
    assert main(["animate", *words, *["--reference", str(path)] * 3, "--seed", "1"]) == 2
    assert "takes up to 2" in capsys.readouterr().err


def test_a_bad_source_of_characters_is_told(codecs: dict[str, Path], tmp_path: Path) -> None:
    base = {"unit": "encode", "output": str(tmp_path), "vae": "a", "audio_vae": "b"}
    for wrong, complaint in (({"references": "best"}, "references"), ({"takes": 99}, "takes")):
        with pytest.raises(VivaceError, match=complaint):
            check_recipe(base | {"source": {"characters": 2, **wrong}}, "r.toml")
