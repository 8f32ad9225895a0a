"""The end of a curation: clips in buckets, or latents of any codecs, in shards that training reads."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from vivace.curation.clip import Clip, Rejected
from vivace.curation.shards import Prepared, ShardSettings, check_shards, is_validation, prepare, write_shards
from vivace.data.shards import ShardReader
from vivace.errors import VivaceError
from vivace.media import Clip as Material
from vivace.media import write_clip

CAPTION = "Subjects:\n[S1] a man | voice: deep\nVisual: a wall\nNarration: [S1] says <W>two</W>"


def clip_of(folder: Path, name: str, pictures: int = 30, height: int = 48, width: int = 64) -> Clip:
    frames = np.full((pictures, height, width, 3), 90, np.uint8)
    frames[:, :, : width // 2] = 160
    audio = np.full((2, round(pictures / 24 * 16000)), 0.25, np.float32)
    write_clip(folder / name, Material(frames, Fraction(24), audio, 16000))
    clip = Clip.of_file(folder / name, {"input.licence": "CC0"})
    return clip.with_columns("subjects", text=CAPTION).with_columns("labels", label="Entertainment/people/speech")


def test_a_clip_goes_into_the_bucket_that_fits(tmp_path: Path) -> None:
    settings = ShardSettings(sizes=((32, 32), (32, 48), (48, 32)), seconds=(0.5, 1.0, 2.0))
    ready = prepare(clip_of(tmp_path, "a.mp4"), settings)
    assert not isinstance(ready, Rejected)
    assert ready.video.shape == (25, 32, 48, 3)
    assert ready.audio.shape == (2, ready.row["samples"])
    assert np.abs(ready.audio[:, 4000:8000] / 32768 - 0.25).max() < 0.1
    assert (ready.row["frames"], ready.row["height"], ready.row["width"]) == (25, 32, 48)
    assert ready.row["caption"] == "Subjects: [S1] a man | voice: deep Visual: a wall Narration: [S1] says <S>two<E>"
    # Cut in the middle: both halves of the picture are still there.
    assert ready.video[0, 16, 2, 0] > 140 > 110 > ready.video[0, 16, 45, 0]
    assert prepare(clip_of(tmp_path, "short.mp4", pictures=8), settings) == Rejected("shorter")
    tall = prepare(clip_of(tmp_path, "tall.mp4", height=64, width=48), settings)
    assert not isinstance(tall, Rejected)
    assert tall.video.shape[1:3] == (48, 32)


def test_a_caption_that_no_stage_corrected_is_stored_as_it_is(tmp_path: Path) -> None:
    settings = ShardSettings(sizes=((32, 48),), seconds=(1.0,))
    clip = clip_of(tmp_path, "a.mp4")
    uncorrected = clip.of_stages(("labels",)).with_columns("captions", text=CAPTION)
    ready, corrected = prepare(uncorrected, settings), prepare(clip, settings)
    assert not isinstance(ready, Rejected)
    assert not isinstance(corrected, Rejected)
    assert ready.row["caption"] == corrected.row["caption"] != ""


def test_a_cut_keeps_speech_whole(tmp_path: Path) -> None:
    settings = ShardSettings(sizes=((32, 48),), seconds=(1.0,))
    clip = clip_of(tmp_path, "a.mp4", pictures=60)

    def with_spans(*spans: list[float]) -> Prepared | Rejected:
        return prepare(clip.with_columns("subjects", text=CAPTION, spans=list(spans)), settings)

    whole, moved, unknown = with_spans([0.2, 0.9]), with_spans([1.2, 1.5], [1.6, 2.1]), prepare(clip, settings)
    assert not isinstance(whole, Rejected)
    assert not isinstance(moved, Rejected)
    assert not isinstance(unknown, Rejected)
    assert (whole.row["start"], json.loads(whole.row["speech"])) == (0.0, [[0.2, 0.9]])
    assert (moved.row["start"], json.loads(moved.row["speech"])) == (1.2, [[0.0, 0.3], [0.4, 0.9]])
    assert moved.video.shape == whole.video.shape
    assert moved.audio.shape == whole.audio.shape
    assert unknown.row["speech"] == ""
    assert with_spans([0.2, 0.6], [1.4, 1.9]) == Rejected("cut_speech")
    assert prepare(clip, settings.model_copy(update={"longest_caption": 20})) == Rejected("long_caption")


def test_validation_is_held_out_by_file() -> None:
    clips = [Clip.of_file(Path(f"{n}.mp4")) for n in range(400)]
    share = np.mean([is_validation(clip, 0.25) for clip in clips])
    assert 0.18 < share < 0.32
    assert all(is_validation(clip, 0.25) == is_validation(clip.part(1.0, 2.0), 0.25) for clip in clips)
    assert not any(is_validation(clip, 0.0) for clip in clips)


def test_shards_are_written_once_and_other_clips_put_them_aside(tmp_path: Path) -> None:
    clips = [clip_of(tmp_path, f"{n}.mp4") for n in range(3)] + [clip_of(tmp_path, "short.mp4", pictures=4)]
    clips.append(clip_of(tmp_path, "gone.mp4"))
    Path(clips[-1].path).unlink()
    settings = ShardSettings(sizes=((32, 48),), seconds=(1.0,), validation=0.0)
    out = tmp_path / "shards"
    assert write_shards(clips, settings, out) == {
        "train": 3,
        "validation": 0,
        "shorter": 1,
        "cut_speech": 0,
        "long_caption": 0,
        "unreadable": 1,
    }
    reader = ShardReader(out / "train", "clips")
    reader.verify()
    assert reader.ids == [clip.id for clip in clips[:3]]
    made = {path: path.stat().st_mtime_ns for path in out.rglob("*.*")}
    assert write_shards(clips, settings, out)["train"] == 3
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.*")} == made
    assert write_shards(clips[:2], settings, out)["train"] == 2
    assert len(ShardReader(out / "train")) == 2
    assert [path.name.partition("-")[0] for path in sorted(out.iterdir())].count("train") == 2


def test_latents_of_any_codecs(tmp_path: Path, model_folder: Path) -> None:
    settings = ShardSettings(
        content="latents",
        vae=model_folder / "vae",
        audio_vae=model_folder / "audio_vae",
        sizes=((32, 32),),
        seconds=(0.5,),
        validation=0.0,
    )
    clip = clip_of(tmp_path, "a.mp4")
    assert write_shards([clip], settings, tmp_path / "latents")["train"] == 1
    reader = ShardReader(tmp_path / "latents" / "train", "latents")
    row, tensors = next(iter(reader))
    assert tuple(tensors["video"].shape[1:]) == (row["latent_frames"], row["latent_height"], row["latent_width"])
    assert tensors["audio"].shape[0] == row["audio_tokens"]
    assert set(reader.header.metadata["codecs"]) == {"vae", "audio_vae"}
    assert all(bool(tensor.isfinite().all()) for tensor in tensors.values())


def test_codecs_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(VivaceError, match=r"set shards\.vae"):
        write_shards([], ShardSettings(content="latents"), tmp_path / "a")
    missing = ShardSettings(content="latents", vae=tmp_path / "none", audio_vae=tmp_path / "none")
    with pytest.raises(VivaceError, match="cannot be loaded"):
        write_shards([], missing, tmp_path / "a")
    for settings, problem in ((ShardSettings(content="latents"), r"set shards\.vae"), (missing, "config.json")):
        with pytest.raises(VivaceError, match=problem):
            check_shards(settings)
    check_shards(ShardSettings(content="latents", use=False))
    with pytest.raises(ValidationError):
        ShardSettings(sizes=())
