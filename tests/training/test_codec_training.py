"""The codec objectives on a few true clips and tiny networks: they learn, export and report what they claim."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLLTX2Audio, AutoencoderKLWan

from vivace.data.fingerprint import weights_hash
from vivace.data.shards import ShardHeader, ShardWriter
from vivace.errors import VivaceError
from vivace.models.codecs import decode_audio, encode_audio, encode_video
from vivace.models.vocoder import IstftVocoder
from vivace.timeline import Timeline
from vivace.training.audio_codec import AudioCodecObjective, AudioCodecRecipe, run_audio_codec, stft_loss
from vivace.training.video_codec import (
    VideoCodecObjective,
    VideoCodecRecipe,
    moving_pixels,
    moving_place,
    run_video_codec,
    to_signal,
)
from vivace.world import render_audio, render_video, sample_scene


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    timeline = Timeline(frames=9)
    with_tail = Timeline(frames=13)
    writer = ShardWriter(folder, ShardHeader("clips"))
    for seed in range(4):
        scene = sample_scene(seed)
        video = render_video(scene, timeline, 64, 64)
        audio = (render_audio(scene, with_tail) * 32767).astype(np.int16)
        row = {"height": 64, "width": 64, "frames": 9}
        writer.add(f"clip-{seed}", {"video": torch.from_numpy(video), "audio": torch.from_numpy(audio)}, row)
    writer.close()
    return folder


def video_recipe(clips: Path, **changes: object) -> VideoCodecRecipe:
    values: dict[str, object] = {
        "unit": "video-codec",
        "clips": [clips],
        "validation": clips,
        "validation_clips": 2,
        "batches": [(4, 1, 32), (2, 5, 32)],
        "model": {
            "base_dim": 8,
            "z_dim": 8,
            "dim_mult": [1, 2, 2],
            "num_res_blocks": 1,
            "temperal_downsample": [True, True],
            "in_channels": 48,
            "out_channels": 48,
            "patch_size": 4,
            "scale_factor_spatial": 16,
        },
        "loop": {"steps": 40, "warmup_steps": 5, "validate_every": 40, "ema_decay": 0.8},
    }
    return VideoCodecRecipe.model_validate({**values, **changes})


def test_the_video_codec_learns_and_exports_unit_latents(clips: Path, tmp_path: Path) -> None:
    recipe = video_recipe(clips)
    before = VideoCodecObjective(recipe).validate(0)
    after = run_video_codec(recipe, tmp_path)
    assert after["psnr"] > before["psnr"] + 1
    vae = AutoencoderKLWan.from_pretrained(tmp_path / "export" / "vae", torch_dtype=torch.float32)
    with torch.no_grad():
        frames = VideoCodecObjective(recipe).validation.get(0)["video"]
        latents = encode_video(vae, to_signal(frames)[None])
    assert latents.shape == (1, 8, 3, 4, 4)
    assert latents.std().item() == pytest.approx(1.0, abs=0.5)


def test_a_crop_larger_than_every_clip_is_refused(clips: Path) -> None:
    with pytest.raises(VivaceError, match="render larger"):
        VideoCodecObjective(video_recipe(clips, batches=[(1, 1, 128)]))


def test_moving_pixels_are_where_something_moves() -> None:
    frames = torch.zeros(5, 8, 8, 3, dtype=torch.uint8)
    frames[0, 2, 3] = 200
    mask = moving_pixels(to_signal(frames))
    assert mask.sum() == 1
    assert mask[0, 0, 2, 3]


def test_crops_are_placed_where_something_moves() -> None:
    video = torch.full((9, 128, 96, 3), 90, dtype=torch.uint8)
    for t in range(9):
        video[t, 100 - t : 108 - t, 8:16] = 220
    for seed in range(20):
        y, x = moving_place(video, 32, np.random.default_rng(seed))
        assert 0 <= y <= 96
        assert 0 <= x <= 64
        assert (video[:, y : y + 32, x : x + 32] == 220).any()
    still = {moving_place(video[:1], 32, np.random.default_rng(seed)) for seed in range(20)}
    assert len(still) > 10


def test_a_training_begins_with_a_stored_codec(clips: Path, tmp_path: Path) -> None:
    objective = VideoCodecObjective(video_recipe(clips))
    objective.vae.save_pretrained(tmp_path / "vae")
    again = VideoCodecObjective(video_recipe(clips, seed=5, start_from=tmp_path / "vae"))
    assert again.validate(0) == objective.validate(0)
    other = {**video_recipe(clips).model, "z_dim": 4}
    with pytest.raises(VivaceError, match="another configuration"):
        VideoCodecObjective(video_recipe(clips, model=other, start_from=tmp_path / "vae"))


def test_a_smear_over_pictures_costs_change(clips: Path) -> None:
    parts = VideoCodecObjective(video_recipe(clips, change_weight=2.0)).loss(1)
    assert parts["change"] > 0
    assert parts["loss"] > parts["reconstruction"] + 1.9 * parts["change"]
    assert VideoCodecObjective(video_recipe(clips, change_weight=2.0)).loss(0)["change"] == 0


def test_batches_are_functions_of_the_step(clips: Path) -> None:
    one, two = VideoCodecObjective(video_recipe(clips)), VideoCodecObjective(video_recipe(clips))
    torch.testing.assert_close(one.batch(7), two.batch(7), atol=0, rtol=0)
    assert not torch.equal(one.batch(7), one.batch(9))


def audio_recipe(clips: Path, **changes: object) -> AudioCodecRecipe:
    values: dict[str, object] = {
        "unit": "audio-codec",
        "clips": [clips],
        "validation": clips,
        "validation_clips": 2,
        "batch": 2,
        "tokens": 9,
        "model": {"base_channels": 8, "ch_mult": [1, 1, 2], "num_res_blocks": 1},
        "vocoder": {"dim": 32, "num_layers": 1},
        "loop": {"steps": 30, "warmup_steps": 5, "validate_every": 30, "ema_decay": 0.8},
    }
    return AudioCodecRecipe.model_validate({**values, **changes})


def test_the_audio_codec_learns_and_exports(clips: Path, tmp_path: Path) -> None:
    recipe = audio_recipe(clips)
    before = AudioCodecObjective(recipe).validate(0)
    after = run_audio_codec(recipe, tmp_path)
    assert after["log_mel_distance"] < 0.9 * before["log_mel_distance"]
    codec = AutoencoderKLLTX2Audio.from_pretrained(tmp_path / "export" / "audio_vae", torch_dtype=torch.float32)
    vocoder = IstftVocoder.from_pretrained(tmp_path / "export" / "vocoder", torch_dtype=torch.float32)
    with torch.no_grad():
        waveform = decode_audio(codec, vocoder, encode_audio(codec, torch.zeros(1, 2, 6000), 10))
    assert waveform.shape == (1, 2, 37 * 160)


def test_a_decoder_is_trained_alone_and_the_latents_stay_what_they_were(clips: Path, tmp_path: Path) -> None:
    first = VideoCodecObjective(video_recipe(clips)).vae
    # Statistics that could not have been measured of these clips.
    first.register_to_config(latents_mean=[0.25] * 8, latents_std=[3.0] * 8)
    first.to(torch.bfloat16).save_pretrained(tmp_path / "vae")
    only = {"decoder_only": True}
    run_video_codec(video_recipe(clips, start_from=tmp_path / "vae", **only), tmp_path / "video")
    vae = AutoencoderKLWan.from_pretrained(tmp_path / "video" / "export" / "vae")
    assert weights_hash(vae) == weights_hash(first)
    assert not torch.equal(vae.decoder.conv_out.weight, first.decoder.conv_out.weight)

    begun = AudioCodecObjective(audio_recipe(clips))
    with torch.no_grad():  # latents so small that an ordinary export would scale them
        begun.audio_vae.encoder.conv_out.conv.weight.mul_(0.1)
    for name, module in begun.modules().items():
        module.to(torch.bfloat16).save_pretrained(tmp_path / "sound" / name)
    run_audio_codec(audio_recipe(clips, start_from=tmp_path / "sound", **only), tmp_path / "audio")
    codec = AutoencoderKLLTX2Audio.from_pretrained(tmp_path / "audio" / "export" / "audio_vae")
    assert weights_hash(codec) == weights_hash(begun.audio_vae)
    assert not torch.equal(codec.decoder.conv_out.conv.weight, begun.audio_vae.decoder.conv_out.conv.weight)


def test_a_decoder_alone_needs_a_codec_to_begin_with(clips: Path) -> None:
    with pytest.raises(ValueError, match="name the codec in start_from"):
        video_recipe(clips, decoder_only=True)
    with pytest.raises(ValueError, match="name the codec in start_from"):
        audio_recipe(clips, decoder_only=True)


def test_the_spectral_loss_orders_faults() -> None:
    t = torch.arange(8000) / 16000
    truth = (torch.sin(2 * torch.pi * 440 * t) * torch.exp(-6 * t))[None, None]
    louder = stft_loss(truth * 1.2, truth)
    shifted = stft_loss(truth.roll(800, -1), truth)
    noise = stft_loss(torch.randn_like(truth) * 0.1, truth)
    assert stft_loss(truth, truth) < 1e-6
    assert louder < shifted < noise
