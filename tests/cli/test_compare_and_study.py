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

from vivace.cli.main import main
from vivace.evaluation.study.store import Study


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
