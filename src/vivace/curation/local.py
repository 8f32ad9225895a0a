"""The executor of one machine: guarded processes, as many as there are cores."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from queue import SimpleQueue

from vivace.curation.chain import Job, Step
from vivace.curation.guard import Guard, Limits
from vivace.curation.stage import Stage


def cores() -> int:
    """Cores that this process may use."""
    # Only Linux tells which cores a process may use.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_local(
    stages: Sequence[Stage], jobs: Iterable[Job], limits: Limits, workers: int = 0
) -> Iterator[tuple[Job, list[Step]]]:
    """Each job with its steps, in the order in which they are done; few jobs are in memory at a time.

    Args:
        workers: processes; 0 takes one per core.
    """
    count = workers or cores()
    guards: SimpleQueue[Guard] = SimpleQueue()
    made = [Guard(stages, limits) for _ in range(count)]
    for guard in made:
        guards.put(guard)

    def run(job: Job) -> tuple[Job, list[Step]]:
        guard = guards.get()
        try:
            return job, guard.run(job)
        finally:
            guards.put(guard)

    queue = iter(jobs)
    pool = ThreadPoolExecutor(count, "curation")
    try:
        waiting: set[Future[tuple[Job, list[Step]]]] = {pool.submit(run, job) for job in islice(queue, 2 * count)}
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
            waiting |= {pool.submit(run, job) for job in islice(queue, len(done))}
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for guard in made:
            guard.interrupt()
        pool.shutdown(wait=True)
        for guard in made:
            guard.close()
