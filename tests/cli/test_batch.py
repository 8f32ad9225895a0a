import errno
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from vivace.cli import leftovers, record
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


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_ends_the_run_and_the_same_command_goes_on(
    number: int, model_folder: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = {"model": str(model_folder), "steps": 1}
    jobs = _write(tmp_path / "jobs.jsonl", *({**base, "prompt": "a drum", "output": f"{n}.mp4"} for n in range(4)))
    out = tmp_path / "clips"
    tried: list[Path] = []

    def full(path: Path, told: dict[str, Any]) -> None:
        tried.append(path)
        if len(tried) == 1:
            whole(path, told)
            return
        with record.replacing(path):
            raise OSError(number, os.strerror(number))

    whole = record.write_record
    with monkeypatch.context() as patched:
        patched.setattr(record, "write_record", full)
        assert main(["batch", str(jobs), "--output", str(out)]) == 2
    assert len(tried) == 2
    [told] = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("Note")]
    assert told.startswith(f"vivace: Line 2: Output '{out}/1.json' cannot be written: the disk ")
    assert told.endswith("; 1 of 4 clips are done, and the same command goes on with the others.")
    assert sorted(path.name for path in out.iterdir()) == ["0.json", "0.mp4"]
    assert main(["batch", str(jobs), "--output", str(out), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["made"], summary["kept"]) == (3, 1)


def test_another_failure_of_writing_ends_one_line_alone(
    model_folder: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = {"model": str(model_folder), "steps": 1, "prompt": "a drum"}
    jobs = _write(tmp_path / "jobs.jsonl", job, job)

    def refused(path: Path, _: Any) -> None:
        with record.replacing(path):
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))

    monkeypatch.setattr(record, "write_record", refused)
    assert main(["batch", str(jobs), "--output", str(tmp_path / "clips"), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["failed"] == 2


def _part(folder: Path, name: str, days: float = 0.0) -> Path:
    """A part that a process has left, as old as this."""
    part = folder / name
    part.mkdir(parents=True)
    (part / "x.mp4").write_bytes(b"half")
    then = time.time() - days * 86_400
    for path in (part / "x.mp4", part):
        os.utime(path, (then, then))
    return part


def test_what_a_killed_run_has_left_is_removed_and_nothing_else(tmp_path: Path, capsys: Capture) -> None:
    jobs, out = _write(tmp_path / "jobs.jsonl", "{nonsense"), tmp_path / "clips"
    killed = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "from vivace.cli.outputs import Outputs\n"
        f"with Outputs(Path({str(out)!r}) / 'x.mp4').written() as staged:\n"
        "    staged.clip.parent.mkdir(parents=True)\n"
        "    staged.clip.write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", killed], timeout=60).returncode == -9
    [left] = out.iterdir()
    place = re.fullmatch(r"\.vivace-(\d+)-([0-9a-f]{8})-[0-9a-f]{8}\.part", left.name)
    assert place is not None
    gone = [left, _part(out, f".vivace-{place[1]}-0123abcd.part", 1.1)]  # as earlier versions named theirs
    gone += [_part(out, f".vivace-{place[1]}-00000000-01234567.part", 1.1)]
    kept = [
        _part(out, leftovers.new_part(), 9),  # of a process that lives: this one
        _part(out, f".vivace-{place[1]}-01234567.part", 0.9),
        _part(out, f".vivace-{place[1]}-00000000-0123abcd.part", 0.9),  # of another machine
        _part(out, ".vivace-mine.part", 9),
        _part(out, f".vivace-{place[1]}", 9),
    ]
    link = out / f".vivace-{place[1]}-89abcdef.part"
    link.symlink_to(tmp_path)
    os.utime(link, (0, 0), follow_symlinks=False)
    assert main(["batch", str(jobs), "--output", str(out)]) == 2
    assert f"Note: removed 3 parts of clips that a killed run left in {out}.\n" in capsys.readouterr().err
    assert [part for part in gone if part.exists()] == []
    assert sorted(out.iterdir()) == sorted([*kept, link])


def test_where_a_process_runs_may_be_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "_here", lambda: None)
    young, old = _part(tmp_path, leftovers.new_part()), _part(tmp_path, leftovers.new_part(), 1.1)
    assert leftovers.sweep(tmp_path) == 1
    assert young.exists()
    assert not old.exists()
    assert leftovers.sweep(tmp_path / "nowhere") == 0


@pytest.mark.parametrize("line", ['{"prompt": "a", "prompt": "b"}', '{"prompt": "a", "guide": {"text": 1, "text": 2}}'])
def test_entries_that_are_given_twice_are_refused(line: str) -> None:
    with pytest.raises(VivaceError, match=r"^Entry '(prompt|text)' is given twice; leave all but one out\.$"):
        parse_job(1, line)


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
