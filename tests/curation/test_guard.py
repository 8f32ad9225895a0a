"""What a worker may take: a long file its time, one that hangs no more than the limit."""

from __future__ import annotations

import multiprocessing.forkserver
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from contextvars import copy_context
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests.curation.quick import Length

from vivace.curation.chain import Job, Step
from vivace.curation.clip import Clip, Rejected
from vivace.curation.guard import Guard, Limits
from vivace.curation.pulse import alive, listen
from vivace.curation.stage import Stage
from vivace.curation.stages import ingest
from vivace.curation.stages.ingest import Ingest, IngestSettings
from vivace.curation.stages.split import Split, SplitSettings
from vivace.media import Clip as Material
from vivace.media import write_clip
from vivace.media.scan import Contents, scan

LIMIT = Limits(seconds=1.5)
PICTURES = 72


class Slow(Ingest):
    """Takes 0.03 s for each packet, as a long film takes long by its many pictures."""

    def measure(self, clip: Clip) -> Clip | Rejected:
        def slowly(path: Path, getting_on: Callable[[], None]) -> Contents:
            def later() -> None:
                time.sleep(0.03)
                getting_on()

            return scan(path, later)

        ingest.scan = slowly  # type: ignore[assignment]  # in the child alone
        return super().measure(clip)


class Stuck(Ingest):
    """Hangs in the midst of a file."""

    def measure(self, clip: Clip) -> Clip | Rejected:
        def stuck(path: Path, getting_on: Callable[[], None]) -> Contents:
            for _ in range(20):
                time.sleep(0.02)
                getting_on()
            time.sleep(60)
            raise AssertionError

        ingest.scan = stuck  # type: ignore[assignment]
        return super().measure(clip)


class SlowSplit(Split):
    """Takes 0.03 s for each picture, and gives the file more of them than were counted."""

    def measure(self, clip: Clip) -> Clip | Rejected:
        from vivace.curation.stages import split

        def slowly(path: str, side: int) -> Iterator[np.ndarray]:
            for _ in range(clip.get("input.pictures")):
                time.sleep(0.03)
                yield np.zeros((side, side, 3), np.uint8)

        split.small_pictures = slowly  # type: ignore[assignment]
        return super().measure(clip)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    path = tmp_path_factory.mktemp("film") / "a.mp4"
    frames = np.zeros((PICTURES, 64, 64, 3), np.uint8)
    write_clip(path, Material(frames, Fraction(24), np.zeros((2, 48000), np.float32), 16000))
    return Clip.of_file(path)


def run(stage: Stage, clip: Clip) -> tuple[Step, float]:
    """The one step, and how long it took beside starting the child."""
    with closing(Guard([stage], LIMIT)) as guard:
        guard.run(Job(clip.with_columns("input", problem="link"), (stage.name,)))
        began = time.monotonic()
        return guard.run(Job(clip, (stage.name,)))[-1], time.monotonic() - began


def test_a_long_file_may_take_longer_than_the_limit(film: Clip) -> None:
    step, seconds = run(Slow(IngestSettings.model_validate({})), film)
    assert step.error is None
    assert step.columns is not None
    assert step.columns["frames"] == PICTURES
    assert seconds > 2 * LIMIT.seconds


def test_what_hangs_in_the_midst_of_a_file_is_ended(film: Clip) -> None:
    step, seconds = run(Stuck(IngestSettings.model_validate({})), film)
    assert step.error is not None
    assert "no sign of life for longer than 1.5 s" in step.error
    assert seconds < 4


@pytest.mark.parametrize(("pictures", "passes"), [(PICTURES, True), (6000, False)])
def test_a_clock_that_leaps_gives_no_signs_of_life_without_end(film: Clip, pictures: int, passes: bool) -> None:
    clip = Clip(film.id, film.path, columns={"ingest.fps": 24.0, "ingest.frames": PICTURES, "input.pictures": pictures})
    with closing(Guard([SlowSplit(SplitSettings.model_validate({}))], LIMIT)) as guard:
        began = time.monotonic()
        step = guard.run(Job(clip, ("split",)))[-1]
    assert (step.error is None) == passes
    assert PICTURES * 0.03 < time.monotonic() - began < 60


def test_reading_gives_signs_of_life_as_it_gets_on(film: Clip) -> None:
    heard: list[int] = []

    def listening() -> None:
        listen(lambda: heard.append(1))
        alive()
        film.part(0.0, 1.0).material()

    copy_context().run(listening)
    assert len(heard) >= 1 + 24
    alive()
    counted: list[int] = []
    scan(film.path, lambda: counted.append(1))
    assert len(counted) > PICTURES


def test_how_a_child_ended_is_known_while_another_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exit code can be read once only, and whoever starts a child reads those of all that have ended."""
    ended, reading = threading.Event(), threading.Event()
    read, ending = multiprocessing.forkserver.read_signed, Guard._ending

    def slowly(fd: int) -> object:
        if ended.is_set():
            reading.set()
        time.sleep(0.3)
        return read(fd)

    def meanwhile(guard: Guard) -> str:
        ended.set()
        reading.wait(10)
        return ending(guard)

    monkeypatch.setattr(multiprocessing.forkserver, "read_signed", slowly)
    monkeypatch.setattr(Guard, "_ending", meanwhile)
    jobs = []
    for text in ("crash", "well"):
        (path := tmp_path / text).write_text(text)
        jobs.append(Job(Clip.of_file(path), ("length",)))
    with closing(Guard([Length()], LIMIT)) as first, closing(Guard([Length()], LIMIT)) as second:
        with ThreadPoolExecutor() as pool:
            crashing = pool.submit(first.run, jobs[0])
            assert ended.wait(60)
            assert second.run(jobs[1])[-1].error is None
        assert crashing.result()[-1].error == "the process crashed (SIGSEGV)"
