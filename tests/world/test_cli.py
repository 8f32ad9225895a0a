"""`vivace world`."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from vivace.cli.main import main
from vivace.cli.world import app
from vivace.errors import VivaceError
from vivace.media import read_clip, read_image, write_png, write_wav
from vivace.world import Scene, sample_scene

SMALL = ["--seconds", "1", "--size", "64x64", "--fps", "8"]


def run(*arguments: str) -> dict:
    found = CliRunner().invoke(app, [*arguments, "--json"])
    if found.exception and not isinstance(found.exception, SystemExit):
        raise found.exception
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout.splitlines()[-1])


def test_render_resume_and_play(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    first = run("render", "--count", "3", "--output", str(folder), "--split", "val", *SMALL)
    assert first == {"output": str(folder), "clips": 3, "rendered": 3, "kept": 0}
    clips = sorted(folder.glob("*.mp4"))
    records = [json.loads(path.with_suffix(".json").read_text()) for path in clips]
    for record, path in zip(records, clips, strict=True):
        scene = Scene.from_json(json.dumps(record["scene"]))
        assert scene.split == "val"
        assert record["truth"]["events"]
        assert record["caption"]
        clip = read_clip(path)
        assert clip.frames is not None
        assert clip.audio is not None
        assert clip.frames.shape[1:] == (64, 64, 3)

    clips[1].with_suffix(".json").unlink()
    again = run("render", "--count", "3", "--output", str(folder), "--split", "val", *SMALL)
    assert (again["rendered"], again["kept"]) == (1, 2)

    shown = run("play", str(clips[0]), "--output", str(tmp_path / "sheet.png"))
    assert shown["caption"] == records[0]["caption"]
    assert shown["events"] == [event["time"] for event in records[0]["truth"]["events"]]
    assert read_image(tmp_path / "sheet.png").shape[1] >= 800


def test_play_a_seed(tmp_path: Path) -> None:
    shown = run("play", "5", "--kind", "drum", "--output", str(tmp_path / "drum.png"), *SMALL)
    assert shown["seed"] == 5
    assert (tmp_path / "drum.png").is_file()


def test_a_seed_means_one_scene_at_every_rate(tmp_path: Path) -> None:
    for fps in ("12", "25"):
        shown = run("play", "5", "--kind", "bell", "--output", str(tmp_path / "x.png"), "--fps", fps, "--size", "64x64")
        assert shown["events"] == [stroke.time for stroke in sample_scene(5, kind="bell").strokes]


@pytest.mark.parametrize(
    "arguments",
    [
        ["render", "--output", "x", "--size", "big"],
        ["render", "--output", "x", "--count", "0"],
        ["render", "--output", "x", "--seconds", "nan"],
        ["render", "--output", "x", "--kind", "piano"],
        ["render", "--output", "x", "--seed", "-4"],
        ["play", "nowhere.mp4"],
        ["play", "1", "--output", "sheet.jpg", *SMALL],
    ],
)
def test_bad_input(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VivaceError):
        run(*arguments)
    assert not list(tmp_path.rglob("*.*"))


def test_cuts_and_passings_are_marked_too(tmp_path: Path) -> None:
    small = ["--size", "64x64", "--fps", "8", "--output", str(tmp_path / "x.png")]
    rendered = run("render", "--count", "1", "--kind", "shots", "--output", str(tmp_path), "--seconds", "4", *small[:4])
    assert rendered["rendered"] == 1
    clip = next(tmp_path.glob("*.mp4"))
    known = json.loads(clip.with_suffix(".json").read_text())["truth"]
    assert known["cuts"]
    assert run("play", str(clip), *small[-2:])["events"] == sorted(known["cuts"] + [e["time"] for e in known["events"]])
    assert run("play", "5", "--kind", "vehicle", *small)["events"]


def test_words_are_marked_and_told(tmp_path: Path) -> None:
    small = ["--seconds", "2", "--size", "64x64", "--fps", "8", "--output", str(tmp_path / "x.png")]
    scene = sample_scene(7, kind="talk with effect")
    assert scene.talk is not None
    words = [word for line in scene.talk.lines for word in line.words]
    command = ["play", "7", "--kind", "talk with effect", *small]
    shown = run(*command)["events"]
    said = " ".join(CliRunner().invoke(app, command).stdout.split())
    assert "events at 0." in said
    for word in words:
        [time] = re.findall(rf"[ ;,] {word} at (\d\.\d{{3}})", said)
        assert round(float(time), 3) in [round(each, 3) for each in shown]
    assert shown == sorted(shown)
    assert len(shown) > len(words)
    # What has no single moment says so instead of naming none.
    quiet = CliRunner().invoke(app, ["play", "7", "--kind", "ambience", *small]).stdout
    assert quiet.rstrip().endswith("no single moment to mark")


def test_sound_alone_is_not_played(tmp_path: Path) -> None:
    sound = tmp_path / "sound.wav"
    write_wav(sound, np.zeros((1, 8000), np.float32), 8000)
    with pytest.raises(VivaceError, match="no pictures"):
        run("play", str(sound), "--output", str(tmp_path / "x.png"))


def test_play_overwrites_no_other_picture(tmp_path: Path) -> None:
    run("render", "--count", "1", "--kind", "drum", "--output", str(tmp_path), *SMALL)
    clip = next(tmp_path.glob("*.mp4"))
    mine = clip.with_suffix(".png")
    picture = np.full((8, 8, 3), 7, np.uint8)
    write_png(mine, picture)
    other = str(mine.with_stem(f"{mine.stem}-2"))
    for _ in range(2):  # the second time its own sheet is replaced
        found = CliRunner().invoke(app, ["play", str(clip)])
        assert found.stdout.startswith(f"{other}: ")
        assert found.stderr == f"Note: {mine} holds something else, so this is {Path(other).name}.\n"
    np.testing.assert_array_equal(read_image(mine), picture)
    assert run("play", "6", "--output", other, *SMALL)["output"] == str(mine.with_stem(f"{mine.stem}-2-2"))


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--kind", "piano"], "'piano' is unknown"),
        (["--size", "7x7"], "height 7 is not usable"),
        (["--fps", "0.001"], "fps 0.001 shows a picture for 1000 s"),
        (["--seconds", "0.1"], "seconds 0.1 is out of range; give a scene from 0.8 to 60 s"),
        (["--seconds", "61"], "seconds 61.0 is out of range; give a scene from 0.8 to 60 s"),
        (["--seconds", "0.85", "--kind", "shots"], "seconds 0.85 is too short for a cut"),
    ],
)
def test_an_error_of_render_stands_alone(
    words: list[str], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["world", "render", "--output", str(tmp_path / "w"), "--count", "1", *words]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert complaint in told.err
    assert told.err.count("\n") == 1
    assert "Fraction" not in told.err


def test_the_longest_clip_is_rendered_and_played(tmp_path: Path) -> None:
    longest = ["--kind", "bell", "--seconds", "60", "--size", "32x32", "--fps", "1"]
    run("render", "--count", "1", "--output", str(tmp_path), *longest)
    clip = next(tmp_path.glob("*.mp4"))
    record = json.loads(clip.with_suffix(".json").read_text())
    assert 60 < record["scene"]["seconds"] < 60.1
    assert run("play", str(clip))["events"] == [event["time"] for event in record["truth"]["events"]]


@pytest.mark.parametrize(
    "words", [["--kind", "bell"], ["--split", "train"], ["--seconds", "2"], ["--size=128x128"], ["--fps", "24"]]
)
def test_what_is_drawn_of_a_seed_is_not_asked_of_a_clip(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = str(tmp_path / "clip.mp4")  # refused before it is read, whether or not it is the default's value
    assert main(["world", "play", clip, *words]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"vivace: {words[0].partition('=')[0]} says what is drawn of a seed, and {clip!r} is shown")
    assert told.count("\n") == 1


@pytest.mark.parametrize("foreign", [".mp4", ".json"])
@pytest.mark.parametrize("content", [b"\xff not ours", b"[]", b'{"scene": {}}', b"[" * 100_000])
def test_render_replaces_no_file_that_it_did_not_write(tmp_path: Path, foreign: str, content: bytes) -> None:
    command = ["render", "--count", "1", "--kind", "drum", "--output", str(tmp_path), *SMALL]
    theirs = (tmp_path / "train-drum-000000.mp4").with_suffix(foreign)
    theirs.write_bytes(content)
    told = CliRunner().invoke(app, command)
    assert told.exit_code == 0
    assert told.stderr == f"Note: {theirs} holds something else, so this is train-drum-000000-2.mp4.\n"
    assert theirs.read_bytes() == content
    ours = sorted(path.name for path in tmp_path.iterdir() if path != theirs)
    assert ours == ["train-drum-000000-2.json", "train-drum-000000-2.mp4"]
    assert run(*command)["kept"] == 1


def test_render_replaces_its_own_clip_of_another_size(tmp_path: Path) -> None:
    command = ["render", "--count", "1", "--kind", "drum", "--output", str(tmp_path)]
    for size in ("64x64", "32x32"):
        assert run(*command, *SMALL[:2], *SMALL[4:], "--size", size)["rendered"] == 1
    assert len(list(tmp_path.iterdir())) == 2
    assert read_clip(tmp_path / "train-drum-000000.mp4").frames.shape[1:3] == (32, 32)  # type: ignore[union-attr]
