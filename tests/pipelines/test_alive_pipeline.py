"""Alive's pipeline: every task, references, guidance, folders."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.tiny import tiny_alive_pipeline, tiny_alive_transformer

import vivace
from vivace.conditioning.given import encode_pictures
from vivace.conditioning.text import encode_prompts
from vivace.errors import VivaceError
from vivace.media import Clip
from vivace.pipelines.alive import AlivePipeline
from vivace.pipelines.nava import NavaPipeline
from vivace.sampling.guidance_shaping import Shaping
from vivace.sampling.mutual_presets import MutualPreset

RATE = 16000


@pytest.fixture(scope="module")
def alive() -> AlivePipeline:
    return tiny_alive_pipeline()


def _picture(height: int = 32, width: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _pictures(count: int, seed: int = 0) -> np.ndarray:
    return np.stack([_picture(seed=100 * seed + k) for k in range(count)])


def _sound(seconds: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal((2, round(seconds * RATE)))
    return (0.1 * noise).clip(-1, 1).astype(np.float32)


def test_a_call_makes_pictures_and_sound_that_seed_and_text_decide(alive: AlivePipeline) -> None:
    out = alive("a red ball bounces", seed=1, preset="full")
    assert out.frames.shape == (1, 5, 32, 32, 3)
    assert out.audio.shape == (1, 2, out.timeline.samples)
    assert np.isfinite(out.audio).all()
    again, other, bell = (
        alive(text, seed=seed, preset="full", output_type="latent")
        for text, seed in (("a red ball bounces", 1), ("a red ball bounces", 2), ("a bell", 1))
    )
    assert torch.equal(out.latents.video, again.frames)
    assert torch.equal(out.latents.audio, again.audio)
    for changed in (other, bell):
        assert not torch.allclose(again.frames, changed.frames, atol=1e-4)
        assert not torch.allclose(again.audio, changed.audio, atol=1e-4)


def test_what_is_spoken_is_read_by_itself(alive: AlivePipeline) -> None:
    plan = alive.plan("a man says <S>hello<E> and <S>good bye<E>", seed=1)
    read = alive._read(plan, torch.device("cpu"))
    spoken = encode_prompts(alive.text_encoder, alive.tokenizer, ["hello good bye"]).features[0]
    assert torch.equal(read[plan.prompts[0]].spoken, spoken)
    assert len(read[None].spoken) == len(read[None].whole) == 0
    for text in ("a drum", "the drum"):
        assert len(alive._read(alive.plan(text, seed=1), torch.device("cpu"))[text].spoken) == 0


def test_clips_of_a_batch_are_the_clips_alone(alive: AlivePipeline) -> None:
    prompts = ["a red ball", "two loud blue drums say <S>boom<E> to all"]
    references = [[_picture(seed=1), _picture(seed=2)], [_picture(seed=3)]]
    settings: dict[str, Any] = {"output_type": "latent", "preset": "full"}
    batch = alive(prompts, seed=[7, 8], references=references, **settings)
    for k, prompt in enumerate(prompts):
        solo = alive(prompt, seed=7 + k, references=references[k], **settings)
        torch.testing.assert_close(batch.frames[k : k + 1], solo.frames, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(batch.audio[k : k + 1], solo.audio, atol=1e-5, rtol=1e-5)
    apart = alive(prompts, seed=[7, 8], references=references, together=False, **settings)
    torch.testing.assert_close(apart.frames, batch.frames, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("modalities", ["video", "audio"])
def test_one_side_alone_is_guided_by_text_and_never_computes_the_other(
    alive: AlivePipeline, modalities: Any, monkeypatch: Any
) -> None:
    absent, seen = "audio" if modalities == "video" else "video", []
    forward = type(alive.transformer).forward

    def watched(self: Any, latents: Any, *rest: Any, **more: Any) -> Any:
        seen.append(latents.get(absent))
        return forward(self, latents, *rest, **more)

    monkeypatch.setattr(type(alive.transformer), "forward", watched)
    plan = alive.plan("a drum", seed=1, modalities=modalities, preset="full")
    assert len(plan.rule.needed()) == 2
    out = alive.run(plan)
    assert seen
    assert all(side is None for side in seen)
    assert (out.frames is None, out.audio is None) == (absent == "video", absent == "audio")
    with pytest.raises(VivaceError, match=r"mutual.*one side"):
        alive.plan("a drum", modalities=modalities, guides={"mutual": 2})


def test_a_first_picture_comes_back_and_is_shown_as_a_condition_too(alive: AlivePipeline) -> None:
    picture = _picture()
    out, free = alive("a drum", seed=1, image=picture), alive("a drum", seed=1)
    np.testing.assert_array_equal(out.frames[0, 0], picture)
    assert not np.array_equal(out.frames[0, 1:], free.frames[0, 1:])
    assert not torch.allclose(out.latents.audio, free.latents.audio, atol=1e-4)
    plan = alive.plan("a drum", seed=1, image=picture)
    noise = alive._noise(plan, torch.device("cpu"))
    with torch.no_grad():
        given = alive._given(plan, noise, torch.device("cpu"))
        clip = alive._contexts(plan, alive._read(plan, torch.device("cpu")), given)["conditional"].clip
        clean = encode_pictures(alive.vae, [picture[None]], torch.device("cpu"))
    assert torch.equal(clip.condition[:, :, :1], clean)
    assert clip.mask.flatten().tolist() == [1.0, 0.0]
    assert clip.times.map(len) == noise.map(lambda x: x.shape[2] if x.ndim == 5 else x.shape[1])


def test_given_sides_come_back_and_cost_no_branch(alive: AlivePipeline) -> None:
    sound, pictures = _sound(0.2), _pictures(9)
    out = alive("a drum", seed=1, audio=Clip(None, Fraction(24), sound, RATE), preset="full")
    np.testing.assert_array_equal(out.audio[0, :, : sound.shape[1]], sound)
    other = alive("a drum", seed=1, audio=Clip(None, Fraction(24), _sound(0.2, 5), RATE), preset="full")
    assert not np.array_equal(out.frames, other.frames)
    out = alive("a drum", seed=1, video=Clip(pictures, Fraction(24), None, RATE), preset="full")
    np.testing.assert_array_equal(out.frames[0], pictures)
    other = alive("a drum", seed=1, video=Clip(_pictures(9, 1), Fraction(24), None, RATE), preset="full")
    assert not torch.allclose(out.latents.audio, other.latents.audio, atol=1e-4)
    guides = {"text.video": 5.0, "mutual.video": 5.0, "text.audio": 1.0, "mutual.audio": 1.0}
    scaled = alive.abilities.preset_named(None).with_guides(guides)
    plan = alive.plan("a drum", seed=1, video=Clip(pictures, Fraction(24), None, RATE), preset=scaled)
    assert [branch.name for branch in plan.rule.needed()] == ["conditional"]


@pytest.mark.parametrize("frames", [3, 9])
def test_a_continued_clip_begins_with_the_given_one(alive: AlivePipeline, frames: int) -> None:
    clip = Clip(_pictures(frames), Fraction(24), _sound(frames / 24), RATE)
    out = alive("a drum", seed=1, extend=clip, seconds=0.3)
    np.testing.assert_array_equal(out.frames[0, :frames], clip.frames)
    np.testing.assert_array_equal(out.audio[0, :, : clip.audio.shape[1]], clip.audio)
    assert abs((out.frames.shape[1] - frames) / 24 - 0.3) < 2.1 / 24
    assert abs(out.audio.shape[2] - out.frames.shape[1] / 24 * RATE) <= 1


def test_references_change_the_clip_and_have_a_guide_of_their_own(alive: AlivePipeline) -> None:
    plain = alive("a drum", seed=1, output_type="latent")
    one = alive("a drum", seed=1, references=_picture(), output_type="latent")
    assert not torch.allclose(plain.frames, one.frames, atol=1e-4)
    assert torch.equal(one.frames, alive("a drum", seed=1, references=[_picture()], output_type="latent").frames)
    large = alive("a drum", seed=1, references=[_picture(64, 96)], output_type="latent")
    assert large.frames.shape == plain.frames.shape
    plan = alive.plan("a drum", seed=1, references=[_picture()], guides={"references": 3})
    assert [branch.name for branch in plan.rule.needed()] == ["conditional", "negative", "unreferenced"]
    read = alive._read(plan, torch.device("cpu"))
    with torch.no_grad():
        contexts = alive._contexts(
            plan, read, alive._given(plan, alive._noise(plan, torch.device("cpu")), torch.device("cpu"))
        )
        latents = encode_pictures(alive.vae, [_picture()[None]], torch.device("cpu"))
    assert torch.equal(contexts["conditional"].clip.references[0], latents[:, :, 0])
    assert contexts["unreferenced"].clip.references is None
    strong = alive("a drum", seed=1, references=_picture(), guides={"references": 3}, output_type="latent")
    assert not torch.allclose(one.frames, strong.frames, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"references": [_picture()] * 3}, "3 references were given and tiny takes up to 2"),
        ({"references": [_picture(7, 32)]}, "32x7 is too small.*at least 8x8"),
        ({"references": [[_picture()], [_picture()]]}, "2 lists of references were given for 1 prompts"),
        ({"references": ["face.png"]}, "is a path"),
        ({"references": [_picture()], "modalities": "audio"}, "only sound is made"),
        ({"guides": {"references": 2}}, "no references were given"),
        ({"guides": {"align": 2}}, "Guide 'align' is unknown"),
        ({"voices": [object()]}, "takes no voices"),
        ({"cache": 1.1}, "is no number from 0 to 1"),
        ({"preset": "best"}, "Preset 'best' is unknown"),
        ({"prompt": []}, "0 prompts"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(alive: AlivePipeline, settings: Any, complaint: str) -> None:
    with pytest.raises(VivaceError, match=complaint) as caught:
        alive.plan(**{"prompt": "a drum", **settings})
    assert "\n" not in str(caught.value)


def test_a_model_without_references_says_so() -> None:
    with pytest.raises(VivaceError, match="has not learned to use any"):
        tiny_alive_pipeline(most_references=0).plan("a drum", references=_picture())


def test_scales_of_one_are_the_plain_prediction(alive: AlivePipeline) -> None:
    ones = {"text": 1.0, "mutual": 1.0, "references": 1.0}
    plan = alive.plan("a drum", seed=1, references=_picture(), preset="full", guides=ones)
    assert [branch.name for branch in plan.rule.needed()] == ["conditional"]
    fast = MutualPreset(
        steps=2, form="fast", **{guide: {"video": 3, "audio": 3} for guide in ("text", "mutual", "references")}
    )
    assert len(alive.plan("a drum", preset=fast, references=_picture()).rule.needed()) == 3
    alive("a drum", seed=1, preset=fast, references=_picture(), output_type="latent")


def test_a_preset_may_shape_guidance(alive: AlivePipeline) -> None:
    plain = alive.abilities.preset_named("full")
    shaped = plain.model_copy(update={"limit": plain.text.model_copy(update={"video": 1.0, "audio": 1.0})})
    assert alive.plan("a drum", preset=shaped).shaping == Shaping(limit=vivace.AV(1.0, 1.0))
    a, b = (alive("a drum", seed=1, preset=preset, output_type="latent") for preset in (plain, shaped))
    assert not torch.allclose(a.frames, b.frames, atol=1e-4)


def test_a_saved_pipeline_loads_as_the_same_model(alive: AlivePipeline, tmp_path: Path) -> None:
    alive.save_pretrained(tmp_path / "model")
    index = json.loads((tmp_path / "model" / "model_index.json").read_text())
    assert index["_class_name"] == "AlivePipeline"
    assert index["transformer"] == ["vivace", "AliveTransformer"]
    loaded = vivace.AlivePipeline.from_pretrained(tmp_path / "model")
    loaded.set_progress_bar_config(disable=True)
    assert loaded.abilities == alive.abilities
    a, b = (p("a drum", seed=2, output_type="latent") for p in (alive, loaded))
    # Loaded weights lie elsewhere in memory, where matrix products may round otherwise.
    torch.testing.assert_close(a.frames, b.frames, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(a.audio, b.audio, atol=1e-5, rtol=1e-5)
    with pytest.raises(VivaceError, match="is a model for AlivePipeline, not for NavaPipeline"):
        NavaPipeline.from_pretrained(tmp_path / "model")


def test_a_transformer_of_several_text_encoders_is_refused(alive: AlivePipeline) -> None:
    parts = {name: part for name, part in alive.components.items() if name != "transformer"}
    with pytest.raises(VivaceError, match="reads 2 text encoders"):
        AlivePipeline(transformer=tiny_alive_transformer(text_dims=(16, 8)), **parts)
