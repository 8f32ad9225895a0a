import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.tiny import tiny_transformer
from tests.training.small import joint_data

from vivace.errors import VivaceError
from vivace.models.nava import NavaTransformer
from vivace.pair import AV
from vivace.training.joint import JointObjective, JointRecipe, run_joint
from vivace.training.warm_start import is_audio_only, video_part


def pictures_of(model: NavaTransformer) -> torch.Tensor:
    draw = torch.Generator().manual_seed(1)
    latents = AV(video=torch.randn(2, 4, 3, 4, 4, generator=draw))
    text = [torch.randn(5, 16, generator=draw), torch.randn(3, 16, generator=draw)]
    with torch.no_grad():
        out = model(latents, AV(video=torch.tensor([300.0, 700.0])), model.encode_context(text))
    assert isinstance(out.video, torch.Tensor)
    return out.video


def test_what_only_sound_uses_takes_no_part_in_pictures() -> None:
    model = tiny_transformer()
    before = pictures_of(model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if is_audio_only(name):
                parameter.fill_(float("nan"))
    assert torch.equal(pictures_of(model), before)
    for name, parameter in model.named_parameters():
        if not is_audio_only(name):
            kept = parameter.detach().clone()
            with torch.no_grad():
                parameter.add_(torch.randn_like(parameter))
            assert not torch.equal(pictures_of(model), before), name
            with torch.no_grad():
                parameter.copy_(kept)


def video_run(latents, folder):
    """A short training of pictures alone."""
    data = joint_data(latents, steps=2, tasks=[{"name": "t2v", "probability": 1.0, "audio": "absent"}])
    recipe = JointRecipe.model_validate(data)
    run_joint(recipe, folder)
    return data


def test_a_joint_model_begins_as_the_video_model_that_it_starts_from(latents, tmp_path):
    data = video_run(latents, tmp_path / "video")
    untrained = JointObjective(JointRecipe.model_validate(data), tmp_path / "x").transformer
    started = JointObjective(
        JointRecipe.model_validate({**data, "start_from": str(tmp_path / "video")}), tmp_path / "joint"
    )
    assert not torch.equal(pictures_of(started.transformer), pictures_of(untrained))

    # The same from a model folder out of which all that only sound uses has been cut.
    folder = tmp_path / "model"
    started.transformer.save_pretrained(folder / "transformer")
    started.text_encoder.save_pretrained(folder / "text_encoder")
    weights = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    save_file(video_part(load_file(weights)), weights)
    other_seed = JointRecipe.model_validate({**data, "seed": 8, "start_from": str(folder)})
    joint = JointObjective(other_seed, tmp_path / "joint")
    assert torch.equal(pictures_of(joint.transformer), pictures_of(started.transformer))
    fresh = {name: p for name, p in joint.transformer.named_parameters() if is_audio_only(name)}
    old = dict(started.transformer.named_parameters())
    assert any(not torch.equal(p, old[name]) for name, p in fresh.items())
    assert all(torch.isfinite(p).all() for p in fresh.values())
    # And it trains on with sound.
    joint.recipe.stages[0].tasks[0].model_copy(update={"audio": "generated"})
    parts = JointObjective(
        JointRecipe.model_validate({**joint_data(latents), "start_from": str(folder)}), tmp_path
    ).loss(0)
    assert set(parts) == {"loss", "video", "audio"}
    parts["loss"].backward()


def test_parts_can_begin_anew(latents, tmp_path):
    data = video_run(latents, tmp_path / "video")

    def started(**changes: object) -> dict[str, torch.Tensor]:
        recipe = JointRecipe.model_validate({**data, "seed": 8, "start_from": str(tmp_path / "video"), **changes})
        return dict(JointObjective(recipe, tmp_path / "x").transformer.named_parameters())

    untrained = dict(JointObjective(JointRecipe.model_validate({**data, "seed": 8}), tmp_path).transformer.state_dict())
    taken, anew = started(), started(start_anew=["text_embedding", "cross_attn"])
    for name, parameter in anew.items():
        fresh = "text_embedding" in name or "cross_attn" in name
        assert torch.equal(parameter, untrained[name] if fresh else taken[name]), name
    assert not torch.equal(taken["text_embedding.0.weight"], anew["text_embedding.0.weight"])
    with pytest.raises(VivaceError, match="start_anew names 'text_embeding'"):
        started(start_anew=["text_embeding"])


def test_weights_that_do_not_fit_are_refused_in_one_sentence(latents, tmp_path):
    data = joint_data(latents)
    folder = tmp_path / "model"
    JointObjective(JointRecipe.model_validate(data), tmp_path).transformer.save_pretrained(folder / "transformer")
    JointObjective(JointRecipe.model_validate(data), tmp_path).text_encoder.save_pretrained(folder / "text_encoder")
    weights = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    whole = load_file(weights)

    def refused() -> None:
        with pytest.raises(VivaceError, match="does not fit: transformer") as caught:
            JointObjective(JointRecipe.model_validate({**data, "start_from": str(folder)}), tmp_path)
        assert "\n" not in str(caught.value)

    save_file({name: value for name, value in whole.items() if name != "video_head.linear.bias"}, weights)
    refused()
    save_file({**whole, "more": torch.zeros(1)}, weights)
    refused()
    save_file({**whole, "video_head.linear.bias": torch.zeros(3)}, weights)
    refused()
    weights.unlink()
    refused()
