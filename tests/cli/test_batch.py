import json
from pathlib import Path

import pytest

from vivace.cli.batch import parse_job
from vivace.cli.main import main
from vivace.errors import VivaceError

Capture = pytest.CaptureFixture[str]


def _write(path: Path, *jobs: object) -> Path:
    path.write_text("\n".join(job if isinstance(job, str) else json.dumps(job) for job in jobs) + "\n")
    return path


def test_jobs_are_made_and_a_second_run_makes_only_what_is_missing(
    model_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    base = {"model": str(model_folder)}
    jobs = _write(
        tmp_path / "jobs.jsonl",
        {**base, "prompt": "a red ball", "guide": {"text": 2.5}},
        "",
        {**base, "prompt": "a drum", "seed": 9, "only": "audio", "output": "boom.wav", "contact_sheet": True},
    )
    out = tmp_path / "clips"
    assert main(["batch", str(jobs), "--output", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["made"] == 2
    clip = out / "00001-a-red-ball-1.mp4"
    assert sorted(p.name for p in out.iterdir() if p.suffix in (".mp4", ".wav", ".png")) == [
        clip.name,
        "boom.png",
        "boom.wav",
    ]
    before = clip.read_bytes(), clip.stat().st_mtime_ns
    (out / "boom.wav").unlink()
    assert main(["batch", str(jobs), "--output", str(out)]) == 0
    assert "1 made, 1 already there, 0 failed" in capsys.readouterr().out
    assert (clip.read_bytes(), clip.stat().st_mtime_ns) == before


def test_bad_lines_are_told_by_number_and_the_others_are_made(
    model_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    base = {"model": str(model_folder), "seed": 1, "steps": 1}
    jobs = _write(
        tmp_path / "jobs.jsonl",
        {**base, "prompt": "a ball", "output": "one.mp4"},
        "{nonsense",
        {**base, "prompt": "a ball", "colour": "red"},
        {**base, "prompt": "a ball", "width": 3},
        {**base, "prompt": "a <S>"},
        {**base, "prompt": "a ball", "output": "one.mp4"},
        {**base, "prompt": "a ball", "size": "40x40"},
        {**base, "prompt": "a drum", "output": "two.mp4"},
    )
    assert main(["batch", str(jobs), "--output", str(tmp_path / "clips"), "--json"]) == 2
    shown = capsys.readouterr()
    summary = json.loads(shown.out)
    assert (summary["made"], summary["failed"]) == (2, 6)
    assert sorted(failure["line"] for failure in summary["failures"]) == [2, 3, 4, 5, 6, 7]
    assert all(line.startswith("Line ") for line in shown.err.splitlines() if not line.startswith("Note"))


@pytest.mark.parametrize("content", ["", "\n\n", b"\xff\xfe"])
def test_files_without_jobs_are_refused(content: str | bytes, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "jobs.jsonl"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert main(["batch", str(path), "--output", str(tmp_path / "clips")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "entries",
    [
        {"prompt": 3},
        {"prompt": "a", "seed": "7"},
        {"prompt": "a", "seed": True},
        {"prompt": "a", "steps": 2.5},
        {"prompt": "a", "seconds": "2"},
        {"prompt": "a", "guide": 3},
        {"prompt": "a", "guide": {"text": "much"}},
        {"prompt": "a", "guide": [3]},
        {"prompt": "a", "size": [128, 128]},
        {"prompt": "a", "only": ["video"]},
        {"prompt": "a", "output": "../x.mp4"},
        {"prompt": "a", "output": "x.wav"},
        {"prompt": "a", "contact_sheet": "yes"},
        {"prompt": "a", "model": None},
        {"prompt": None},
        ["prompt"],
        "prompt",
        None,
    ],
)
def test_values_of_the_wrong_kind_are_refused(entries: object) -> None:
    with pytest.raises(VivaceError):
        parse_job(1, json.dumps(entries))
