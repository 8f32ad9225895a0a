"""Runs after runs: what is found of one that goes on, of one to come, and of files that were replaced meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest
from tests.curation.quick import Double, First, FirstSettings, Length, LengthSettings
from tests.curation.test_engine import Here, curate, files, rows, verdicts

from vivace.curation.chain import Job, Step
from vivace.curation.clip import Clip
from vivace.curation.engine import Engine
from vivace.curation.foresight import foresee
from vivace.curation.funnel import KeptClips, progress
from vivace.curation.guard import Limits
from vivace.curation.ledger import Ledger
from vivace.curation.ledger_answers import failures
from vivace.curation.ledger_reader import PAGE, LedgerReader
from vivace.curation.stage import Stage, plan


def test_no_clip_is_lost_from_page_to_page(tmp_path: Path) -> None:
    count = 2 * PAGE + 7
    origin = files(tmp_path / "in", ["abc"])[0]
    many = [origin.part(n, 1.0) for n in range(count)]
    curate(tmp_path / "out", many, [Length(), Double()], Here())
    with LedgerReader(tmp_path / "out") as ledger:
        kept = KeptClips(ledger)
        assert {clip.id for clip in kept} == {clip.id for clip in many}
        assert sum(1 for _ in kept) == count


def test_a_replaced_file_is_measured_anew_and_the_others_are_not(tmp_path: Path) -> None:
    clips = files(tmp_path / "in", ["aaa", "bbb", "cc", "raise"])
    stages = [Length(), First()]
    curate(tmp_path / "out", clips, stages, Here())
    Path(clips[1].path).write_text("bbbbbb")
    Path(clips[3].path).write_text("dddd")
    again = Here()
    curate(tmp_path / "out", clips, stages, again)
    assert {clip for _, clip in again.measured} == {clips[1].id, clips[3].id}
    # What was a repetition while the other was as long is none now.
    assert set(verdicts(tmp_path / "out", stages, "first").values()) == {""}
    Path(f"{clips[2].path}.captions.json").write_text("[]")
    other = [*clips[:2], clips[2], Clip.of_file(Path(clips[3].path), {"input.licence": "CC0"})]
    said = Here()
    curate(tmp_path / "out", other, stages, said)
    assert {clip for _, clip in said.measured} == {clips[2].id, clips[3].id}
    with Ledger(tmp_path / "out") as ledger:
        assert ledger.add_files(other) == (0, 0)
        assert ledger.clip(clips[3].id) == other[3]


class Replaced(Here):
    """Replaces a file while the run goes on: in its first phase after the file was read, or before its second."""

    def __init__(self, path: str, phase: int) -> None:
        super().__init__()
        self.path, self.phase, self.phases = path, phase, 0

    def __call__(
        self, stages: Sequence[Stage], jobs: Iterable[Job], limits: Limits, workers: int
    ) -> Iterator[tuple[Job, list[Step]]]:
        double = stages[0].name == "double"
        if double and self.phase == 2:
            self._replace()
        for job, steps in super().__call__(stages, jobs, limits, workers):
            if not double and self.phase == 1 and job.clip.path == self.path:
                self._replace()
            yield job, steps

    def _replace(self) -> None:
        Path(self.path).write_text("another")


@pytest.mark.parametrize("phase", [1, 2])
def test_a_file_that_is_replaced_in_a_run_is_set_aside_and_measured_anew(tmp_path: Path, phase: int) -> None:
    clips = files(tmp_path / "in", ["aaa", "bbbb", "cc"])
    stages = [Length(), First(), Double()]
    first = Replaced(clips[1].path, phase)
    curate(tmp_path / "out", clips, stages, first)
    with LedgerReader(tmp_path / "out") as ledger:
        (failure,) = failures(ledger)
        assert (failure.clip, failure.stage) == (clips[1].id, "length" if phase == 1 else "double")
        assert failure.quarantined
        assert "001.txt' was changed or has gone since it was taken in" in failure.error
        assert {clip.id for clip in KeptClips(ledger)} == {clips[0].id, clips[2].id}
    # Nothing of what was found of two contents stands beside one another.
    assert first.measured.count(("double", clips[1].id)) == 0
    curate(tmp_path / "out", clips, stages, Here())
    with LedgerReader(tmp_path / "out") as ledger:
        assert failures(ledger) == []
        kept = {clip.id: clip for clip in KeptClips(ledger)}
    assert kept.keys() == {clip.id for clip in clips}
    assert (kept[clips[1].id]["length.bytes"], kept[clips[1].id]["double.bytes"]) == (7, 14)


def test_a_run_can_be_watched_while_it_goes_on(tmp_path: Path) -> None:
    clips = files(tmp_path / "in", ["aaa", "bb", "cc"])
    seen = []

    class Watched(Here):
        def __call__(
            self, stages: Sequence[Stage], jobs: Iterable[Job], limits: Limits, workers: int
        ) -> Iterator[tuple[Job, list[Step]]]:
            for result in super().__call__(stages, jobs, limits, workers):
                yield result
                with LedgerReader(tmp_path / "out") as reader:
                    seen.append(progress(reader, time.time()))

    with Ledger(tmp_path / "out") as ledger:
        number = ledger.begin_run(time.time() - 60, "r.toml", 2)
        ledger.add_files(clips)
        Engine(
            ledger, plan([Length()]), Watched(), report=lambda doing, done: ledger.note_run(number, doing, done)
        ).run()
        ledger.note_run(number, "done", 3, time.time())
    assert [round(found.per_minute or 0) for found in seen][1:] == [2, 3]
    assert all(found.run is not None and found.run.going_on and found.run.doing == "length" for found in seen[1:])
    assert all(found.stages[0].entered == 3 for found in seen)
    with LedgerReader(tmp_path / "out") as reader:
        ended = progress(reader, time.time() + 999)
    assert ended.run is not None
    assert not ended.run.going_on
    assert (ended.stages[0].kept, ended.minutes_left) == (3, 0.0)
    assert ended.per_minute == pytest.approx(3, rel=0.2)


def test_a_run_is_foreseen_without_doing_it(tmp_path: Path) -> None:
    clips = files(tmp_path / "in", ["aaa", "bb", "c", "aaa"])
    curate(tmp_path / "out", clips, [Length(), Double(), First()], Here())
    before = [rows(tmp_path / "out", table) for table in ("verdicts", "measured", "failures")]

    def foreseen(*stages: Stage) -> list[tuple[str, int, int, int]]:
        with LedgerReader(tmp_path / "out") as ledger:
            return [(s.stage, s.came, s.to_measure, s.kept) for s in foresee(ledger, plan(stages))]

    assert foreseen(Length(), Double(), First()) == [("length", 4, 0, 3), ("double", 3, 0, 3), ("first", 3, 0, 2)]
    looser = LengthSettings(bounds={"short": {"least": 1}})  # type: ignore[dict-item]
    assert foreseen(Length(looser), Double(), First()) == [("length", 4, 0, 4), ("double", 4, 1, 3), ("first", 3, 0, 2)]
    stricter = LengthSettings(bounds={"short": {"least": 3}})  # type: ignore[dict-item]
    assert foreseen(Length(stricter), Double())[1] == ("double", 2, 0, 2)
    kept_two = First(FirstSettings(keep=2))
    assert foreseen(Length(), Double(), kept_two)[2] == ("first", 3, 0, 3)
    assert foreseen(Length(LengthSettings(factor=2)), Double())[0] == ("length", 4, 4, 0)
    assert [rows(tmp_path / "out", table) for table in ("verdicts", "measured", "failures")] == before
