"""`vivace refine`."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests.media.test_remux import packets
from tests.tiny import tiny_refiner_pipeline

from vivace.cli.main import main
from vivace.media import (
    Clip,
    read_clip,
    read_image,
    read_metadata,
    write_clip,
    write_pictures_over_sound,
    write_png,
    write_wav,
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    made = tiny_refiner_pipeline()
    made.base.save_pretrained(folder / "alive")
    made.save_pretrained(folder / "refiner", base="alive")
    return folder


def test_a_generated_clip_becomes_larger_and_its_sound_is_the_same_packets(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["generate", "a drum", "--model", str(models / "alive"), "--seed", "3", "--output", "clip.mp4"]) == 0
    capsys.readouterr()
    words = ["refine", "clip.mp4", "--model", str(models / "refiner"), "--seed", "5"]
    assert main([*words, "--json", "--contact-sheet"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["path"], told["seed"], told["contact_sheet"]) == ("clip-refined.mp4", 5, "clip-refined.png")
    assert packets(Path("clip-refined.mp4")) == packets(Path("clip.mp4"))
    small, large = (read_clip(name) for name in ("clip.mp4", "clip-refined.mp4"))
    assert large.frames.shape == (len(small.frames), 64, 64, 3)
    np.testing.assert_array_equal(large.audio, small.audio)
    record = json.loads(Path("clip-refined.json").read_text())
    assert record["prompt"] == "a drum"  # the clip's own
    assert record["settings"]["steps"] == 2
    assert json.loads(read_metadata("clip-refined.mp4")["vivace-refined"]) == record
    again = ["--output", "again.mp4", "--size", "48x48", "--prompt", "a bell", "--guide", "text=2", "--steps", "1"]
    assert main([*words, *again, "--base", str(models / "alive")]) == 0
    assert "48x48" in capsys.readouterr().out
    assert json.loads(Path("again.json").read_text())["settings"]["branches"] == ["conditional", "negative"]


def test_no_other_file_is_overwritten_and_the_same_clip_is_replaced(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    pictures = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    write_clip("clip.mp4", Clip(pictures, Fraction(24), None, 16000))
    words = ["refine", "clip.mp4", "--model", str(models / "refiner"), "--steps", "1", "--json", "--contact-sheet"]

    def made(*more: str) -> str:
        assert main([*words, *more]) == 0
        told = json.loads(capsys.readouterr().out)
        assert Path(told["record"]).stem == Path(told["contact_sheet"]).stem == Path(told["path"]).stem
        return str(told["path"])

    assert [made("--seed", seed) for seed in ("1", "1", "2", "1")] == [
        "clip-refined.mp4",
        "clip-refined.mp4",
        "clip-refined-2.mp4",
        "clip-refined.mp4",
    ]
    write_png("mine.png", pictures[0])
    assert made("--seed", "1", "--output", "mine.mp4") == "mine-2.mp4"
    np.testing.assert_array_equal(read_image("mine.png"), pictures[0])
    Path("dir.json").mkdir()
    assert main([*words, "--output", "dir.mp4"]) == 2
    assert "'dir.json', which goes with 'dir.mp4', is a folder" in capsys.readouterr().err
    assert not Path("dir.mp4").exists()


def test_bad_input_is_one_sentence_and_leaves_nothing(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    dice = np.random.default_rng(0)
    pictures = dice.integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    write_clip("clip.mp4", Clip(pictures, Fraction(24), None, 16000))
    write_clip("fast.mp4", Clip(pictures, Fraction(30), None, 16000))
    write_wav("sound.wav", np.zeros((1, 1600), np.float32), 16000)
    for name, heard, shown in (("long", 25, 9), ("short", 9, 25)):
        frames = np.repeat(pictures[:1], heard, axis=0)
        sound = np.zeros((2, round(heard / 24 * 16000)), np.float32)
        write_clip("whole.mp4", Clip(frames, Fraction(24), sound, 16000))
        write_pictures_over_sound(f"{name}.mp4", np.repeat(pictures[:1], shown, axis=0), Fraction(24), "whole.mp4", {})
    before = sorted(tmp_path.iterdir())
    refiner = ["--model", str(models / "refiner")]
    for words, complaint in (
        (["nowhere.mp4", *refiner], "does not exist"),
        (["sound.wav", *refiner], "has no pictures"),
        (["fast.mp4", *refiner], "30 pictures a second"),
        (["long.mp4", *refiner], "sound lasts 1.042 s, longer than its pictures (0.375 s)"),
        (["short.mp4", *refiner], "sound lasts 0.375 s, shorter than its pictures (1.042 s)"),
        (["clip.mp4", *refiner, "--scale", "20"], "scale 20.0 is not possible"),
        (["clip.mp4", *refiner, "--size", "64"], "WIDTHxHEIGHT"),
        (["clip.mp4", *refiner, "--output", "clip.mp4"], "is the clip itself"),
        (["clip.mp4", *refiner, "--output", ".mp4"], "has no name before .mp4"),
        (["clip.mp4", *refiner, "--output", "clip.webm"], "does not end in .mp4"),
        (["clip.mp4", *refiner, "--guide", "mutual=2"], "the clip has no sound"),
        (["clip.mp4", "--model", str(models / "alive")], "holds a AlivePipeline"),
        (["clip.mp4", *refiner, "--base", "nobody"], "neither a shipped model"),
    ):
        assert main(["refine", *words]) == 2, words
        told = capsys.readouterr().err
        assert complaint in told
        assert told.count("\n") == 1
    assert main(["generate", "a drum", "--model", str(models / "refiner"), "--output", "x.mp4"]) == 2
    assert "vivace refine" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before
