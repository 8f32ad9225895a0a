import pytest
import torch
from tests.training.small import joint_data

from vivace.errors import VivaceError
from vivace.training.joint import JointObjective, JointRecipe
from vivace.training.validate import LEVELS


def sampling_recipe(latents, codecs):
    data = joint_data(latents)
    data["validation"]["samples"] = {
        **{name: str(path) for name, path in codecs.items()},
        "prompts": 2,
        "batch": 1,
        "seconds": 0.8,
        "height": 32,
        "width": 32,
        "preset": {"steps": 2, "solver": "euler"},
    }
    return JointRecipe.model_validate(data)


def test_held_out_losses_are_always_the_same_and_have_every_level(latents, tmp_path):
    objective = JointObjective(JointRecipe.model_validate(joint_data(latents)), tmp_path)
    figures = objective.validate(1)
    torch.manual_seed(4)
    assert objective.validate(2) == figures
    for modality in ("video", "audio"):
        levels = [figures[f"{modality}@{level}"] for level in LEVELS]
        assert figures[modality] == pytest.approx(sum(levels) / len(levels))


def test_what_the_caption_tells_is_seen_beside_that_of_another(latents, tmp_path):
    objective = JointObjective(JointRecipe.model_validate(joint_data(latents)), tmp_path)
    names = ("video@1.0", "audio@1.0")
    with torch.no_grad():
        for parameter in objective.transformer.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    reading = objective.validate(0)
    assert all(reading[f"another_caption/{name}"] != reading[name] for name in names)
    with torch.no_grad():
        for name, parameter in objective.transformer.named_parameters():
            if "text_embedding" in name:
                parameter.zero_()
    deaf = objective.validate(0)
    assert all(deaf[f"another_caption/{name}"] == pytest.approx(deaf[name], abs=1e-5) for name in names)


def test_samples_are_written_and_judged_and_leave_training_as_it_was(latents, codecs, tmp_path):
    objective = JointObjective(sampling_recipe(latents, codecs), tmp_path)
    before = objective.loss(3)["loss"]
    figures = objective.validate(20)
    folder = tmp_path / "samples" / "step-00000020"
    assert sorted(path.name for path in folder.iterdir()) == ["00.mp4", "00.png", "01.mp4", "01.png"]
    assert set(figures) > {"video", "audio"}
    # Nothing that inference left behind may reach the next step: same loss, and gradients flow.
    after = objective.loss(3)["loss"]
    assert torch.equal(before, after)
    after.backward()


def test_samples_with_other_codecs_than_those_of_the_latents_are_refused(latents, codecs, tmp_path):
    from vivace.training.codec_files import load_codecs

    vae, _ = load_codecs(codecs["vae"], codecs["audio_vae"])
    with torch.no_grad():
        next(vae.parameters()).add_(0.1)
    vae.save_pretrained(tmp_path / "vae")
    with pytest.raises(VivaceError, match="not the one that the latents were made with"):
        JointObjective(sampling_recipe(latents, {**codecs, "vae": tmp_path / "vae"}), tmp_path)
