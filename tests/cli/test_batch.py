import json
import shutil
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


def test_what_is_missing_cut_or_of_another_model_is_made_again(
    model_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    model = shutil.copytree(model_folder, tmp_path / "model")
    job = {"model": str(model), "prompt": "a drum", "seed": 1, "steps": 1}
    jobs = _write(
        tmp_path / "jobs.jsonl",
        {**job, "output": "x.mp4", "contact_sheet": True},
        {**job, "output": "y.wav", "only": "audio"},
    )
    out = tmp_path / "clips"

    def run() -> tuple[int, int]:
        assert main(["batch", str(jobs), "--output", str(out), "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        return told["made"], told["kept"]

    def cut(name: str, by: int) -> None:
        content = (out / name).read_bytes()
        (out / name).write_bytes(content[:-by])

    assert run() == (2, 0)
    names = sorted(path.name for path in out.iterdir())
    assert names == ["x.json", "x.mp4", "x.png", "y.json", "y.wav"]
    assert run() == (0, 2)
    for harm in (
        lambda: (out / "x.json").unlink(),
        lambda: (out / "x.png").unlink(),
        lambda: cut("x.mp4", 60),
        lambda: cut("x.png", 60),
        lambda: (out / "x.json").write_text((out / "x.json").read_text().replace('"load": ', '"load": 9')),
    ):
        harm()
        assert run() == (1, 1)
        assert run() == (0, 2)
        assert sorted(path.name for path in out.iterdir()) == names
    index = json.loads((model / "model_index.json").read_text())
    index["capabilities"]["name"] = "other"
    (model / "model_index.json").write_text(json.dumps(index))
    assert run() == (2, 0)
    assert run() == (0, 2)


def test_a_name_that_is_taken_is_not_taken_anew_at_every_run(
    model_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    jobs = _write(tmp_path / "jobs.jsonl", {"model": str(model_folder), "prompt": "a drum", "output": "x.mp4"})
    out = tmp_path / "clips"
    out.mkdir()
    (out / "x.mp4").write_text("not a clip")
    for made in (1, 0, 0):
        assert main(["batch", str(jobs), "--output", str(out), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["made"] == made
    assert sorted(path.name for path in out.iterdir()) == ["x-2.json", "x-2.mp4", "x.mp4"]
    assert (out / "x.mp4").read_text() == "not a clip"


def test_every_note_of_a_clip_is_told_with_its_line(model_folder: Path, tmp_path: Path, capsys: Capture) -> None:
    job = {"model": str(model_folder), "prompt": "a cat sings", "seed": 1, "steps": 1}
    jobs = _write(tmp_path / "jobs.jsonl", "", job)
    assert main(["generate", "a cat sings", "--model", str(model_folder), "--output", str(tmp_path / "x.mp4")]) == 0
    notes = [line.removeprefix("Note: ") for line in capsys.readouterr().err.splitlines()]
    assert notes
    assert main(["batch", str(jobs), "--output", str(tmp_path / "clips"), "--json"]) == 0
    told = capsys.readouterr()
    assert told.err.splitlines() == [f"Note: line 2: {note}" for note in notes]
    assert json.loads(told.out)["notes"] == [{"line": 2, "note": note} for note in notes]


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


def test_what_is_no_regular_file_or_has_no_end_is_refused(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vivace.cli.batch.MAX_JOBS_BYTES", 2**20)
    large = tmp_path / "large.jsonl"
    large.write_bytes(b"\n" * (2**20 + 1))
    for path, complaint in (
        ("/dev/zero", "is no regular file"),
        (tmp_path, "no regular"),
        (large, "larger than 1 MiB"),
    ):
        assert main(["batch", str(path), "--output", str(tmp_path / "clips")]) == 2
        assert complaint in capsys.readouterr().err


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
