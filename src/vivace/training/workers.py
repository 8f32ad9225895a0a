"""Worker processes that apply a function to jobs; results come back in the order of the jobs."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from vivace.errors import VivaceError

Job = TypeVar("Job")
Result = TypeVar("Result")
# Results that wait for their turn are clips of several megabytes; a few per worker keep all of them busy.
AHEAD = 3


def available_workers(asked: int) -> int:
    """`asked`, or one worker per core that this process may use when 0."""
    if asked:
        return asked
    # Only Linux tells which cores a process may use.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ordered_map(
    function: Callable[[Job], Result],
    jobs: Iterable[Job],
    workers: int,
    prepare: Callable[..., None] | None = None,
    arguments: tuple[Any, ...] = (),
) -> Iterator[Result]:
    """`map(function, jobs)` over processes, with a bounded number of results in memory.

    Args:
        function: a module-level function; what it returns travels between processes.
        jobs: what it is applied to.
        workers: processes; with 1 everything runs in this one.
        prepare: called once per process with `arguments`, to load what all jobs share.

    Raises:
        VivaceError: a worker process died, which mostly means that memory ran out.
    """
    if workers == 1:
        if prepare is not None:
            prepare(*arguments)
        yield from map(function, jobs)
        return
    # One thread per process: the processes already fill the cores, and spinning threads would starve one another.
    kept = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin, (prepare, arguments))
    try:
        queue: Iterator[Job] = iter(jobs)
        waiting: deque[Future[Result]] = deque(
            pool.submit(function, job) for job in itertools.islice(queue, AHEAD * workers)
        )
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(function, job) for job in itertools.islice(queue, 1))
    except BrokenProcessPool:
        raise VivaceError(
            f"One of {workers} worker processes died, probably for lack of memory; run again with fewer workers, "
            "the work done so far is kept."
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        if kept is None:
            os.environ.pop("OMP_NUM_THREADS", None)
        else:
            os.environ["OMP_NUM_THREADS"] = kept


def _begin(prepare: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    # Ctrl-C reaches the whole process group; only the parent answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if prepare is not None:
        prepare(*arguments)


def clip_progress() -> Progress:
    """A bar that counts clips and tells the time left, on the error stream."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
