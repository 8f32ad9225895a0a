import json
from pathlib import Path

import pytest
from tests.perception.published.test_picture_networks import laion_folder
from tests.tiny import tiny_pipeline, tiny_speaking_pipeline, tiny_transformer

from vivace.cli.main import main
from vivace.media import read_clip


@pytest.fixture(scope="module")
def long_reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with room for the longest caption of the world."""
    pipeline = tiny_pipeline()
    pipeline.register_modules(transformer=tiny_transformer(text_len=256))
    folder = tmp_path_factory.mktemp("models") / "reader"
    pipeline.save_pretrained(folder)
    return folder


def test_world_benchmark_of_a_model_folder(
    long_reader: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", "world", "--model", str(long_reader), "--output", str(tmp_path / "run"), "--seconds", "1"]
    command += ["--no-hand", "--steps", "1", "--json"]
    assert main([*command, "--count", "2"]) == 0
    line = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert set(line["model"]) == {"all", "seen", "unseen", "camera"}
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert set(summary["groups"]["all"]) == {"model", "with alignment", "truth", "ceiling", "floor"}
    assert summary["groups"]["all"]["truth"]["sound_kind"]["n"] == 2
    assert summary["command"].startswith(f"vivace evaluate world --model {long_reader} --count 2 --output")
    before = (tmp_path / "run" / "items.jsonl").read_text()
    assert main([*command, "--count", "3"]) == 0
    after = (tmp_path / "run" / "items.jsonl").read_text()
    assert after.startswith(before)
    assert len(after) > len(before)
    assert main([*command[:-1], "--count", "2", "--preset", "aligned"]) == 2
    assert "another run" in capsys.readouterr().err


def test_clips_and_true_clips_have_the_size_asked_for(long_reader: Path, tmp_path: Path) -> None:
    command = ["evaluate", "world", "--model", str(long_reader), "--output", str(tmp_path / "run"), "--seconds", "1"]
    command += ["--no-hand", "--no-camera", "--no-more", "--no-compare-alignment", "--steps", "1", "--count", "2"]
    assert main([*command, "--size", "96x64", "--keep-clips"]) == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["settings"]["size"] == "96x64"
    sizes = {read_clip(path).frames.shape[1:3] for path in (tmp_path / "run").rglob("*.mp4")}
    assert sizes == {(64, 96)}


def test_timbre_guides_what_is_spoken_and_leaves_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pipeline = tiny_speaking_pipeline(vocabulary=("says",))
    pipeline.register_modules(transformer=tiny_transformer(speaker_dim=8, speakers_keep_text=True, text_len=256))
    pipeline.save_pretrained(tmp_path / "speaker")
    command = ["evaluate", "world", "--model", str(tmp_path / "speaker"), "--seconds", "1", "--steps", "1"]
    command += ["--no-hand", "--no-camera", "--no-compare-alignment", "--count", "2"]

    def sounds(name: str, *words: str) -> dict[str, bytes]:
        told = ["--group", "talk-seen", "--keep-clips", "--output", str(tmp_path / name), *words]
        assert main([*command, *told]) == 0
        made = (tmp_path / name / "clips" / "model").glob("*.mp4")
        return {path.stem: read_clip(path).audio.tobytes() for path in made}

    plain, guided = sounds("plain"), sounds("guided", "--guide", "timbre=9")
    assert {name: plain[name] == guided[name] for name in plain} == {
        "seen-0000": True,
        "unseen-0000": True,
        "talk-seen-0000": False,
        "talk-seen-0001": False,
    }
    capsys.readouterr()
    assert main([*command, "--no-more", "--guide", "timbre=9"]) == 2
    assert "no prompt has speech" in capsys.readouterr().err


def test_seeds_give_several_clips_of_each_prompt(
    long_reader: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    command = ["evaluate", "world", "--model", str(long_reader), "--output", str(tmp_path / "run"), "--seconds", "1"]
    command += ["--no-hand", "--no-camera", "--no-more", "--no-compare-alignment", "--steps", "1", "--count", "2"]
    assert main([*command, "--seeds", "2"]) == 0
    assert "(n 2 x 2" in capsys.readouterr().out
    rows = [json.loads(line) for line in (tmp_path / "run" / "items.jsonl").read_text().splitlines()]
    made = {(row["id"], row["seed"]) for row in rows if row["condition"] == "model"}
    assert made == {("seen-0000", 0), ("seen-0000~seed1", 1), ("unseen-0000", 0), ("unseen-0000~seed1", 1)}
    assert sum(row["condition"] == "truth" for row in rows) == 2
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert "--seeds 2" in summary["command"]
    assert main(["compare", str(tmp_path / "run"), f"{tmp_path / 'run'}@truth", "--output", str(tmp_path / "c")]) == 0
    assert json.loads((tmp_path / "c" / "comparison.json").read_text())["prompts"] == 2


def test_a_first_look_makes_few_clips_and_names_the_page_to_open(
    long_reader: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("vivace.cli.world_benchmark.QUICK", 2)
    assert main(["evaluate", "world", "--model", str(long_reader), "--seconds", "1", "--steps", "1", "--quick"]) == 0
    folder = Path("results") / f"{long_reader.name}-val-quick"
    assert f"{folder}/report.html" in capsys.readouterr().out.replace("\n", "")
    assert "<html" in (folder / "report.html").read_text()
    items = [json.loads(line) for line in (folder / "items.jsonl").read_text().splitlines()]
    assert len([item for item in items if item["condition"] == "model"]) == 2
    assert {item["group"] for item in items} == {"seen", "unseen"}


def test_weights_measure_the_models_clips_and_the_true_ones(
    long_reader: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clip").mkdir()
    laion_folder(tmp_path / "clip")
    command = ["evaluate", "world", "--model", str(long_reader), "--output", str(tmp_path / "run"), "--seconds", "1"]
    command += ["--no-hand", "--no-camera", "--no-more", "--no-compare-alignment", "--steps", "1", "--count", "2"]
    assert main([*command, "--weights", f"laion-aesthetic={tmp_path / 'clip'}", "--json"]) == 0
    line = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert line["model"]["all"]["aesthetic_laion"] is not None
    assert "sync_c" in line["skipped"]
    assert "aesthetic_laion" not in line["skipped"]
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    for condition in ("model", "truth"):
        assert summary["groups"]["all"][condition]["aesthetic_laion"]["n"] == 2
        assert len(list((tmp_path / "run" / "clips" / condition).glob("*.mp4"))) == 2
    assert main(command) == 0
    assert "Held-out scenes" in capsys.readouterr().out
    assert main([*command, "--weights", "clip=nowhere"]) == 2
    assert "unknown" in capsys.readouterr().err


@pytest.mark.parametrize("task", ["ti2av", "t2a", "v2a", "extend"])
def test_world_benchmark_of_every_task(
    task: str, long_reader: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", "world", "--model", str(long_reader), "--output", str(tmp_path), "--seconds", "1"]
    command += ["--no-hand", "--no-camera", "--no-compare-alignment", "--steps", "1", "--count", "2", "--json"]
    assert main([*command, "--task", task, "--group", "silence"]) == 0
    scores = json.loads(capsys.readouterr().out.strip().splitlines()[-1])["model"]
    assert set(scores) == {"all", "seen", "unseen", "silence"}
    assert scores["silence"]["silence_kept"] is not None
    assert (scores["all"]["colour"] is None) == (task == "t2a")
    assert (scores["all"].get("first_frame_psnr") is not None) == (task == "ti2av")
    assert json.loads((tmp_path / "run.json").read_text())["settings"]["task"] == task


def test_a_task_that_was_not_learned_is_refused(
    tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path_factory.mktemp("models") / "plain"
    tiny_pipeline(tasks=["t2av"]).save_pretrained(folder)
    assert main(["evaluate", "world", "--model", str(folder), "--task", "v2a", "--count", "2"]) == 2
    assert "has not learned" in capsys.readouterr().err


def test_codec_report_of_a_model_folder(model_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "codecs", "--model", str(model_folder), "--count", "1", "--seconds", "1"]) == 0
    assert "psnr_moving" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["world", "--split", "train"],
        ["world", "--count", "1"],
        ["world", "--guide", "text"],
        ["world", "--task", "t2x"],
        ["world", "--size", "wide"],
        ["world", "--group", "dogs"],
        ["world", "--model", "no-such-model"],
        ["codecs", "--vae", "somewhere"],
        ["codecs", "--model", "no-such-model"],
        ["codecs", "--seconds", "nan"],
    ],
)
def test_bad_requests_get_one_sentence(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", *words]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("vivace: ")
    assert "\n" not in error
