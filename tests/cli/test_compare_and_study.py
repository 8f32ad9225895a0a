import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from tests.evaluation.report.runs import write_run
from tests.evaluation.study.clips import write_clips
from tests.tiny import tiny_pipeline, tiny_transformer

from vivace.cli.main import main
from vivace.evaluation.study.store import Study
from vivace.evaluation.suites.alive_style import alive_style_suite


def test_runs_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, spread in (("near", 0.01), ("far", 0.12)):
        write_run(tmp_path / name, {"model": spread}, count=12)
    words = ["compare", str(tmp_path / "near"), str(tmp_path / "far"), "--output", str(tmp_path / "out")]
    assert main([*words, "--metric", "av_event_f1_50ms", "--json"]) == 0
    line = json.loads(capsys.readouterr().out)
    assert [entry["better"] for entry in line["differences"]] == ["near"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "comparison.html", "comparison.json", "comparison.md",
    }  # fmt: skip
    assert main(words) == 0
    assert "av_event_f1_50ms" in capsys.readouterr().out
    assert main(["compare", str(tmp_path / "near")]) == 2
    assert "two or more" in capsys.readouterr().err


def test_a_page_of_models(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "results" / "nano-nava-val", {"model": 0.01, "truth": 0.001}, count=6)
    assert main(["evaluate", "models", "--split", "val", "--output", "page", "--json"]) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["models"] == ["nano-nava-val"]
    assert line["missing"] == [{"model": "nano-alive", "clips": 0}]
    assert "vivace evaluate models --split val --output page" in (tmp_path / "page" / "models.md").read_text()
    assert main(["evaluate", "models"]) == 2
    assert "make one with" in capsys.readouterr().err
    assert main(["evaluate", "models", "--split", "train"]) == 2
    assert "train" in capsys.readouterr().err


def test_models_are_evaluated_where_they_are_not_and_shown_side_by_side(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline = tiny_pipeline()
    pipeline.register_modules(transformer=tiny_transformer(text_len=256))
    pipeline.save_pretrained(tmp_path / "one")
    model, out = str(tmp_path / "one"), tmp_path / "out"
    words = ["compare", model, f"{model}@truth", "--output", str(out), "--count", "2", "--seconds", "1", "--json"]
    assert main(words) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 1
    line = json.loads(lines[0])
    assert [subject["condition"] for subject in line["subjects"]] == ["model", "truth"]
    assert line["prompts"] == 2
    page = (out / "comparison.html").read_text()
    assert "Side by side" in page
    assert page.count("<video") == 4  # of the model and the truth, two prompts each
    # What is there is not made again, and stands for itself.
    run = out / "runs" / "one-val-2"
    assert main(["compare", str(run), f"{run}@truth", "--output", str(tmp_path / "again"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["differences"] == line["differences"]


def test_models_of_one_name_and_folders_that_are_nothing_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["compare", "nowhere", "nothing"]) == 2
    assert "holds no results" in capsys.readouterr().err
    for place in ("a", "b"):
        (tmp_path / place / "one").mkdir(parents=True)
        (tmp_path / place / "one" / "model_index.json").write_text("{}")
    assert main(["compare", "a/one", "b/one"]) == 2
    assert "have one name" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_an_offline_folder_is_written_for_one_rater(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    item = alive_style_suite().items[0]
    for name in ("one", "two"):
        write_clips(tmp_path / name / Path(item.id).parent, [Path(item.id).name], pitch=300, seconds=0.5)
    folder, out = tmp_path / "study", tmp_path / "ann"
    make = ["study", "make", str(folder), "--dimensions", "--controls", "0"]
    make += ["--system", f"one={tmp_path / 'one'}", "--system", f"two={tmp_path / 'two'}"]
    assert main([*make, "--axis", "sync=Which?"]) == 2
    assert "leave one of them out" in capsys.readouterr().err
    assert main(make) == 0
    (pair,) = Study(folder).design.real
    assert pair.axes == item.tags
    capsys.readouterr()
    assert main(["study", "offline", str(folder), str(out), "--rater", "ann", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"command": "study offline", "output": str(out), "pairs": 1}
    assert (out / "index.html").is_file()
    assert main(["study", "offline", str(folder), str(out), "--rater", "ben"]) == 2
    assert "not empty" in capsys.readouterr().err


def test_a_study_from_plan_to_analysis(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "plan", "--net", "0.15", "--axes", "1", "--raters", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["votes"] == 254
    assert main(["study", "plan", "--net", "0.15"]) == 0
    assert "prompts" in capsys.readouterr().out
    for name, pitch in (("one", 300.0), ("two", 500.0)):
        write_clips(tmp_path / name, ["x", "y", "z"], pitch=pitch, seconds=0.5)
    folder = tmp_path / "study"
    make = ["study", "make", str(folder), "--system", f"one={tmp_path / 'one'}", "--system", f"two={tmp_path / 'two'}"]
    assert main([*make, "--axis", "+sync=Which is in time?", "--raters", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pairs"] == 3
    assert main(make) == 2
    assert "not empty" in capsys.readouterr().err
    assert main(["study", "analyse", str(folder)]) == 2
    assert "no votes yet" in capsys.readouterr().err
    study = Study(folder)
    clean = {pair.id: pair.control for pair in study.design.pairs}
    for task in study.session("ann").tasks:
        answer = "same" if clean[task.pair] == "identical" else "left" if task.left == "first" else "right"
        study.vote("ann", task.pair, {"sync": answer}, 2.0)
    assert main(["study", "analyse", str(folder)]) == 0
    assert "3/0/0, net +1.000" in capsys.readouterr().out
    assert (folder / "analysis.html").is_file()
    assert main(["study", "export", str(folder), str(tmp_path / "votes.jsonl")]) == 0
    assert main(["study", "import", str(folder), str(tmp_path / "votes.jsonl")]) == 0
    assert "0 votes are new, 5 were there" in capsys.readouterr().out
    assert main(["study", "second-round", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pairs"] == {}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["plan", "--net", "0"], "cannot be planned"),
        (["make", "s", "--system", "one"], "NAME=FOLDER"),
        (["make", "s", "--system", "a=x", "--system", "a=y"], "given twice"),
        (["make", "s", "--system", "a=x", "--system", "b=y", "--axis", "sync"], "NAME=QUESTION"),
        (["make", "s", "--system", "a=x", "--system", "b=y", "--prompts", "none.jsonl"], "do not exist"),
        (["serve", "nowhere"], "holds no study"),
        (["analyse", "nowhere"], "holds no study"),
        (["import", "nowhere", "votes.jsonl"], "holds no study"),
    ],
)
def test_bad_words_end_in_one_sentence(
    words: list[str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["study", *words]) == 2
    told = capsys.readouterr().err.strip()
    assert reason in told
    assert len(told.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_serving_begins_says_where_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_clips(tmp_path / name, ["x"], pitch=300, seconds=0.5)
    make = ["study", "make", str(tmp_path / "s"), "--controls", "0"]
    assert main([*make, "--system", f"one={tmp_path / 'one'}", "--system", f"two={tmp_path / 'two'}"]) == 0
    code = "import sys; from vivace.cli.main import main; sys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-c", code, "study", "serve", str(tmp_path / "s"), "--port", "0"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    assert process.stdout is not None
    told = process.stdout.readline()
    url = next(word for word in told.split() if word.startswith("http"))
    assert b"page.js" in urllib.request.urlopen(url, timeout=20).read()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
