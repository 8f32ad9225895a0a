"""Files that a clip is made from: every task by its command, the record, and what is refused."""

import json
import re
import struct
import wave
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from vivace.cli.files import GivenFile
from vivace.cli.main import main
from vivace.cli.options import Request
from vivace.errors import VivaceError
from vivace.media import Clip, read_audio, read_clip, read_image, write_clip, write_png, write_wav

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture, a sound and a clip in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    dice = np.random.default_rng(0)
    # Smooth pictures, so that what a file's own compression changes stays small.
    rows, columns = np.mgrid[0:32, 0:32] * 7
    frames = np.stack([np.stack([rows, columns, np.full_like(rows, 20 * k)], -1) for k in range(9)]).astype(np.uint8)
    sound = (0.1 * dice.standard_normal((2, 6000))).astype(np.float32)
    write_png("picture.png", frames[0])
    write_wav("sound.wav", sound[:, :3333], 16000)
    write_clip("clip.mp4", Clip(frames, Fraction(24), sound, 16000))


def _made(capsys: Capture, model: Path, *words: str) -> dict[str, Any]:
    assert main(["generate", "a drum", "--model", str(model), "--seed", "1", "--json", *words]) == 0
    made: dict[str, Any] = json.loads(capsys.readouterr().out)
    return made


def test_a_clip_begins_with_the_given_picture(model_folder: Path, capsys: Capture) -> None:
    made = _made(capsys, model_folder, "--image", "picture.png")
    frames = read_clip(made["path"]).frames
    assert frames is not None
    assert np.abs(frames[0].astype(int) - read_image("picture.png")).mean() < 4  # H.264, half the colours' resolution
    record = json.loads(Path(made["record"]).read_text())
    assert record["request"]["image"]["path"] == str(Path("picture.png").resolve())
    assert len(record["request"]["image"]["sha256"]) == 64


def test_pictures_for_a_given_sound_and_sound_for_given_pictures(model_folder: Path, capsys: Capture) -> None:
    made = _made(capsys, model_folder, "--audio", "sound.wav", "--image", "picture.png")
    clip = read_clip(made["path"])
    assert clip.frames is not None
    assert clip.audio is not None
    assert clip.frames.shape == (5, 32, 32, 3)
    given = read_audio("sound.wav")
    assert np.corrcoef(clip.audio[0, :3300], given[0, :3300])[0, 1] > 0.9  # AAC, on noise
    made = _made(capsys, model_folder, "--video", "clip.mp4")
    clip, given_clip = read_clip(made["path"]), read_clip("clip.mp4")
    assert clip.frames is not None
    assert given_clip.frames is not None
    assert np.abs(clip.frames.astype(int) - given_clip.frames).mean() < 4
    assert clip.audio is not None
    assert clip.audio.shape[1] == given_clip.audio.shape[1]  # type: ignore[union-attr]


def test_a_continued_clip_counts_the_new_seconds(model_folder: Path, capsys: Capture) -> None:
    made = _made(capsys, model_folder, "--extend", "clip.mp4", "--seconds", "0.5")
    clip, given = read_clip(made["path"]), read_clip("clip.mp4")
    assert clip.frames is not None
    assert given.frames is not None
    assert len(clip.frames) == len(given.frames) + 12
    assert np.abs(clip.frames[:9].astype(int) - given.frames).mean() < 4
    assert json.loads(Path(made["record"]).read_text())["settings"]["frames"] == 21
    made = _made(capsys, model_folder, "--extend", "sound.wav", "--only", "audio")
    longer, sound = read_audio(made["path"]), read_audio("sound.wav")
    assert longer.shape[1] > sound.shape[1] + 3000
    assert np.abs(longer[:, : sound.shape[1]] - sound).max() < 1e-4


def test_the_published_first_frame_procedure_is_one_option(model_folder: Path, capsys: Capture) -> None:
    held, published = (
        _made(capsys, model_folder, "--image", "picture.png", "--first-frame", way, "--output", f"{way}.mp4")
        for way in ("held", "overwritten")
    )
    records = [json.loads(Path(made["record"]).read_text()) for made in (held, published)]
    assert records[0]["latents_sha256"] != records[1]["latents_sha256"]
    assert [record["settings"]["first_frame"] for record in records] == ["held", "overwritten"]
    assert main(["rerun", published["path"], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["same_latents"] is True
    before = sorted(Path().iterdir())
    command = ["generate", "a drum", "--model", str(model_folder), "--first-frame"]
    for words in (["held"], ["freely", "--image", "picture.png"]):
        assert main([*command, *words]) == 2
        shown = capsys.readouterr().err
        assert re.search("first_frame.*; (leave it out|use one of)", shown), shown
    assert sorted(Path().iterdir()) == before


def test_rerun_makes_the_same_clip_while_the_file_is_what_it_was(model_folder: Path, capsys: Capture) -> None:
    made = _made(capsys, model_folder, "--image", "picture.png", "--output", "one.mp4")
    assert main(["rerun", made["path"], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["same_latents"] is True
    files = sorted(Path().iterdir())
    write_png("picture.png", np.zeros((9, 9, 3), np.uint8))
    assert main(["rerun", made["path"]]) == 2
    assert "picture.png' (image) has changed" in capsys.readouterr().err
    Path("picture.png").unlink()
    assert main(["rerun", made["path"]]) == 2
    assert "picture.png' (image) does not exist" in capsys.readouterr().err
    assert sorted(Path().iterdir()) == [path for path in files if path.name != "picture.png"]


def test_batch_takes_files_and_makes_a_clip_anew_when_its_file_has_changed(model_folder: Path, capsys: Capture) -> None:
    job = {"prompt": "a drum", "model": str(model_folder), "image": "picture.png", "output": "a.mp4", "steps": 1}
    lost = {"prompt": "a drum", "model": str(model_folder), "video": "nowhere.mp4"}
    Path("jobs.jsonl").write_text(f"{json.dumps(job)}\n{json.dumps(lost)}\n")
    summaries = []
    for change in (False, False, True):
        if change:
            write_png("picture.png", np.full((9, 9, 3), 99, np.uint8))
        assert main(["batch", "jobs.jsonl", "--output", "clips", "--json"]) == 2
        summaries.append(json.loads(capsys.readouterr().out))
    assert [(s["made"], s["kept"]) for s in summaries] == [(1, 0), (0, 1), (1, 0)]
    assert "nowhere.mp4' (video) does not exist" in summaries[0]["failures"][0]["error"]


def test_what_was_cut_or_resampled_is_told(model_folder: Path, capsys: Capture) -> None:
    picture = Image.new("LA", (60, 40))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned
    picture.convert("L").save("turned.jpg", exif=exif)
    arguments = ["generate", "a drum", "--model", str(model_folder), "--seed", "1", "--steps", "1"]
    assert main([*arguments, "--image", "turned.jpg"]) == 0
    assert "Note: The given picture is 40x60 and is cut to its middle 40x40" in capsys.readouterr().err
    write_wav("other.wav", np.zeros((1, 44100), np.float32), 44100)
    assert main([*arguments, "--audio", "other.wav", "--seconds", "0.2"]) == 0
    shown = capsys.readouterr().err
    assert "44100 samples a second and is resampled to 16000" in shown
    assert "its first 0.208 s are used" in shown


def test_what_reading_changes_is_told(model_folder: Path, capsys: Capture) -> None:
    arguments = ["generate", "a drum", "--model", str(model_folder), "--seed", "1", "--steps", "1"]
    clear = Image.new("RGBA", (32, 32), (200, 0, 0, 50))
    clear.save("clear.png")
    clear.convert("RGB").save("moving.gif", save_all=True, append_images=[Image.new("RGB", (32, 32), "blue")])
    times = np.arange(16000 * 9)
    with wave.open("nine.wav", "wb") as file:
        file.setparams((9, 2, 16000, 0, "NONE", ""))
        file.writeframes((3000 * np.sin(times / 40)).astype("<i2").tobytes())
    with av.open("loud.wav", "w") as container:
        stream = container.add_stream("pcm_f32le", rate=16000, layout="stereo")
        loud = av.AudioFrame.from_ndarray(np.full((1, 2 * 8000), 1.5, np.float32), format="flt", layout="stereo")
        loud.sample_rate, loud.pts = 16000, 0
        container.mux([*stream.encode(loud), *stream.encode(None)])
    for words, note in (
        (("--image", "clear.png"), "The given picture is transparent in places, which are shown over white."),
        (("--image", "moving.gif"), "The given picture is animated or has several pages, of which the first is used."),
        (("--audio", "nine.wav"), "The given sound has 9 channels, which are mixed down."),
        (("--extend", "nine.wav", "--only", "audio"), "The given clip has 9 channels, which are mixed down."),
        (("--audio", "loud.wav"), "The given sound has samples up to 1.5, which are cut off at 1."),
    ):
        assert main([*arguments, *words]) == 0
        assert f"Note: {note}\n" in capsys.readouterr().err


def test_how_long_a_continued_clip_is_sampled_is_explained(model_folder: Path, capsys: Capture) -> None:
    made = _made(capsys, model_folder, "--extend", "clip.mp4", "--seconds", "0.5")
    [note] = [note for note in made["notes"] if "may turn out worse" in note]
    assert "0.71 s (0.21 s of the given clip and 0.50 s that are new) may turn out worse" in note


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--image", "nowhere.png"], "does not exist"),
        (["--image", "."], "is no file"),
        (["--image", "sound.wav"], "cannot be read"),
        (["--image", "\0"], "null"),
        (["--audio", "picture.png"], "has no sound"),
        (["--audio", "empty"], "damaged or no media file"),
        (["--video", "sound.wav"], "has no pictures"),
        (["--video", "half.mp4"], "truncated|damaged"),
        (["--video", "clip.mp4", "--seconds", "1"], "give seconds 0.37"),
        (["--video", "clip.mp4", "--audio", "sound.wav"], "leave one of them out"),
        (["--extend", "clip.mp4", "--size", "33x32"], "nearest"),
        (["--extend", "clip.mp4", "--seconds", "4000"], "up to 3600"),
        (["--extend", "sound.wav"], "only audio"),
        (
            ["--extend", "picture.png"],
            r"'.*picture.png' \(extend\) is a still picture; begin a clip with it by --image",
        ),
        (["--video", "picture.png"], r"\(video\) is a still picture; begin a clip with it by --image"),
        (["--image", "picture.png", "--image", "other.png"], "--image takes one value and was given 2 times: leave"),
        (["--audio", "a.wav", "--audio=b.wav", "--audio", "c.wav"], "--audio takes one value and was given 3 times"),
        (["--video", "clip.mp4", "--video", "clip.mp4"], "--video takes one value and was given 2 times"),
        (["--extend", "clip.mp4", "--extend", "clip.mp4"], "--extend takes one value and was given 2 times"),
        (["--only", "audio", "--guide", "align=2"], "'align' has nothing to act on"),
        (
            ["--only", "video", "--guide", "text.audio=5"],
            "'text.audio' has nothing to act on, because the clip has no",
        ),
        (
            ["--only", "audio", "--guide", "text.video=1"],
            "'text.video' .* because the clip has no pictures",
        ),
        (["--audio", "sound.wav", "--guide", "text.audio=2"], "'text.audio' .* because its sound is given; leave it"),
        (
            ["--video", "clip.mp4", "--guide", "text.video=2"],
            "'text.video' .* because its pictures are given",
        ),
        (["--audio", "sound.wav", "--guide", "timbre=2"], "'timbre' has nothing to act on"),
        (["--guide", "text=1", "--guide", "text=2"], "Guide 'text' takes one value and was given twice; leave all but"),
        (["--guide", "text.audio=1", "--guide", " text.audio =1"], "Guide 'text.audio' takes one value"),
    ],
)
def test_files_that_cannot_be_used_are_refused_and_nothing_is_written(
    model_folder: Path, capsys: Capture, words: list[str], complaint: str
) -> None:
    Path("empty").write_bytes(b"")
    Path("half.mp4").write_bytes(Path("clip.mp4").read_bytes()[:-400])
    before = sorted(Path().iterdir())
    assert main(["generate", "a drum", "--model", str(model_folder), *words]) == 2
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1, shown
    assert re.search(complaint, shown), shown
    assert sorted(Path().iterdir()) == before


def test_guides_of_the_side_that_is_made_and_those_that_are_off_are_taken(model_folder: Path, capsys: Capture) -> None:
    _made(capsys, model_folder, "--only", "video", "--guide", "text=2", "--guide", "text.video=3")
    _made(capsys, model_folder, "--audio", "sound.wav", "--guide", "align.audio=0", "--guide", "text.video=3")


def test_a_size_of_sound_alone_is_told_to_have_no_effect(model_folder: Path, capsys: Capture) -> None:
    note = "Sound alone has no pictures, so size 32x64 has no effect."
    assert note in _made(capsys, model_folder, "--only", "audio", "--size", "32x64")["notes"]
    for words in (["--only", "audio"], ["--only", "video", "--size", "32x64"]):
        assert not [told for told in _made(capsys, model_folder, *words)["notes"] if "Sound alone" in told]


def test_sound_that_is_no_numbers_is_refused_by_the_file_s_name(model_folder: Path, capsys: Capture) -> None:
    for number, bad in enumerate((np.nan, np.inf)):
        samples = np.full(32000, 0.1, "<f4")
        samples[5] = bad
        size = samples.nbytes
        layout = struct.pack("<IHHIIHH", 16, 3, 1, 16000, 64000, 4, 32)  # float32, mono, 16 kHz
        head = b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + layout + b"data" + struct.pack("<I", size)
        Path(f"bad{number}.wav").write_bytes(head + samples.tobytes())
        for option, prompt in (("--voice", "<S>hello<E>"), ("--audio", "a drum"), ("--extend", "a drum")):
            assert main(["generate", prompt, "--model", str(model_folder), option, f"bad{number}.wav"]) == 2
            shown = capsys.readouterr().err
            assert f"bad{number}.wav' has samples of sound that are no numbers; export it again." in shown
            assert shown.count("\n") == 1


def test_moving_pictures_are_continued_or_told_to_be_converted(model_folder: Path, capsys: Capture) -> None:
    first, *more = [Image.new("RGB", (32, 32), (20 * n, 60, 90)) for n in range(12)]
    for name in ("moving.gif", "moving.webp"):
        first.save(name, save_all=True, append_images=more, duration=40)
    made = _made(capsys, model_folder, "--extend", "moving.gif", "--only", "video", "--fps", "24", "--seconds", "0.5")
    assert any("has 25 pictures a second and is shown at 24" in note for note in made["notes"])
    for option in ("--extend", "--video"):
        assert main(["generate", "a drum", "--model", str(model_folder), option, "moving.webp"]) == 2
        told = capsys.readouterr().err
        assert re.fullmatch(r"vivace: File '.*' is an animated WebP, which .*; convert it to MP4 first\.\n", told)
    Path("moving.webp").write_bytes(Path("moving.webp").read_bytes()[:40])
    assert main(["generate", "a drum", "--model", str(model_folder), "--video", "moving.webp"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_file_is_its_path_and_its_content() -> None:
    file = GivenFile.named("image", "picture.png")
    assert GivenFile.named("image", file.to_json()) == file
    request = Request(prompt="a", image=file)
    assert Request.from_json(request.to_json()) == request
    Path("picture.png").rename("other.png")
    assert GivenFile.named("image", "other.png").sha256 == file.sha256
    assert Request.from_json(request.to_json()) == request
    with pytest.raises(VivaceError, match="does not exist"):
        file.check("image")
    for bad in (3, "", [], {"path": "x"}, {"path": "x", "sha256": "0"}, b"x"):
        with pytest.raises(VivaceError):
            GivenFile.named("image", bad)
