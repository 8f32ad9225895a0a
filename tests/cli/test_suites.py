import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests.tiny import tiny_pipeline, tiny_transformer

from vivace.cli.main import main
from vivace.media import Clip, write_clip


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with room for a long prompt."""
    pipeline = tiny_pipeline()
    pipeline.register_modules(transformer=tiny_transformer(text_len=256))
    folder = tmp_path_factory.mktemp("models") / "reader"
    pipeline.save_pretrained(folder)
    return folder


def a_clip() -> Clip:
    rng = np.random.default_rng(0)
    audio = (0.1 * rng.normal(size=(2, 8000))).astype(np.float32)
    return Clip(rng.integers(0, 255, (12, 32, 32, 3), dtype=np.uint8), Fraction(24), audio, 16000)


def last_line(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, dict[str, object]]]:
    found: dict[str, dict[str, dict[str, object]]] = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    return found


def test_a_model_makes_what_is_missing(reader: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [
        "evaluate",
        "alive-style",
        "--model",
        str(reader),
        "--part",
        "general",
        "--language",
        "en",
        "--count",
        "2",
    ]
    command += ["--seconds", "1", "--steps", "1", "--batch", "2", "--output", str(tmp_path), "--json"]
    assert main(command) == 0
    line = last_line(capsys)
    assert line["scores"]["picture_brightness"]["n"] == 2
    assert "clap_score" in line["skipped"]
    clips = sorted((tmp_path / "clips").rglob("*.mp4"))
    assert [path.name for path in clips] == ["en-speech-01.mp4", "en-speech-02.mp4"]
    clips[0].unlink()
    before = clips[1].stat().st_mtime_ns
    assert main(command) == 0
    assert clips[0].is_file()
    assert clips[1].stat().st_mtime_ns == before
    told = (tmp_path / "summary.md").read_text()
    assert "no figure here is one of Alive-Bench" in told
    assert "human only" in told
    assert "--weights clap=PATH" in told


def test_seeds_of_a_prompt_are_made_and_brought(
    reader: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "list.csv").write_text("text\nA storm\n")
    data = ["evaluate", "javisbench", "--data", str(tmp_path / "list.csv"), "--seeds", "2", "--json"]
    words = ["--model", str(reader), "--seconds", "1", "--steps", "1", "--output", str(tmp_path / "made")]
    assert main([*data, *words]) == 0
    line = last_line(capsys)
    assert line["scores"]["picture_brightness"].items() >= {"n": 1, "seeds": 2, "clips": 2}.items()
    clips = {path.stem: path for path in (tmp_path / "made" / "clips").iterdir()}
    assert set(clips) == {"sample_0000", "sample_0000~seed1"}
    assert clips["sample_0000"].read_bytes() != clips["sample_0000~seed1"].read_bytes()
    brought = [*data, "--clips", str(tmp_path / "made" / "clips"), "--output", str(tmp_path / "brought")]
    assert main(brought) == 0
    assert last_line(capsys)["scores"] == line["scores"]
    command = json.loads((tmp_path / "made" / "summary.json").read_text())["command"]
    assert "--seeds 2" in command
    assert main([*data, "--seeds", "0"]) == 2


def test_speech_alone_is_made_for_seed_tts(reader: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data" / "en").mkdir(parents=True)
    (tmp_path / "data" / "en" / "meta.lst").write_text("one|two blue\n")
    command = ["evaluate", "seed-tts", "--data", str(tmp_path / "data"), "--model", str(reader), "--seconds", "1"]
    assert main([*command, "--steps", "1", "--output", str(tmp_path / "out"), "--json"]) == 0
    line = last_line(capsys)
    assert (tmp_path / "out" / "clips" / "one.wav").is_file()
    assert line["scores"]["sound_true_peak"]["n"] == 1
    assert line["columns"]["WER"] == {"value": None, "n": 0}


def test_clips_of_any_origin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "clips").mkdir()
    write_clip(tmp_path / "clips" / "a.mp4", a_clip())
    command = ["evaluate", "clips", "--clips", str(tmp_path / "clips"), "--output", str(tmp_path / "out")]
    assert main(command) == 0
    assert "1 items." in capsys.readouterr().out
    assert main([*command, "--json"]) == 0
    assert last_line(capsys)["scores"]["sound_loudness"]["n"] == 1
    # Weights that are named and cannot be used are told before anything is measured, and the run goes on.
    assert main([*command, "--weights", f"cavp={tmp_path / 'nowhere'}"]) == 0
    assert "--weights cavp is not used" in capsys.readouterr().err
    (tmp_path / "talk").mkdir()
    (tmp_path / "talk" / "a.json").write_text('{"said": ["abcd"], "heard": ["abce"]}')
    assert main([*command, "--transcripts", str(tmp_path / "talk"), "--json"]) == 0
    assert last_line(capsys)["scores"]["cp_cer"] == {"value": 0.25, "n": 1}


def test_two_processes_share_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "abc":
        write_clip(tmp_path / "clips" / f"{name}.mp4", a_clip())
    command = ["evaluate", "clips", "--clips", str(tmp_path / "clips")]
    assert main([*command, "--output", str(tmp_path / "whole")]) == 0
    shared = [*command, "--output", str(tmp_path / "out")]
    capsys.readouterr()
    assert main([*shared, "--shard", "2/2"]) == 0
    told = capsys.readouterr().out
    assert "Shard 2/2 is done. Shard 1/2 has not begun; the last one writes" in told
    assert main(shared) == 2
    assert "Shard 1/2 has not begun in" in capsys.readouterr().err
    assert not (tmp_path / "out" / "summary.json").exists()
    assert main([*shared, "--shard", "2/2", "--json"]) == 0
    assert last_line(capsys)["waiting"] == {"1/2": "has not begun"}
    assert main([*shared, "--shard", "1/2", "--json"]) == 0
    assert last_line(capsys)["scores"]["sound_loudness"]["n"] == 3
    one, two = (json.loads((tmp_path / name / "summary.json").read_text()) for name in ("whole", "out"))
    assert two.pop("command") == one.pop("command").replace("whole", "out")  # whoever comes last: that of the whole
    assert one == two
    assert main(shared) == 0


def test_a_folder_with_gaps_needs_leave(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "list.csv").write_text("text\nA storm\nTwo birds\n")
    (tmp_path / "clips").mkdir()
    write_clip(tmp_path / "clips" / "sample_0001.mp4", a_clip())
    command = ["evaluate", "javisbench", "--data", str(tmp_path / "list.csv"), "--clips", str(tmp_path / "clips")]
    command += ["--output", str(tmp_path / "out"), "--json"]
    assert main(command) == 2
    assert "1 of 2 clips are missing (sample_0000)" in capsys.readouterr().err
    assert main([*command, "--allow-missing"]) == 0
    line = last_line(capsys)
    assert line["counted"]["missing"] == 1
    assert line["columns"]["AV-Align_own_peaks"]["n"] == 1


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["clips", "--clips", "nowhere"], "no folder"),
        (["clips", "--clips", "."], "holds no clips"),
        (["alive-style", "--part", "sports"], "no part"),
        (["alive-style", "--transcripts", "nowhere"], "check the path given for transcripts"),
        (["alive-style", "--model", "no-such-model"], "no-such-model"),
        (["alive-style", "--clips", "."], "holds no clip"),
        (["verse-bench", "--data", "nowhere"], "no folder"),
        (["verse-bench", "--data", ".", "--protocol", "ours"], "no protocol"),
        (["seed-tts", "--data", "nowhere"], "cannot be read"),
        (["javisbench", "--data", "nowhere"], "no JavisBench list"),
        (["alive-style", "--shard", "0/2"], "not I/N"),
        (["alive-style", "--shard", "3/2"], "not I/N"),
        (["alive-style", "--shard", "a/b"], "not I/N"),
        (["alive-style", "--device", "gpu"], "device 'gpu' cannot be used"),
        (["alive-style", "--device", "cuda:77"], "device 'cuda:77' cannot be used"),
        (["world", "--device", "meta"], "device 'meta' cannot be used"),
    ],
)
def test_bad_requests_get_one_sentence(
    words: list[str],
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", *words]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("vivace: ")
    assert problem in error
    assert "\n" not in error
    assert not list(tmp_path.iterdir())


def test_weights_that_are_wrong_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "clips").mkdir()
    write_clip(tmp_path / "clips" / "a.mp4", a_clip())
    (tmp_path / "weights.toml").write_text('[weights]\nlips = "x"\n')
    (tmp_path / "bad.model").write_bytes(b"not weights")
    for given, problem in (
        (str(tmp_path / "weights.toml"), "unknown"),
        ("nowhere.toml", "cannot be read"),
        ("syncnet=", "names no file"),
        (f"syncnet={tmp_path / 'bad.model'}", "cannot be read"),
    ):
        assert main(["evaluate", "clips", "--clips", str(tmp_path / "clips"), "--weights", given]) == 2
        assert problem in capsys.readouterr().err
