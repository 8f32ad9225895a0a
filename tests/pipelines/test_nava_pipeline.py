import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.tiny import tiny_pipeline

from vivace.data.fingerprint import weights_hash
from vivace.errors import VivaceError
from vivace.pair import AV
from vivace.pipelines.nava import NavaPipeline, SamplingCancelledError


def test_a_call_makes_pictures_and_sound_of_the_timeline_s_length(pipeline: NavaPipeline) -> None:
    out = pipeline("a red ball bounces", seed=1)
    assert out.frames.shape == (1, 5, 32, 32, 3)
    assert out.frames.dtype == np.uint8
    assert out.audio.shape == (1, 2, out.timeline.samples)
    assert out.audio.dtype == np.float32
    assert np.isfinite(out.audio).all()
    assert (out.audio_sample_rate, float(out.fps), out.seeds) == (16000, 24.0, [1])
    assert set(out.seconds_spent) == {"text", "given", "sampling", "decoding"}


def test_the_seed_decides_the_clip(pipeline: NavaPipeline) -> None:
    first, again, other = (pipeline("a drum", seed=s, output_type="latent") for s in (4, 4, 5))
    assert torch.equal(first.frames, again.frames)
    assert torch.equal(first.audio, again.audio)
    assert not torch.allclose(first.audio, other.audio)


def test_a_clip_of_a_batch_is_the_clip_alone(pipeline: NavaPipeline) -> None:
    prompts = ["a red ball", "two loud blue drums in a long sentence", "a bell"]
    batch = pipeline(prompts, seed=[7, 8, 9], output_type="latent", preset="aligned")
    for k, prompt in enumerate(prompts):
        solo = pipeline(prompt, seed=7 + k, output_type="latent", preset="aligned")
        torch.testing.assert_close(batch.frames[k : k + 1], solo.frames, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(batch.audio[k : k + 1], solo.audio, atol=1e-5, rtol=1e-5)
    assert pipeline(prompts, seed=7, output_type="latent").seeds == [7, 8, 9]


def test_generators_give_seeds_that_can_be_used_again(pipeline: NavaPipeline) -> None:
    out = pipeline("a drum", generator=torch.Generator().manual_seed(3), output_type="latent")
    again = pipeline("a drum", seed=out.seeds, output_type="latent")
    assert torch.equal(out.audio, again.audio)
    with pytest.raises(VivaceError, match="one of them"):
        pipeline("a drum", seed=1, generator=torch.Generator())


@pytest.mark.parametrize("modalities", ["video", "audio"])
def test_one_side_alone(pipeline: NavaPipeline, modalities: Any) -> None:
    out = pipeline("a drum", seed=1, modalities=modalities, preset="aligned")
    assert (out.frames is None) == (modalities == "audio")
    assert (out.audio is None) == (modalities == "video")


def test_text_and_guides_matter_and_one_by_one_equals_together(pipeline: NavaPipeline) -> None:
    base = pipeline("a drum", seed=1, output_type="latent")
    for change in ({"prompt": "a bell"}, {"guides": {"text": 5}}, {"guides": {"align.audio": 2}}):
        other = pipeline(**{"prompt": "a drum", "seed": 1, "output_type": "latent", **change})
        assert not torch.allclose(base.audio, other.audio, atol=1e-4)
    apart = pipeline("a drum", seed=1, output_type="latent", together=False)
    torch.testing.assert_close(apart.frames, base.frames, atol=1e-5, rtol=1e-5)
    neutral = pipeline("a drum", seed=1, guides={"text": 1}, negative_prompt="a bell", output_type="latent")
    plain = pipeline("a drum", seed=1, guides={"text": 1}, output_type="latent")
    assert torch.equal(neutral.audio, plain.audio)


def test_a_callback_sees_both_latents_may_replace_them_and_may_cancel(pipeline: NavaPipeline) -> None:
    seen: list[tuple[int, int]] = []

    def look(pipe: NavaPipeline, step: int, timestep: int, state: dict[str, AV[torch.Tensor]]) -> Any:
        assert pipe is pipeline
        assert state["latents"].video is not None
        assert state["latents"].audio is not None
        seen.append((step, timestep))
        return {"latents": state["latents"].map(torch.zeros_like)} if step == 2 else None

    out = pipeline("a drum", seed=1, callback_on_step_end=look, output_type="latent")
    assert [step for step, _ in seen] == [0, 1, 2]
    assert seen[0][1] == 999
    assert not out.frames.any()

    def stop(*_: Any) -> None:
        raise SamplingCancelledError

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    def ask_to_stop(pipe: NavaPipeline, *_: Any) -> None:
        pipe._interrupt = True

    asked = (stop, SamplingCancelledError), (ask_to_stop, SamplingCancelledError)
    for callback, error in (*asked, (interrupt, KeyboardInterrupt)):
        with pytest.raises(error):
            pipeline("a drum", seed=1, callback_on_step_end=callback)
    assert torch.equal(
        pipeline("a drum", seed=1, output_type="latent").audio, pipeline("a drum", seed=1, output_type="latent").audio
    )


def test_a_saved_pipeline_loads_as_the_same_model(pipeline: NavaPipeline, model_folder: Path) -> None:
    index = json.loads((model_folder / "model_index.json").read_text())
    assert index["_class_name"] == "NavaPipeline"
    assert index["transformer"] == ["vivace", "NavaTransformer"]
    loaded = NavaPipeline.from_pretrained(model_folder)
    loaded.set_progress_bar_config(disable=True)
    assert loaded.abilities == pipeline.abilities
    a, b = (p("a drum", seed=2) for p in (pipeline, loaded))
    np.testing.assert_array_equal(a.frames, b.frames)
    np.testing.assert_array_equal(a.audio, b.audio)


def test_weights_stored_in_bfloat16_are_computed_with_in_float32(tmp_path: Path) -> None:
    stored = tiny_pipeline()
    for part in (stored.transformer, stored.vae, stored.audio_vae, stored.vocoder, stored.text_encoder):
        part.to(torch.bfloat16)
    stored.save_pretrained(tmp_path / "model")
    loaded = NavaPipeline.from_pretrained(tmp_path / "model")
    for name in ("transformer", "text_encoder", "vae", "audio_vae", "vocoder"):
        assert getattr(loaded, name).dtype == torch.float32
    assert np.isfinite(loaded("a drum", seed=1).audio).all()


def test_a_transformer_refuses_parts_that_it_was_not_trained_with(model_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(model_folder, tmp_path / "model"))
    config = json.loads((folder / "transformer" / "config.json").read_text())
    good = weights_hash(tiny_pipeline().vae)
    for recorded, fits in ((good, True), ("0" * 64, False)):
        config["trained_with"] = {"vae": recorded}
        (folder / "transformer" / "config.json").write_text(json.dumps(config))
        if fits:
            NavaPipeline.from_pretrained(folder)
        else:
            with pytest.raises(VivaceError, match="trained with another vae"):
                NavaPipeline.from_pretrained(folder)


@pytest.mark.parametrize(("part", "value"), [("transformer", float("nan")), ("vae", float("-inf"))])
def test_weights_that_are_not_finite_are_refused(model_folder: Path, tmp_path: Path, part: str, value: float) -> None:
    folder = Path(shutil.copytree(model_folder, tmp_path / "model"))
    weights = next((folder / part).glob("*.safetensors"))
    state = load_file(weights)
    # A query's norm: attention returns numbers even for queries that are none, so no clip would tell.
    name = next(n for n in state if n.endswith("norm_q.weight" if part == "transformer" else "bias"))
    save_file({**state, name: torch.full_like(state[name], value)}, weights)
    with pytest.raises(VivaceError, match=f"weights of the {part} hold values in '{name}' that are not finite"):
        NavaPipeline.from_pretrained(folder)


def test_a_folder_whose_weights_do_not_fit_is_refused_in_one_sentence(model_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(model_folder, tmp_path / "model"))
    config = json.loads((folder / "transformer" / "config.json").read_text())
    config["dim"] = 64
    (folder / "transformer" / "config.json").write_text(json.dumps(config))
    with pytest.raises(VivaceError, match="do not fit the NavaTransformer") as caught:
        NavaPipeline.from_pretrained(folder)
    assert "\n" not in str(caught.value)


def test_a_preset_s_own_negative_prompt_is_named(pipeline: NavaPipeline) -> None:
    preset = pipeline.abilities.preset_named("plain")
    long = preset.model_copy(update={"negative_video": "b" * 200})
    with pytest.raises(VivaceError, match=r"The preset's negative prompt is 201 tokens long"):
        pipeline("a", preset=long)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"prompt": ""}, "prompt is empty"),
        ({"prompt": []}, "0 prompts"),
        ({"prompt": "a" * 200}, "The prompt is 201 tokens long"),
        ({"prompt": "a", "negative_prompt": "b" * 200}, "The negative prompt is 201 tokens long"),
        ({"prompt": "a", "negative_prompt": "<S>"}, "negative prompt opens"),
        ({"prompt": "a", "height": 33}, "height 33"),
        ({"prompt": "a", "width": 32.0}, "whole number"),
        ({"prompt": "a", "seconds": float("nan")}, "seconds"),
        ({"prompt": "a", "seconds": 1e9}, "seconds"),
        ({"prompt": "a", "fps": 0}, "fps"),
        ({"prompt": "a", "num_inference_steps": 0}, "steps"),
        ({"prompt": "a", "preset": "best"}, "plain, aligned"),
        ({"prompt": "a", "guides": {"text": float("inf")}}, "text"),
        ({"prompt": "a", "seed": -1}, "seed"),
        ({"prompt": "a", "seed": [1, 2]}, "2 seeds"),
        ({"prompt": "a", "modalities": "smell"}, "smell"),
        ({"prompt": "a", "output_type": "pil"}, "pil"),
    ],
)
def test_bad_arguments_are_refused_in_one_sentence(
    pipeline: NavaPipeline, settings: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(VivaceError, match=complaint) as caught:
        pipeline(**settings)
    assert "\n" not in str(caught.value)
