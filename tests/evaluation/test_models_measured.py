import json
import shlex
from pathlib import Path

import pytest
from tests.evaluation.report.runs import write_run

from vivace.errors import VivaceError
from vivace.evaluation.models_measured import measured_models
from vivace.evaluation.report.models_report import models_markdown, write_models

COMMAND = "vivace evaluate world --model near --split val --count 12 --output results/near-val"


def write_models_runs(folder: Path) -> list[Path]:
    for name, spread in (("near", 0.01), ("far", 0.12)):
        write_run(folder / f"{name}-val", {"model": spread, "truth": 0.001}, count=12)
        summary = folder / f"{name}-val" / "summary.json"
        told = json.loads(summary.read_text())
        told |= {"model": name, "command": COMMAND.replace("near", name)}
        summary.write_text(json.dumps(told))
    return [folder / "near-val", folder / "far-val"]


def test_models_stand_beside_each_other_and_the_truth_with_their_commands(tmp_path: Path) -> None:
    found = measured_models(write_models_runs(tmp_path))
    assert list(found.runs) == ["near", "far"]
    assert [column.label for column in found.columns[:2]] == ["near", "far"]
    assert found.comparison is not None
    tests = {(entry.metric, entry.first, entry.second): entry.better for entry in found.comparison.differences}
    assert tests["av_offset_mean_abs", "near", "far"] == "near"
    text = models_markdown(found, "vivace evaluate models")
    assert COMMAND in text
    assert COMMAND.replace("near", "far") in text
    row = next(line for line in text.splitlines() if line.startswith("| av_event_f1_50ms"))
    assert row.count(" n 12") == len(found.columns)


def test_values_of_sets_of_other_sizes_are_named(tmp_path: Path) -> None:
    runs = write_models_runs(tmp_path)
    for run, n in zip(runs, (30, 40), strict=True):
        summary = json.loads((run / "summary.json").read_text())
        entry = summary["groups"]["all"]["model"]["av_event_f1_50ms"]
        summary["groups"]["all"]["model"]["signal_kernel_sound"] = {**entry, "scope": "set", "n": n}
        (run / "summary.json").write_text(json.dumps(summary))
    assert "signal_kernel_sound: a value of a whole set depends on n" in models_markdown(measured_models(runs), "")


def test_the_same_true_clips_are_one_column(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_run(tmp_path / name, {"truth": 0.01, "model": 0.05}, count=6)  # the truth drawn first, alike in both
    labels = [column.label for column in measured_models([tmp_path / "one", tmp_path / "two"]).columns]
    assert labels == ["one", "two", "truth"]
    write_run(tmp_path / "three", {"truth": 0.03, "model": 0.05}, count=6)
    labels = [column.label for column in measured_models([tmp_path / "one", tmp_path / "three"]).columns]
    assert labels == ["one", "three", "truth of one", "truth of three"]


def test_a_model_without_a_finished_run_is_said_to_be_missing(tmp_path: Path) -> None:
    near, far = write_models_runs(tmp_path)
    (far / "summary.json").unlink()
    nowhere = tmp_path / "nano-alive-val"
    found = measured_models([near, far, nowhere])
    assert [(one.name, one.clips) for one in found.missing] == [("far", 24), ("nano-alive", 0)]
    words = shlex.split(found.missing[1].command)
    # As the model that was measured, but for model and folder.
    assert words[:5] == ["vivace", "evaluate", "world", "--model", "nano-alive"]
    assert words[5:] == ["--split", "val", "--count", "12", "--output", str(nowhere)]
    write_models(tmp_path / "page", found, "vivace evaluate models")
    for name in ("models.md", "models.html"):
        text = (tmp_path / "page" / name).read_text()
        assert "n 24" in text
        assert "n 0" in text
        assert found.missing[1].command in text
    assert "near" in (tmp_path / "page" / "models.md").read_text()


def test_a_run_alone_is_held_against_the_truth_or_nothing(tmp_path: Path) -> None:
    near, _ = write_models_runs(tmp_path)
    found = measured_models([near])
    assert [column.label for column in found.columns] == ["near", "truth"]
    assert found.comparison is not None
    write_run(tmp_path / "bare", {"model": 0.01}, count=4)
    bare = measured_models([tmp_path / "bare"])
    assert bare.comparison is None
    assert "nothing to be compared" in models_markdown(bare, "x")
    assert "does not record its command" in models_markdown(bare, "x")


def test_what_cannot_be_a_page_is_refused(tmp_path: Path) -> None:
    near, _ = write_models_runs(tmp_path)
    with pytest.raises(VivaceError, match="finished run; make one with `vivace evaluate world --model nano-nava"):
        measured_models([tmp_path / "nano-nava-test"])
    with pytest.raises(VivaceError, match="named twice"):
        measured_models([near, tmp_path / "." / "near-val"])
    summary = tmp_path / "far-val" / "summary.json"
    summary.write_text(json.dumps(json.loads(summary.read_text()) | {"suite": "verse-bench"}))
    with pytest.raises(VivaceError, match="is a run of verse-bench"):
        measured_models([near, tmp_path / "far-val"])
    write_run(tmp_path / "longer", {"model": 0.01}, count=4, seconds=4.0)
    with pytest.raises(VivaceError, match="measured differently"):
        measured_models([near, tmp_path / "longer"])
