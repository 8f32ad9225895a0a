"""Two models' copy-paste bias side by side."""

import json
from pathlib import Path

import pytest
from benchmarks.copy_paste import main
from tests.tiny import tiny_alive_pipeline


def test_models_stand_side_by_side_on_the_same_clips(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [tmp_path / name for name in ("cross", "perturbed")]
    for folder in folders:
        tiny_alive_pipeline().save_pretrained(folder)
    words = [
        "--count",
        "3",
        "--batch",
        "2",
        "--seconds",
        "0.8",
        "--size",
        "32x32",
        "--output",
        str(tmp_path / "t.json"),
    ]
    assert main([*map(str, folders), *words]) == 0
    report = json.loads((tmp_path / "t.json").read_text())
    one, other = (report[str(folder)] for folder in folders)
    assert one == other  # the same weights, prompts, references and seeds
    assert set(one) == {"copied_background", "copied_pose", "kept_identity"}
    assert all(figure["n"] + figure["n_undefined"] == 3 for figure in one.values())
    told = capsys.readouterr().out
    assert (tmp_path / "t.md").read_text() == told
    lines = told.splitlines()
    assert [str(folder) in line for folder, line in zip(folders, lines[2:], strict=True)] == [True, True]
