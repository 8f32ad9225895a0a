"""The refiner's pipeline: sizes, sound that stays, guidance, folders."""

import json
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.tiny import REFINER_CAPABILITIES, tiny_alive_pipeline, tiny_refiner_pipeline

import vivace
from vivace.conditioning.given import encode_pictures, fit_pictures
from vivace.errors import VivaceError
from vivace.media import Clip
from vivace.pipelines.folder import find_model, folder_hash, read_index
from vivace.pipelines.refiner import AliveRefinerPipeline
from vivace.pipelines.refiner_abilities import RefinerCapabilities
from vivace.sampling.mutual_presets import MutualPreset

RATE = 16000


@pytest.fixture(scope="module")
def refiner() -> AliveRefinerPipeline:
    return tiny_refiner_pipeline()


def _clip(frames: int = 5, height: int = 32, width: int = 32, sound: bool = True, fps: int = 24) -> Clip:
    dice = np.random.default_rng(1)
    pictures = dice.integers(0, 256, (frames, height, width, 3), dtype=np.uint8)
    audio = (0.1 * dice.standard_normal((2, round(frames / fps * RATE)))).astype(np.float32) if sound else None
    return Clip(pictures, Fraction(fps), audio, RATE)


def test_pictures_become_larger_and_sound_and_its_latents_come_back_as_they_went_in(
    refiner: AliveRefinerPipeline,
) -> None:
    made = refiner.base("a drum", seed=1)
    clip = Clip(made.frames[0], made.fps, made.audio[0].clip(-1, 1), made.audio_sample_rate)
    out = refiner(clip, "a drum", audio_latents=made.latents.audio, seed=2, preset="guided")
    assert out.frames.shape == (5, 64, 64, 3)
    assert out.frames.dtype == np.uint8
    assert out.audio is clip.audio
    assert torch.equal(out.latents.audio, made.latents.audio)
    assert (out.fps, out.audio_sample_rate, out.seed) == (clip.fps, clip.sample_rate, 2)
    again, other, words, louder = (
        refiner(clip, text, audio_latents=latents, seed=seed, preset="guided").latents.video
        for text, latents, seed in (
            ("a drum", made.latents.audio, 2),
            ("a drum", made.latents.audio, 3),
            ("a bell", made.latents.audio, 2),
            ("a drum", made.latents.audio + 1, 2),
        )
    )
    assert torch.equal(again, out.latents.video)
    for changed in (other, words, louder):
        assert not torch.allclose(changed, out.latents.video, atol=1e-4)


def test_without_latents_the_sound_is_encoded_and_without_sound_none_is_heard(refiner: AliveRefinerPipeline) -> None:
    with_sound, silent = refiner(_clip(), seed=1), refiner(_clip(sound=False), seed=1)
    assert with_sound.latents.audio.shape == (1, with_sound.timeline.audio_tokens, 128)
    assert silent.audio is None
    assert silent.latents.audio is None
    assert not torch.allclose(with_sound.latents.video, silent.latents.video, atol=1e-4)
    assert [b.name for b in refiner.plan(_clip(sound=False), "a drum", preset="guided").rule.needed()] == [
        "conditional",
        "negative",
    ]


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ({}, (64, 96)),
        ({"scale": 1.5}, (48, 72)),
        ({"scale": 2.25}, (72, 108)),
        ({"width": 144, "height": 96}, (96, 144)),
    ],
)
def test_any_even_size_of_the_clip_s_shape_can_be_made(
    refiner: AliveRefinerPipeline, settings: Any, size: tuple[int, int]
) -> None:
    out = refiner(_clip(height=32, width=48), seed=1, **settings)
    assert out.frames.shape == (5, *size, 3)
    if settings.get("scale") == 1.5:
        assert refiner.plan(_clip(), scale=1.5).notes == [
            "tiny refiner was trained to enlarge by 2; 1.5 may look worse."
        ]
    assert refiner.plan(_clip()).notes == []


@pytest.mark.parametrize("frames", [1, 4, 6])
def test_any_number_of_pictures_can_be_refined(refiner: AliveRefinerPipeline, frames: int) -> None:
    out = refiner(_clip(frames), seed=1)
    assert len(out.frames) == frames
    assert out.timeline.frames >= frames


def test_a_start_without_noise_and_a_network_of_zeros_give_the_clip_made_larger() -> None:
    pipeline = tiny_refiner_pipeline()
    with torch.no_grad():
        for parameter in pipeline.transformer.video.head.parameters():
            parameter.zero_()
    clip = _clip()
    out = pipeline(clip, seed=1, degradation=0.0)
    with torch.no_grad():
        low = encode_pictures(pipeline.base.vae, [fit_pictures(clip.frames, 64, 64)], torch.device("cpu"))
    assert torch.equal(out.latents.video, low)
    half = pipeline(clip, seed=1, degradation=0.5).latents.video
    noise = pipeline(clip, seed=1, degradation=1.0).latents.video
    torch.testing.assert_close(half, 0.5 * low + 0.5 * noise)


def test_scales_of_one_are_one_plain_evaluation_and_guides_change_the_picture(refiner: AliveRefinerPipeline) -> None:
    def branches(**settings: Any) -> list[str]:
        return [branch.name for branch in refiner.plan(_clip(), **settings).rule.needed()]

    assert branches(prompt="a drum") == ["conditional"]
    assert branches(prompt="a drum", guides={"text": 2}) == ["conditional", "negative"]
    assert branches(prompt="a drum", preset="guided") == ["conditional", "negative", "solo"]
    assert branches(preset="guided") == ["conditional", "solo"]  # without words there is nothing to weigh
    plain, guided = (refiner(_clip(), "a drum", seed=1, guides=g).latents.video for g in ({}, {"mutual": 3}))
    assert not torch.allclose(plain, guided, atol=1e-4)
    fast = MutualPreset(steps=2, form="fast", text={"video": 2, "audio": 2}, mutual={"video": 2, "audio": 2})
    for clip, prompt in ((_clip(), "a drum"), (_clip(sound=False), None)):
        assert refiner(clip, prompt, seed=1, preset=fast).frames.shape[0] == 5


def test_every_step_is_told(refiner: AliveRefinerPipeline) -> None:
    seen: list[int] = []
    refiner(_clip(), seed=1, num_inference_steps=3, on_step=lambda step: seen.append(step.index))
    assert seen == [0, 1, 2]


@pytest.mark.parametrize(
    ("clip", "settings", "complaint"),
    [
        (Clip(None, Fraction(24), np.zeros((2, 800), np.float32), RATE), {}, "has no pictures"),
        ("clip.mp4", {}, "is str; read it first"),
        (_clip(height=8, width=32), {}, "32x8 and tiny refiner takes sides from 16"),
        (_clip(fps=30), {}, "30 pictures a second and tiny refiner refines 24"),
        (_clip(60, 16, 16), {}, "lasts 2.50 s and tiny refiner refines up to 2 s"),
        (_clip(), {"scale": 9}, "scale 9 is not possible with tiny refiner; give 1 to 4"),
        (_clip(), {"scale": float("nan")}, "scale nan"),
        (_clip(), {"scale": 2, "width": 64, "height": 64}, "both given"),
        (_clip(), {"width": 64}, "one was given"),
        (_clip(), {"width": 64, "height": 80}, "not of the shape of the clip, 32x32; give one such as 64x64"),
        (_clip(), {"width": 65, "height": 65}, "odd"),
        (_clip(), {"width": 16, "height": 16}, "0.50 times"),
        (_clip(height=96, width=96), {"scale": 3}, "288x288 are larger than tiny refiner makes; sides go up to 256"),
        (_clip(), {"preset": "best"}, "Preset 'best' is unknown to tiny refiner"),
        (_clip(), {"guides": {"text": 2}}, "no prompt was given"),
        (_clip(sound=False), {"guides": {"mutual": 2}}, "the clip has no sound"),
        (_clip(), {"guides": {"references": 2}}, "takes none"),
        (_clip(), {"guides": {"mutual.audio": 2}}, "leaves the sound as it is"),
        (_clip(), {"guides": {"align": 2}}, "Guide 'align' is unknown"),
        (_clip(), {"degradation": 2}, "degradation 2 is no number"),
        (_clip(), {"num_inference_steps": 0}, "steps 0"),
        (_clip(), {"prompt": "<S>hello"}, "never closes it"),
        (_clip(), {"audio_latents": torch.zeros(1, 3, 128)}, r"\(1, 3, 128\) do not belong to a clip of this length"),
        (_clip(), {"seed": -1}, "seed -1"),
        (
            Clip(_clip(9).frames, Fraction(24), np.zeros((2, 800), np.float32), RATE),
            {},
            r"lasts 0.050 s, shorter than its pictures \(0.375 s\)",
        ),
        (Clip(_clip(5).frames, Fraction(24), np.zeros((2, RATE), np.float32), RATE), {}, "1.000 s, longer than"),
    ],
)
def test_what_cannot_be_refined_is_refused_in_a_sentence(
    refiner: AliveRefinerPipeline, clip: Any, settings: Any, complaint: str
) -> None:
    with pytest.raises(VivaceError, match=complaint) as caught:
        refiner.plan(clip, **settings)
    assert "\n" not in str(caught.value)


def test_a_folder_holds_the_refiner_s_own_weights_and_names_its_base(tmp_path: Path) -> None:
    made = tiny_refiner_pipeline()
    made.base.save_pretrained(tmp_path / "alive")
    made.save_pretrained(tmp_path / "refiner", base="alive")
    assert sorted(path.name for path in (tmp_path / "refiner").iterdir()) == [
        "model_index.json",
        "scheduler",
        "transformer",
    ]
    loaded = AliveRefinerPipeline.from_pretrained(tmp_path / "refiner")
    assert loaded.abilities == made.abilities == RefinerCapabilities.read(REFINER_CAPABILITIES)
    a, b = (pipeline(_clip(), "a drum", seed=1).latents.video for pipeline in (made, loaded))
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
    assert len(folder_hash(tmp_path / "refiner")) == 64

    elsewhere = tmp_path / "elsewhere" / "refiner"
    shutil.copytree(tmp_path / "refiner", elsewhere)
    with pytest.raises(VivaceError, match="needs the model 'alive', which is neither beside it nor shipped"):
        AliveRefinerPipeline.from_pretrained(elsewhere)
    assert AliveRefinerPipeline.from_pretrained(elsewhere, base=tmp_path / "alive").abilities == made.abilities
    assert AliveRefinerPipeline.from_pretrained(elsewhere, base=loaded.base).base is loaded.base

    other = tiny_alive_pipeline()
    with torch.no_grad():
        other.transformer.audio.embedding.bias.add_(1)
    with pytest.raises(VivaceError, match="trained with another audio_tower"):
        AliveRefinerPipeline.from_pretrained(elsewhere, base=other)
    with pytest.raises(VivaceError, match="no plain name"):
        made.save_pretrained(tmp_path / "x", base="../alive")


def test_a_refiner_is_no_model_that_generates_and_the_other_way_round(tmp_path: Path) -> None:
    made = tiny_refiner_pipeline()
    made.base.save_pretrained(tmp_path / "alive")
    made.save_pretrained(tmp_path / "refiner", base="alive")
    with pytest.raises(VivaceError, match=r"holds a refiner.*vivace refine"):
        find_model(str(tmp_path / "refiner"))
    with pytest.raises(VivaceError, match="holds a refiner"):
        vivace.AlivePipeline.from_pretrained(tmp_path / "refiner")
    with pytest.raises(VivaceError, match="holds a AlivePipeline, not a AliveRefinerPipeline"):
        AliveRefinerPipeline.from_pretrained(tmp_path / "alive")
    (tmp_path / "refiner" / "transformer" / "config.json").unlink()
    with pytest.raises(VivaceError, match="lacks the configuration of its transformer"):
        AliveRefinerPipeline.from_pretrained(tmp_path / "refiner")
    assert json.loads((tmp_path / "refiner" / "model_index.json").read_text())["base"] == "alive"
    (tmp_path / "alive" / "model_index.json").write_text('{"_class_name": "Other"}')
    with pytest.raises(VivaceError, match="not a NavaPipeline or AlivePipeline"):
        read_index(tmp_path / "alive")
