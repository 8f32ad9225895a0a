import json
import shutil

import numpy as np
import pytest
import torch
from tests.media.small_disk import small_disk
from tests.tiny import CAPABILITIES
from tests.training.small import joint_data

from vivace.data.fingerprint import weights_hash
from vivace.errors import VivaceError
from vivace.models.vocoder import IstftVocoder
from vivace.pipelines.nava import NavaPipeline
from vivace.training.checkpoint import latest_checkpoint, load_weights
from vivace.training.export import ExportRecipe, find_checkpoint, run_export
from vivace.training.joint import JointRecipe, run_joint
from vivace.training.recipe import recipe_json


@pytest.fixture(scope="module")
def run(latents, tmp_path_factory):
    """A run of two steps with its recipe beside it, as the command leaves it."""
    folder = tmp_path_factory.mktemp("runs") / "joint"
    recipe = JointRecipe.model_validate(joint_data(latents, steps=2))
    run_joint(recipe, folder)
    (folder / "recipe.json").write_text(recipe_json(recipe))
    return folder


def export_recipe(run, codecs, output, **changes):
    settings = {"unit": "export", "run": run, "output": output, "capabilities": CAPABILITIES, **codecs, **changes}
    return ExportRecipe.model_validate(settings)


def test_the_folder_holds_the_averaged_weights_and_makes_clips(run, codecs, tmp_path):
    output = tmp_path / "model"
    figures = run_export(export_recipe(run, codecs, output), tmp_path)
    assert figures["step"] == 2
    assert figures["megabytes"] > 0
    pipeline = NavaPipeline.from_pretrained(output)
    averaged = load_weights(latest_checkpoint(run / "checkpoints"), "transformer", ema=True)
    for key, value in pipeline.transformer.state_dict().items():
        assert torch.equal(value, averaged[key].to(torch.bfloat16).float())
    made = pipeline("a red ball", seed=1)
    assert made.frames.shape[2:] == (32, 32, 3)
    assert np.isfinite(made.audio).all()
    index = json.loads((output / "model_index.json").read_text())
    assert index["transformer"] == ["vivace", "NavaTransformer"]
    listed = json.loads((output / "checksums.json").read_text())["files"]
    assert {output / name for name in listed} == {path for path in output.glob("*/*") if path.is_file()}
    assert {output / name for name in listed} > set(output.rglob("*.safetensors"))
    assert oct((output / "transformer" / "diffusion_pytorch_model.safetensors").stat().st_mode)[-3:] == "644"


def test_the_transformer_knows_its_codecs_and_the_record_stands_beside_it(run, codecs, tmp_path):
    output = tmp_path / "model"
    run_export(export_recipe(run, codecs, output), tmp_path)
    pipeline = NavaPipeline.from_pretrained(output)
    trained_with = pipeline.transformer.config.trained_with
    for name in ("vae", "audio_vae", "text_encoder"):
        assert trained_with[name] == weights_hash(getattr(pipeline, name))
    record = output / "training" / "joint"
    assert json.loads((record / "recipe.json").read_text())["seed"] == 7
    assert len((record / "metrics.jsonl").read_text().splitlines()) >= 2
    other = tmp_path / "exchanged"
    shutil.copytree(output, other)
    vae = pipeline.vae
    with torch.no_grad():
        next(vae.parameters()).add_(0.1)
    vae.save_pretrained(tmp_path / "changed")
    shutil.copy(tmp_path / "changed" / "diffusion_pytorch_model.safetensors", other / "vae")
    with pytest.raises(VivaceError, match=r"not those that checksums\.json lists"):
        NavaPipeline.from_pretrained(other)
    (other / "checksums.json").unlink()
    with pytest.raises(VivaceError, match="another vae"):
        NavaPipeline.from_pretrained(other)


def test_an_export_that_fails_leaves_the_model_that_was_there(run, codecs, tmp_path):
    output = tmp_path / "models" / "tiny"
    recipe = export_recipe(run, codecs, output)
    run_export(recipe, tmp_path)
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    # As a kill between the two would leave it: the model is put aside, and none is in its place yet.
    output.rename(output.with_name(".before-tiny"))
    with small_disk(10_000), pytest.raises(VivaceError) as caught:
        run_export(recipe, tmp_path)
    assert str(caught.value).startswith(f"Output {str(output)!r} cannot be written: ")
    assert [path.name for path in output.parent.iterdir()] == ["tiny"]
    assert {path: path.read_bytes() for path in output.rglob("*") if path.is_file()} == before


def test_other_codecs_and_missing_runs_are_refused(run, codecs, latents, tmp_path):
    torch.manual_seed(99)
    from tests.tiny import tiny_vae

    vae = tiny_vae()
    with torch.no_grad():
        next(vae.parameters()).mul_(2)
    vae.save_pretrained(tmp_path / "vae")
    with pytest.raises(VivaceError, match="vae is not the one"):
        run_export(export_recipe(run, {**codecs, "vae": tmp_path / "vae"}, tmp_path / "model"), tmp_path)
    with pytest.raises(VivaceError, match="no such checkpoint"):
        run_export(export_recipe(tmp_path / "nowhere", codecs, tmp_path / "model"), tmp_path)
    with pytest.raises(VivaceError, match="kept: step-00000002"):
        find_checkpoint(run, step=1)
    assert not (tmp_path / "model").exists()
    IstftVocoder(dim=16, num_layers=1).save_pretrained(tmp_path / "vocoder")
    again = export_recipe(run, {**codecs, "vocoder": tmp_path / "vocoder"}, tmp_path / "model")
    assert run_export(again, tmp_path)["step"] == 2
