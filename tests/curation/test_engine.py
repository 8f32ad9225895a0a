"""The engine: nothing is lost, nothing is measured twice, a bad clip costs itself alone, and a kill costs one batch."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest
from tests.curation.quick import Double, First, FirstSettings, Length, LengthSettings

from vivace.curation.chain import Job, Step, walk
from vivace.curation.clip import Clip
from vivace.curation.engine import Engine
from vivace.curation.funnel import passages
from vivace.curation.guard import Limits
from vivace.curation.ledger import Ledger, entry_of
from vivace.curation.ledger_reader import LedgerReader
from vivace.curation.local import run_local
from vivace.curation.stage import Stage, plan
from vivace.errors import VivaceError

QUICK = Limits(seconds=2.0, memory_gib=2.0)


def files(folder: Path, texts: Iterable[str]) -> list[Clip]:
    folder.mkdir(exist_ok=True)
    clips = []
    for number, text in enumerate(texts):
        path = folder / f"{number:03d}.txt"
        path.write_text(text)
        clips.append(Clip.of_file(path))
    return clips


class Here:
    """Runs jobs in this process and counts them."""

    def __init__(self) -> None:
        self.measured: list[tuple[str, str]] = []

    def __call__(
        self, stages: Sequence[Stage], jobs: Iterable[Job], limits: Limits, workers: int
    ) -> Iterator[tuple[Job, list[Step]]]:
        for job in jobs:
            steps = list(walk(stages, job))
            self.measured += [(step.stage, job.clip.id) for step in steps]
            yield job, steps


def curate(folder: Path, clips: Sequence[Clip], stages: Sequence[Stage], executor: object, **options: object) -> Engine:
    with Ledger(folder) as ledger:
        ledger.add_files(clips)
        engine = Engine(ledger, plan(stages), executor, **options)  # type: ignore[arg-type]
        engine.run()
    return engine


def rows(folder: Path, table: str = "verdicts") -> list[tuple[object, ...]]:
    columns = {
        "verdicts": "stage, key, bounds, clip, kept, reason, detail, columns",
        "measured": "clip, stage, key, columns, reason, detail",
        "failures": "clip, stage, attempts, error, quarantined",
    }[table]
    with sqlite3.connect(folder / "ledger.sqlite") as connection:
        return sorted(connection.execute(f"SELECT {columns} FROM {table}").fetchall(), key=str)


def verdicts(folder: Path, stages: Sequence[Stage], stage: str) -> dict[str, str]:
    """Reason ("" where kept) by clip, under the plan."""
    entry = next(entry_of(planned) for planned in plan(stages) if planned.name == stage)
    chosen = [row for row in rows(folder) if row[:3] == (entry.stage, entry.key, entry.bounds)]
    return {str(row[3]): str(row[5] or "") for row in chosen}


def test_every_clip_is_kept_rejected_or_set_aside(tmp_path: Path) -> None:
    texts = ["aaa", "bb", "c", "refuse", "raise", "dd", "crash", "eat", "hang"]
    clips = files(tmp_path / "in", texts)
    stages = [Length(), Double(), First()]
    curate(tmp_path / "out", clips, stages, run_local, workers=2, limits=QUICK)
    by_text = dict(zip(texts, (clip.id for clip in clips), strict=True))
    length = verdicts(tmp_path / "out", stages, "length")
    assert {text: length[by_text[text]] for text in texts[:4]} == {
        "aaa": "",
        "bb": "",
        "c": "short",
        "refuse": "refused",
    }
    failures = {
        clip: (attempts, error, aside) for clip, _, attempts, error, aside in rows(tmp_path / "out", "failures")
    }
    said = {text: failures[by_text[text]] for text in ("raise", "crash", "eat", "hang")}
    assert all(attempts == 2 and aside for attempts, _, aside in said.values())
    assert "no good" in str(said["raise"][1])
    assert "SIGSEGV" in str(said["crash"][1])
    assert "memory" in str(said["eat"][1])
    assert "longer than 2 s" in str(said["hang"][1])
    first = verdicts(tmp_path / "out", stages, "first")
    assert sorted(first.values()) == ["", "", "again"]
    assert len(length) + len(failures) == len(texts)


def test_status_tells_what_was_set_aside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from vivace.cli.main import main

    clips = files(tmp_path / "in", ["aaa", "raise", "c"])
    curate(tmp_path / "out", clips, [Length(), Double()], Here())
    assert main(["curate", "status", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert f"{clips[1].id} failed in length, set aside: RuntimeError: no good" in told
    with LedgerReader(tmp_path / "out") as ledger:
        length, double = passages(ledger)
    assert (length.entered, length.kept, length.rejected, length.aside, length.waiting) == (3, 1, {"short": 1}, 1, 0)
    assert (double.entered, double.kept) == (1, 1)
    with Ledger(tmp_path / "out") as ledger:
        assert ledger.release() == 1
    again = Here()
    curate(tmp_path / "out", clips, [Length(), Double()], again)
    assert again.measured == [("length", clips[1].id)] * 2


def test_a_second_run_measures_nothing(tmp_path: Path) -> None:
    clips = files(tmp_path / "in", ["aaa", "bb", "c", "raise"])
    stages = [Length(), Double(), First()]
    curate(tmp_path / "out", clips, stages, Here())
    before = [rows(tmp_path / "out", table) for table in ("verdicts", "measured", "failures")]
    again = Here()
    curate(tmp_path / "out", clips, stages, again)
    assert again.measured == []
    assert [rows(tmp_path / "out", table) for table in ("verdicts", "measured", "failures")] == before


def test_another_bound_measures_only_what_it_lets_through(tmp_path: Path) -> None:
    clips = files(tmp_path / "in", ["aaa", "bb", "c"])
    curate(tmp_path / "out", clips, [Length(), Double()], Here())
    looser = Here()
    settings = LengthSettings(bounds={"short": {"least": 1}})  # type: ignore[dict-item]
    curate(tmp_path / "out", clips, [Length(settings), Double()], looser)
    assert looser.measured == [("double", clips[2].id)]
    stricter = Here()
    settings = LengthSettings(bounds={"short": {"least": 3}})  # type: ignore[dict-item]
    curate(tmp_path / "out", clips, [Length(settings), Double()], stricter)
    assert stricter.measured == []
    assert sum(not reason for reason in verdicts(tmp_path / "out", [Length(settings)], "length").values()) == 1


def test_another_setting_measures_the_stage_and_those_that_need_it(tmp_path: Path) -> None:
    clips = files(tmp_path / "in", ["aaa", "bb"])
    curate(tmp_path / "out", clips, [Length(), Double()], Here())
    other = Here()
    curate(tmp_path / "out", clips, [Length(LengthSettings(factor=2)), Double()], other)
    assert sorted(stage for stage, _ in other.measured) == ["double", "double", "length", "length"]


def test_a_set_stage_decides_again_when_the_set_or_its_settings_change(tmp_path: Path) -> None:
    clips = files(tmp_path / "in", ["aaa", "bbb", "cc", "ddd"])
    curate(tmp_path / "out", clips[:3], [Length(), First()], Here())
    assert sorted(verdicts(tmp_path / "out", [Length(), First()], "first").values()) == ["", "", "again"]
    more = Here()
    curate(tmp_path / "out", clips, [Length(), First()], more)
    assert {clip for _, clip in more.measured} == {clips[3].id}
    assert sorted(verdicts(tmp_path / "out", [Length(), First()], "first").values()) == ["", "", "again", "again"]
    kept_two = [Length(), First(FirstSettings(keep=2))]
    decided = Here()
    curate(tmp_path / "out", clips, kept_two, decided)
    assert decided.measured == []
    assert sorted(verdicts(tmp_path / "out", kept_two, "first").values()) == ["", "", "", "again"]


def test_a_failure_that_is_not_the_clips_fault_stops_the_run(tmp_path: Path) -> None:
    clips = files(tmp_path / "in", ["raise"] * 8)
    with pytest.raises(VivaceError, match="failed on 5 clips in a row"):
        curate(tmp_path / "out", clips, [Length()], Here(), patience=5)


def test_two_runs_in_one_folder_are_refused(tmp_path: Path) -> None:
    with Ledger(tmp_path), pytest.raises(VivaceError, match="another process"):
        Ledger(tmp_path)


def test_a_stage_before_what_it_needs_is_refused() -> None:
    with pytest.raises(VivaceError, match="needs 'length' before it"):
        plan([Double(), Length()])


def test_names_that_are_no_text_are_kept(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\xfe movie\n'; DROP TABLE clips; --.txt")
    (tmp_path / name).write_text("aaa")
    clip = Clip.of_file(tmp_path / name)
    curate(tmp_path / "out", [clip], [Length()], run_local, workers=1)
    with LedgerReader(tmp_path / "out") as ledger:
        assert ledger.clip(clip.id) == clip
    assert list(verdicts(tmp_path / "out", [Length()], "length").values()) == [""]


SLOW = LengthSettings(pause=0.01)


def whole_run(source: Path, out: Path, attempts: int = 2) -> None:
    clips = [Clip.of_file(path) for path in sorted(source.iterdir())]
    curate(out, clips, [Length(SLOW), Double(), First()], run_local, workers=2, attempts=attempts)


WHOLE_RUN = (
    "import sys; from pathlib import Path; from tests.curation.test_engine import whole_run; "
    "whole_run(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))"
)


def workers_of(run: int) -> list[int]:
    """The guarded processes of a run: children of the clean process from which they are forked."""
    parents: dict[int, int] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
    return [child for child, parent in parents.items() if parents.get(parent) == run]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc")
def test_workers_killed_again_and_again_cost_no_clip(tmp_path: Path) -> None:
    clips = files(tmp_path / "in", [("abcdefg" * 9)[: 1 + n % 40] for n in range(150)])
    curate(tmp_path / "straight", clips, [Length(SLOW), Double(), First()], Here())
    # However they fall on the clips, none has as many attempts taken as would set it aside.
    most, kills, rng = 8, 0, random.Random(1)
    process = subprocess.Popen([sys.executable, "-c", WHOLE_RUN, str(tmp_path / "in"), str(tmp_path / "out"), "9"])
    while process.poll() is None:
        time.sleep(rng.uniform(0.02, 0.2))
        found = workers_of(process.pid)
        if kills < most and found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(rng.choice(found), signal.SIGKILL)
                kills += 1
        if measured(tmp_path / "out") >= 0:
            attempts = [int(str(row[2])) for row in rows(tmp_path / "out", "failures")]
            assert sum(attempts) <= kills
    assert process.returncode == 0
    assert kills > 2
    for table in ("verdicts", "measured", "failures"):
        assert rows(tmp_path / "out", table) == rows(tmp_path / "straight", table)


def test_killed_again_and_again_it_ends_as_if_it_never_was(tmp_path: Path) -> None:
    clips = files(tmp_path / "in", [("abcdefg" * 9)[: 1 + n % 40] for n in range(120)])
    curate(tmp_path / "straight", clips, [Length(SLOW), Double(), First()], Here())
    # A process of its own: one forked from this would inherit what earlier tests left in it.
    command = [sys.executable, "-c", WHOLE_RUN, str(tmp_path / "in"), str(tmp_path / "out"), "2"]
    rng, kept, kills = random.Random(0), 0, 0
    while True:
        process = subprocess.Popen(command)
        # Early kills hit the start, later ones the work and its last stage.
        goal = kept + rng.choice([0, 1, 40, 90])
        while process.poll() is None and (kills > 3 or measured(tmp_path / "out") <= goal):
            time.sleep(0.02)
        if process.poll() is not None:
            assert process.returncode == 0
            break
        process.kill()
        process.wait()
        kills += 1
        now = measured(tmp_path / "out")
        assert now >= kept
        kept = now
    assert kills > 1
    for table in ("verdicts", "measured", "failures"):
        assert rows(tmp_path / "out", table) == rows(tmp_path / "straight", table)


def measured(folder: Path) -> int:
    try:
        return len(rows(folder, "measured"))
    except sqlite3.OperationalError:
        return -1  # the ledger has just been begun, or not yet
