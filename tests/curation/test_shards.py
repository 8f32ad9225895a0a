"""The end of a curation: clips in buckets, or latents of any codecs, in shards that training reads."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from vivace.curation.clip import Clip, Rejected
from vivace.curation.encode import Encode, encode_stage
from vivace.curation.engine import Engine
from vivace.curation.funnel import KeptClips, passages
from vivace.curation.guard import Limits
from vivace.curation.ledger import Ledger
from vivace.curation.ledger_answers import failures, verdict_on
from vivace.curation.ledger_reader import LedgerReader
from vivace.curation.local import run_local
from vivace.curation.shard_writing import fill_shards, write_shards
from vivace.curation.shards import Prepared, ShardSettings, check_shards, is_validation, place_of, prepare
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
        "set_aside": 1,
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


class Failing(Encode):
    """Crashes, hangs or runs out of memory as the file's name says; what is to fail once leaves a note that it did."""

    def measure(self, clip: Clip) -> Clip | Rejected:
        name, note = Path(clip.path).name, Path(f"{clip.path}.failed")
        if "once" not in name or not note.exists():
            note.touch()
            if "crash" in name:
                os.kill(os.getpid(), signal.SIGSEGV)
            if "hang" in name:
                time.sleep(60)
            if "eat" in name:
                bytearray(16 * 2**30)
        return super().measure(clip)


def fill(folder: Path, clips: Sequence[Clip], settings: ShardSettings, retry: bool = False) -> dict[str, int]:
    """As a run whose other stages keep every file."""
    planned = encode_stage(settings, (), folder / "shards")
    assert isinstance(planned.stage, Encode)
    planned = replace(planned, stage=Failing(planned.stage.settings, planned.stage.spool))
    with Ledger(folder) as ledger:
        ledger.add_files(clips)
        if retry:
            ledger.release()
        Engine(ledger, (), run_local, after=(planned,)).run()
        limits = Limits(seconds=3.0, memory_gib=4.0)
        return fill_shards(KeptClips(ledger), planned, folder / "shards", ledger, limits, workers=2)


SMALL = ShardSettings(sizes=((32, 48),), seconds=(1.0,), validation=0.0)
NAMES = ("a.mp4", "b-crash.mp4", "c-hang.mp4", "d-eat.mp4", "e-crash-once.mp4", "f.mp4", "g-short.mp4")


def test_decoding_that_crashes_hangs_or_eats_memory_costs_one_clip(tmp_path: Path) -> None:
    clips = {name: clip_of(tmp_path, name, pictures=4 if "short" in name else 30) for name in NAMES}
    wanted = {"train": 3, "validation": 0, "shorter": 1, "cut_speech": 0, "long_caption": 0, "set_aside": 3}
    assert fill(tmp_path / "out", list(clips.values()), SMALL) == wanted
    whole = [clips[name] for name in ("a.mp4", "e-crash-once.mp4", "f.mp4")]
    assert ShardReader(tmp_path / "out" / "shards" / "train").ids == sorted(clip.id for clip in whole)
    assert [path.name for path in (tmp_path / "out" / "shards").iterdir() if path.name.startswith(".")] == []
    with LedgerReader(tmp_path / "out") as ledger:
        (encode,) = passages(ledger)
        assert (encode.stage, encode.entered, encode.kept, encode.rejected) == ("encode", 7, 3, {"shorter": 1})
        assert (encode.aside, encode.waiting) == (3, 0)
        said = {failure.clip: (failure.attempts, failure.error) for failure in failures(ledger)}
        assert said.keys() == {clips[name].id for name in NAMES[1:4]}
        for name, word in zip(NAMES[1:4], ("SIGSEGV", "longer than 3 s", "memory"), strict=True):
            attempts, error = said[clips[name].id]
            assert attempts == 2
            assert word in error
        entry = ledger.plan()[-1]
        assert verdict_on(ledger, clips["a.mp4"].id, entry) == ("kept", "")
        assert verdict_on(ledger, clips["g-short.mp4"].id, entry) == ("rejected", "shorter")
        assert verdict_on(ledger, clips["b-crash.mp4"].id, entry)[0] == "set aside"
        (known,) = ledger.with_columns([clips["a.mp4"].id], [entry])
        assert (known["encode.height"], known["encode.width"], known["encode.start"]) == (32, 48, 0.0)


def test_another_run_tells_the_same_and_tries_again_what_it_is_told_to(tmp_path: Path) -> None:
    names = ("a.mp4", "b-crash-once.mp4", "c.mp4", "d-short.mp4")
    clips = [clip_of(tmp_path, name, pictures=4 if "short" in name else 30) for name in names]
    gone = clips[2].path
    shutil.move(gone, tmp_path / "elsewhere")
    first = fill(tmp_path / "out", clips, SMALL)
    assert (first["train"], first["shorter"], first["set_aside"]) == (2, 1, 1)
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "shards").rglob("*.*")}
    assert fill(tmp_path / "out", clips, SMALL) == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "shards").rglob("*.*")} == made
    assert fill(tmp_path / "out", clips, SMALL, retry=True) == first  # it is still gone
    shutil.move(tmp_path / "elsewhere", gone)
    last = fill(tmp_path / "out", clips, SMALL)
    assert (last["train"], last["shorter"], last["set_aside"]) == (3, 1, 0)
    assert ShardReader(tmp_path / "out" / "shards" / "train").ids == sorted(clip.id for clip in clips[:3])


def test_shards_of_which_the_ledger_has_not_heard_stay_and_are_counted(tmp_path: Path) -> None:
    clips = [clip_of(tmp_path, "a.mp4"), clip_of(tmp_path, "b.mp4")]
    first = fill(tmp_path, clips, SMALL)
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "shards").rglob("*.*")}
    for path in tmp_path.glob("ledger.sqlite*"):
        path.unlink()
    assert fill(tmp_path, clips, SMALL) == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "shards").rglob("*.*")} == made
    with LedgerReader(tmp_path) as ledger:
        (encode,) = passages(ledger)
        assert (encode.kept, encode.waiting) == (2, 0)


def test_a_file_that_is_replaced_before_it_is_stored_is_set_aside(tmp_path: Path) -> None:
    clips = [clip_of(tmp_path, name) for name in ("a.mp4", "b.mp4")]
    planned = encode_stage(SMALL, (), tmp_path / "out" / "shards")
    with Ledger(tmp_path / "out") as ledger:
        ledger.add_files(clips)
        Engine(ledger, (), run_local, after=(planned,)).run()
        clip_of(tmp_path, "b.mp4", pictures=60)
        counts = fill_shards(KeptClips(ledger), planned, tmp_path / "out" / "shards", ledger, workers=1)
        assert (counts["train"], counts["set_aside"]) == (1, 1)
        (failure,) = failures(ledger)
        assert failure.quarantined
        assert "b.mp4' was changed or has gone since it was taken in" in failure.error
    # The next run takes the file as it is then.
    assert fill(tmp_path / "out", clips, SMALL)["train"] == 2


def test_something_is_held_out_of_few_files(tmp_path: Path) -> None:
    clips = [clip_of(tmp_path, f"{n}.mp4") for n in range(3)]
    counts = write_shards(clips, SMALL.model_copy(update={"validation": 1e-6}), tmp_path / "shards")
    assert (counts["train"], counts["validation"]) == (2, 1)
    assert ShardReader(tmp_path / "shards" / "validation").column("split") == ["val"]
    # Of more files two clips are, since the first may yet be left out.
    several = sorted((clip_of(tmp_path, f"more-{n}.mp4") for n in range(5)), key=place_of)
    short = replace(several[0], seconds=0.2)
    counts = write_shards([short, *several[1:]], SMALL.model_copy(update={"validation": 1e-6}), tmp_path / "several")
    assert (counts["train"], counts["validation"], counts["shorter"]) == (3, 1, 1)
    alone = write_shards(clips[:1], SMALL.model_copy(update={"validation": 1e-6}), tmp_path / "alone")
    assert (alone["train"], alone["validation"]) == (1, 0)


def test_what_the_codecs_cannot_encode_costs_one_clip(tmp_path: Path, model_folder: Path) -> None:
    codecs = {name: model_folder / name for name in ("vae", "audio_vae")}
    odd = ShardSettings(content="latents", sizes=((32, 32), (17, 48)), seconds=(0.5,), validation=0.0, **codecs)
    clips = [clip_of(tmp_path, "a.mp4", width=48), clip_of(tmp_path, "wide.mp4", height=34, width=96)]
    counts = fill(tmp_path / "out", clips, odd)  # no side of 17 is a whole number of the codec's cells
    assert (counts["train"], counts["set_aside"]) == (1, 1)
    assert ShardReader(tmp_path / "out" / "shards" / "train", "latents").ids == [clips[0].id]


def test_other_codecs_in_the_same_place_make_other_shards(tmp_path: Path, model_folder: Path) -> None:
    codecs = {name: shutil.copytree(model_folder / name, tmp_path / name) for name in ("vae", "audio_vae")}
    settings = ShardSettings(content="latents", sizes=((32, 32),), seconds=(0.5,), validation=0.0, **codecs)
    before = encode_stage(settings, (), tmp_path / "shards").key
    clip = clip_of(tmp_path, "a.mp4")
    write_shards([clip], settings, tmp_path / "shards")
    config = json.loads((codecs["vae"] / "config.json").read_text())
    config["latents_mean"] = [value + 1 for value in config["latents_mean"]]
    (codecs["vae"] / "config.json").write_text(json.dumps(config))
    assert encode_stage(settings, (), tmp_path / "shards").key != before
    first = ShardReader(tmp_path / "shards" / "train").get(0)["video"]
    assert write_shards([clip], settings, tmp_path / "shards")["train"] == 1
    second = ShardReader(tmp_path / "shards" / "train").get(0)["video"]
    assert not np.allclose(first.numpy(), second.numpy())


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
