import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vivace.cli.main import main
from vivace.media import read_clip, read_metadata, write_png, write_wav

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _json(capsys: Capture) -> dict[str, Any]:
    entries = json.loads(capsys.readouterr().out)
    assert isinstance(entries, dict)
    return entries


def test_a_clip_is_named_from_prompt_and_seed_and_carries_its_record(model_folder: Path, capsys: Capture) -> None:
    assert main(["generate", "A red ball!", "--model", str(model_folder), "--seed", "5", "--contact-sheet"]) == 0
    shown = capsys.readouterr().out
    assert "a-red-ball-5.mp4" in shown
    assert "seed 5" in shown
    clip = read_clip("a-red-ball-5.mp4")
    assert clip.frames is not None
    assert clip.frames.shape == (5, 32, 32, 3)
    inside = json.loads(read_metadata("a-red-ball-5.mp4")["vivace"])
    assert inside == json.loads(Path("a-red-ball-5.json").read_text())
    assert inside["request"] == {"prompt": "A red ball!", "model": str(model_folder), "seed": 5}
    assert len(inside["model_hash"]) == len(inside["latents_sha256"]) == 64
    assert inside["settings"]["steps"] == 3
    assert {"torch", "vivace"} <= set(inside["versions"])
    assert Path("a-red-ball-5.png").is_file()
    assert sorted(p.name for p in Path().iterdir()) == ["a-red-ball-5.json", "a-red-ball-5.mp4", "a-red-ball-5.png"]


def test_rerun_makes_the_same_clip_from_its_record(model_folder: Path, tmp_path: Path, capsys: Capture) -> None:
    words = [
        "--steps",
        "2",
        "--guide",
        "text.audio=3",
        "--size",
        "64x32",
        "--negative",
        "a bell",
        "--preset",
        "aligned",
    ]
    assert main(["generate", "a drum", "--model", str(model_folder), *words, "--output", "one.mp4"]) == 0
    capsys.readouterr()
    assert main(["rerun", "one.mp4", "--json"]) == 0
    made = _json(capsys)
    assert made["same_latents"] is True
    first, second = read_clip("one.mp4"), read_clip(made["path"])
    np.testing.assert_array_equal(first.frames, second.frames)  # type: ignore[arg-type]
    assert main(["rerun", "one.json", "--output", "three.mp4"]) == 0
    assert "bit for bit" in capsys.readouterr().out

    moved = shutil.copytree(model_folder, tmp_path / "moved")
    assert main(["rerun", "one.mp4", "--model", str(moved), "--output", "four.mp4"]) == 0
    index = json.loads((moved / "model_index.json").read_text())
    index["capabilities"]["name"] = "other"
    (moved / "model_index.json").write_text(json.dumps(index))
    assert main(["rerun", "one.mp4", "--model", str(moved)]) == 2
    assert "not the one that made" in capsys.readouterr().err


def test_records_that_say_too_little_are_refused_in_one_sentence(model_folder: Path, capsys: Capture) -> None:
    assert main(["generate", "a drum", "--model", str(model_folder), "--seed", "1", "--output", "one.mp4"]) == 0
    record = json.loads(Path("one.json").read_text())
    del record["request"]["seed"]
    Path("unsown.json").write_text(json.dumps(record))
    Path("deep.json").write_text("[" * 100_000 + "]" * 100_000)
    write_wav("sound.wav", np.zeros((1, 1600), np.float32), 16000, {"x": "y"})
    tagged = Path("sound.wav").read_bytes()
    Path("number.wav").write_bytes(tagged.replace(b'vivace:{"x": "y"}', b"vivace:5         "))
    Path("pairs.wav").write_bytes(tagged.replace(b'vivace:{"x": "y"}', b"vivace:[1, 2]    "))
    capsys.readouterr()
    before = sorted(Path().iterdir())
    for name, complaint in (
        ("unsown.json", "has no seed"),
        ("deep.json", "has no record of vivace's"),
        ("number.wav", "has no record of vivace's"),
        ("pairs.wav", "has no record of vivace's"),
    ):
        assert main(["rerun", name]) == 2
        told = capsys.readouterr().err
        assert complaint in told
        assert name in told
        assert told.count("\n") == 1
    assert sorted(Path().iterdir()) == before


def test_sound_alone_is_a_wav_and_pictures_alone_have_no_sound(model_folder: Path, capsys: Capture) -> None:
    base = ["generate", "a drum", "--model", str(model_folder), "--seed", "1", "--json"]
    assert main([*base, "--only", "audio"]) == 0
    wav = _json(capsys)["path"]
    assert wav.endswith(".wav")
    assert "vivace" in read_metadata(wav)
    assert main([*base, "--only", "video"]) == 0
    assert read_clip(_json(capsys)["path"]).audio is None
    assert main(["rerun", wav, "--json"]) == 0
    assert _json(capsys)["same_latents"] is True


def test_another_clip_is_never_overwritten_and_the_same_one_replaced(model_folder: Path, capsys: Capture) -> None:
    base = ["generate", "a drum", "--model", str(model_folder), "--seed", "1", "--json", "--output", "x.mp4"]
    paths = []
    for extra in ([], [], ["--steps", "1"], ["--steps", "1"], ["--steps", "2"]):
        assert main([*base, *extra]) == 0
        paths.append(_json(capsys)["path"])
    assert paths == ["x.mp4", "x.mp4", "x-2.mp4", "x-2.mp4", "x-3.mp4"]
    Path("y.mp4").write_text("not a clip")
    assert main([*base[:-1], "y.mp4"]) == 0
    assert _json(capsys)["path"] == "y-2.mp4"
    assert Path("y.mp4").read_text() == "not a clip"


def test_a_prompt_of_unknown_things_gets_one_line_that_says_what_is_known(model_folder: Path, capsys: Capture) -> None:
    assert main(["generate", "a cat sings", "--model", str(model_folder), "--seed", "1"]) == 0
    assert capsys.readouterr().err == "Note: tiny knows balls and drums in six colours; the prompt names none of it.\n"


def test_without_a_seed_one_is_drawn_and_told(model_folder: Path, capsys: Capture) -> None:
    seeds = set()
    for _ in range(2):
        assert main(["generate", "a drum", "--model", str(model_folder), "--json"]) == 0
        seeds.add(_json(capsys)["seed"])
    assert len(seeds) == 2


def test_the_record_and_the_sheet_beside_a_clip_overwrite_nothing_either(model_folder: Path, capsys: Capture) -> None:
    base = ["generate", "a drum", "--model", str(model_folder), "--seed", "1", "--json", "--contact-sheet"]
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    write_png("first.png", picture)
    Path("mine.json").write_text('{"format": 1, "request": "mine"}')
    foreign = {path: path.read_bytes() for path in (Path("first.png"), Path("mine.json"))}
    for name, words, blocker in (
        ("first", ["--image", "first.png"], "first.png"),
        ("mine", [], "mine.json"),
    ):
        for _ in range(2):  # the second time the set of the first is replaced
            assert main([*base, *words, "--output", f"{name}.mp4"]) == 0
            made = _json(capsys)
            assert [made[part] for part in ("path", "record", "contact_sheet")] == [
                f"{name}-2.{ending}" for ending in ("mp4", "json", "png")
            ]
            assert f"{blocker} holds something else, so this is {name}-2.mp4." in made["notes"]
    assert {path: path.read_bytes() for path in foreign} == foreign
    assert len(list(Path().iterdir())) == 2 + 2 * 3
    # Without a sheet nothing is written to where one would be.
    assert main([*base[:-1], "--output", "first.mp4"]) == 0
    assert _json(capsys)["path"] == "first.mp4"


@pytest.mark.parametrize(
    ("output", "complaint"),
    [
        ("x.avi", "does not end in .mp4"),
        ("x.wav", "does not end in .mp4"),
        (".mp4", "'.mp4' has no name before .mp4; give one such as 'clip.mp4'"),
        ("folder.mp4", "'folder.mp4' is a folder"),
        ("record.mp4", "'record.json', which goes with 'record.mp4', is a folder"),
        ("sheet.mp4", "'sheet.png', which goes with 'sheet.mp4', is a folder"),
        ("b" * 251 + ".mp4", "is no possible path"),  # its record's name is a letter too long
    ],
)
def test_outputs_that_cannot_be_are_refused_before_any_work(
    capsys: Capture, output: str, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vivace.cli.making.Models.load_for", None)  # what is work fails
    for name in ("folder.mp4", "record.json", "sheet.png"):
        Path(name).mkdir()
    assert main(["generate", "a", "--output", output, "--contact-sheet"]) == 2
    assert complaint in capsys.readouterr().err


def test_unwritable_places_are_refused(model_folder: Path, capsys: Capture) -> None:
    Path("file").write_text("")
    for output in ("file/x.mp4", "/proc/x.mp4", "/dev/null/x.mp4", "a" * 300 + ".mp4"):
        assert main(["generate", "a", "--model", str(model_folder), "--output", output]) == 2
        shown = capsys.readouterr().err
        assert shown.count("\n") == 1, shown
        assert "Traceback" not in shown
    assert [p.name for p in Path().iterdir()] == ["file"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX limits")
def test_a_full_disk_is_told_in_one_sentence(model_folder: Path, tmp_path: Path) -> None:
    """A limit on the size of files makes every write fail as a full disk does."""
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from vivace.cli.main import main\n"
        "import vivace.pipelines.nava\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (256, 256))\n"
        f"sys.exit(main(['generate', 'a drum', '--model', {str(model_folder)!r}]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_at_any_part_is_left_without_all(
    model_folder: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vivace.cli import making, record

    words = ["generate", "a drum", "--model", str(model_folder), "--seed", "1", "--contact-sheet"]

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def no_sheet(path: Path, *_: Any) -> None:
        with record.replacing(path) as temporary:
            temporary.write_bytes(b"half")
            full()

    def no_record(path: Path, _: Any) -> None:
        no_sheet(path)

    for name, writer, ending in (("write_record", no_record, "json"), ("write_sheet", no_sheet, "png")):
        with monkeypatch.context() as patched:
            patched.setattr(record if name == "write_record" else making, name, writer)
            assert main([*words, "--output", "folder/x.mp4"]) == 2
        told = capsys.readouterr().err
        assert told == (
            f"vivace: Output 'folder/x.{ending}' cannot be written: the disk is full; "
            "free some space or choose another disk.\n"
        )
        assert list(Path("folder").iterdir()) == []
    # Where there is a set already, it stays as it is.
    assert main([*words, "--output", "folder/x.mp4"]) == 0
    before = {path.name: path.read_bytes() for path in Path("folder").iterdir()}
    monkeypatch.setattr(making, "write_sheet", no_sheet)
    assert main([*words, "--output", "folder/x.mp4"]) == 2
    assert {path.name: path.read_bytes() for path in Path("folder").iterdir()} == before
    assert len(before) == 3


def test_ctrl_c_at_any_moment_leaves_nothing_and_says_so(model_folder: Path, tmp_path: Path) -> None:
    words = [
        "generate",
        "a drum",
        "--model",
        str(model_folder),
        "--steps",
        "1000",
        "--seconds",
        "2",
        "--size",
        "128x128",
    ]
    # A thousand steps are far from done after four seconds, whether those went into imports or into sampling.
    # "From the first moment on" begins inside of main.
    code = """
import sys
from vivace.cli.main import main

class Words(list):
    def __iter__(self):
        print("ready", flush=True)
        return super().__iter__()

sys.exit(main(Words(sys.argv[1:])))
"""
    for delay in (0.0, 1.0, 4.0):
        process = subprocess.Popen(
            [sys.executable, "-c", code, *words],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
        assert out == ""
        assert err == "Stopped; no unfinished file is left.\n"
        assert list(tmp_path.iterdir()) == []
