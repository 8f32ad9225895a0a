import json

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from tests.training.small import encode_recipe

from vivace.data.fingerprint import weights_hash
from vivace.data.shards import ShardReader
from vivace.errors import VivaceError
from vivace.models.codecs import encode_audio, encode_video
from vivace.training.clips import SceneSource, Size, plan_clips, render_clip, render_picture
from vivace.training.codec_files import check_codecs, load_codecs, load_vocoder
from vivace.training.encode import ClipFolder, recordings_of, run_encode
from vivace.world import Scene, count_lines, voice_references


def test_latents_are_those_of_the_codecs_and_rows_stay(clips, codecs, latents):
    vae, audio_vae = load_codecs(codecs["vae"], codecs["audio_vae"])
    source, reader = ShardReader(clips), ShardReader(latents, "latents")
    assert reader.ids == source.ids
    for index in (0, 7):
        row, stored, clip = reader.rows[index], reader.get(index), source.get(index)
        assert row["scene"] == source.rows[index]["scene"]
        frames = clip["video"].permute(3, 0, 1, 2)[None].float() / 127.5 - 1
        with torch.inference_mode():
            video = encode_video(vae, frames)[0]
            audio = encode_audio(audio_vae, clip["audio"][None].float() / 32768, row["audio_tokens"])[0]
        assert stored["video"].dtype == torch.float16
        assert tuple(stored["video"].shape[1:]) == (row["latent_frames"], row["latent_height"], row["latent_width"])
        assert stored["audio"].shape == (row["audio_tokens"], 128)
        assert torch.allclose(stored["video"].float(), video, atol=2e-2, rtol=1e-2)
        assert torch.allclose(stored["audio"].float(), audio, atol=2e-2, rtol=1e-2)
    assert reader.header.metadata["codecs"] == {"vae": weights_hash(vae), "audio_vae": weights_hash(audio_vae)}


def test_scenes_are_encoded_without_storing_clips_and_continue_in_the_same_batches(codecs, tmp_path):
    source = SceneSource(clips=7, lengths=[{"seconds": 0.8}], sizes=[Size(height=32, width=32)])
    recipe = encode_recipe(tmp_path / "whole", codecs, source, shard_bytes=20_000, batch=2)
    assert run_encode(recipe, tmp_path) == {"clips": 7.0}
    part = recipe.model_copy(update={"output": tmp_path / "part"})
    run_encode(part, tmp_path)
    # What is left by an interruption: one complete shard, no index.
    for path in (tmp_path / "part").iterdir():
        if path.name not in ("header.json", "shard-00000.parquet", "shard-00000.safetensors"):
            path.unlink()
    run_encode(part, tmp_path)
    for name in ("shard-00000.safetensors", "shard-00001.safetensors"):
        assert (tmp_path / "part" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert len(ShardReader(tmp_path / "part")) == 7


def test_latents_of_other_codecs_are_refused(clips, codecs, latents, tmp_path):
    vae, _ = load_codecs(codecs["vae"], codecs["audio_vae"])
    with torch.no_grad():
        next(vae.parameters()).add_(0.1)
    vae.to(torch.bfloat16).save_pretrained(tmp_path / "vae")
    other = {**codecs, "vae": tmp_path / "vae"}
    with pytest.raises(VivaceError, match="other settings"):
        run_encode(encode_recipe(latents, other, ClipFolder(folder=clips)), tmp_path)
    with pytest.raises(VivaceError, match="vae is not the one"):
        check_codecs({"vae": vae}, ShardReader(latents).header.metadata["codecs"])


def test_a_hash_does_not_depend_on_the_type_in_which_weights_are_held(codecs):
    vae, _ = load_codecs(codecs["vae"], codecs["audio_vae"])
    assert weights_hash(vae) == weights_hash(vae.to(torch.bfloat16))


def test_missing_and_foreign_codecs_are_named(codecs, tmp_path):
    with pytest.raises(VivaceError, match=r"no config\.json"):
        load_codecs(tmp_path / "nowhere", codecs["audio_vae"])
    with pytest.raises(VivaceError, match="AutoencoderKLWan"):
        load_codecs(codecs["audio_vae"], codecs["audio_vae"])
    with pytest.raises(VivaceError, match="not a vocoder"):
        load_vocoder(codecs["vae"])
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text(json.dumps({"_class_name": "AutoencoderKLWan"}))
    with pytest.raises(VivaceError, match="cannot be loaded"):
        load_codecs(broken, codecs["audio_vae"])


def test_a_curated_clip_gives_the_voices_of_its_own_speech():
    sound = (3000 * np.random.default_rng(0).standard_normal((2, 48000))).astype(np.int16)
    sound[:, 32000:] = 0
    row = {"caption": "<S>a<E> <S>b<E> <S>c<E>", "samples": 48000, "seconds": 3.0}
    heard = recordings_of({**row, "speech": "[[0.0, 1.9], [1.9, 2.0], [2.0, 3.0]]"}, sound)
    assert [voice is None for voice in heard] == [False, True, True]
    assert recordings_of(row, sound) == [None] * 3
    assert recordings_of({**row, "speech": "[]", "caption": "nobody"}, sound) == []


def test_sound_alone_is_the_same_sound_and_has_no_pictures(codecs, tmp_path):
    source = SceneSource(clips=3, lengths=[{"seconds": 0.8}], sizes=[Size(height=32, width=32)], kinds={"talk": 1.0})
    for name, alone in (("whole", False), ("sound", True)):
        run_encode(encode_recipe(tmp_path / name, codecs, source, sound_alone=alone), tmp_path)
    whole, sound = ShardReader(tmp_path / "whole", "latents"), ShardReader(tmp_path / "sound", "latents")
    for index in range(3):
        assert set(sound.get(index)) == {"audio"}
        assert torch.equal(sound.get(index)["audio"], whole.get(index)["audio"])
        without = {key: value for key, value in whole.rows[index].items() if not key.startswith("latent_")}
        assert sound.rows[index] == without | dict.fromkeys(("latent_frames", "latent_height", "latent_width"), 0)
    with pytest.raises(ValidationError, match="sound_alone is for scenes"):
        encode_recipe(tmp_path, codecs, ClipFolder(folder=tmp_path), sound_alone=True)


def test_pictures_alone_are_of_many_moments_and_have_no_sound(codecs, tmp_path):
    size = [Size(height=32, width=32)]
    source = SceneSource(clips=4, lengths=[{"seconds": 0.8}], sizes=size, kinds={"impacts": 1.0, "talk": 1.0})
    for name, alone in (("whole", False), ("pictures", True)):
        run_encode(encode_recipe(tmp_path / name, codecs, source, pictures_alone=alone), tmp_path)
    whole, pictures = (ShardReader(tmp_path / name, "latents") for name in ("whole", "pictures"))
    for index in range(4):
        sample, row = pictures.get(index), pictures.rows[index]
        assert set(sample) == {"video"}
        assert sample["video"].shape[1] == row["latent_frames"] == row["frames"] == 1
        assert row["scene"] == whole.rows[index]["scene"]
        scene = Scene.from_json(row["scene"])
        assert count_lines(scene) == len(voice_references(scene))
    plans = plan_clips(SceneSource(clips=24, lengths=[{"seconds": 2.0}], sizes=size, kinds={"impacts": 1.0}))
    same_as_first = [np.array_equal(render_picture(plan).video, render_clip(plan).video[:1]) for plan in plans]
    assert sum(same_as_first) < 12
    with pytest.raises(ValidationError, match="pictures_alone is for scenes"):
        encode_recipe(tmp_path, codecs, ClipFolder(folder=tmp_path), pictures_alone=True)
