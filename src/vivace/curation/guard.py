"""A child process that measures one clip at a time, and that may crash, hang or eat memory without harm.

The parent waits for a sign of life no longer than the limit and then kills the child; the system refuses the child
more memory than its limit; and a child whose parent was killed ends by itself. Whatever happens costs one clip one
attempt. The end of a stage is a sign of life, and what goes through a long file gives others (`pulse`): a film may take
its time, and a decoder that hangs is ended as soon as with a short clip.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from vivace.curation.chain import Job, Step, walk
from vivace.curation.pulse import listen
from vivace.curation.stage import Stage

BEGIN, ALIVE, STEP, DONE = "begin", "alive", "step", "done"
# Signs of life that follow one another within this share of the limit are told once.
SELDOM = 0.1
# What starts and imports counts for the first clip, and is no fault of it.
START_SECONDS = 120.0
_CRASHES = {
    signal.SIGSEGV: "crashed",
    signal.SIGABRT: "aborted",
    signal.SIGKILL: "was killed",
    signal.SIGBUS: "crashed",
}


# Whoever starts a child has the library ask after all others too, and an exit code can be read once only: two threads
# that read one child's at the same time would take it from each other.
_CHILDREN = threading.Lock()


class Limits(BaseModel):
    """What a worker may take."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seconds: float = Field(
        default=120.0, gt=0, description="without a sign of life, after which a stage counts as hanging"
    )
    memory_gib: float = Field(default=4.0, gt=0, description="of a worker process, its libraries included (Linux)")


class Guard:
    """Runs jobs in a child process, which is started when needed and replaced when it fails.

    Args:
        stages: all that jobs may name; they travel to the child.
        limits: per clip and stage.
    """

    def __init__(self, stages: Sequence[Stage], limits: Limits) -> None:
        self.stages = list(stages)
        self.limits = limits
        self._child: Any = None
        self._pipe: Connection | None = None

    def run(self, job: Job) -> list[Step]:
        """The steps of a job; where the child failed, the last one says how."""
        pipe = self._started()
        steps: list[Step] = []
        running, began = job.stages[0], time.perf_counter()
        try:
            pipe.send_bytes(job.to_json().encode())
            while True:
                if not pipe.poll(self.limits.seconds):
                    self._stop()
                    return [*steps, Step(running, time.perf_counter() - began, error=_hung(self.limits))]
                kind, value = pipe.recv()
                if kind == BEGIN:
                    # A child that took very long to start says so only now, before it begins with any stage.
                    running, began = value or running, time.perf_counter()
                elif kind == STEP:
                    steps.append(Step.from_plain(value))
                elif kind == DONE:
                    break
        except (EOFError, OSError):
            error = self._ending()
            return [*steps, Step(running, time.perf_counter() - began, error=error)]
        if steps and steps[-1].error is not None and "memory" in steps[-1].error.lower():
            self._stop()  # whatever could not be allocated may have left the process half broken
        return steps

    def _started(self) -> Connection:
        with _CHILDREN:
            if self._pipe is not None and self._child.is_alive():
                return self._pipe
        self._stop()
        context = _context()
        self._pipe, theirs = context.Pipe()
        with _CHILDREN:
            # Its own numerical libraries must not start threads for every core: the workers fill the cores already.
            kept = os.environ.get("OMP_NUM_THREADS")
            os.environ["OMP_NUM_THREADS"] = "1"
            try:
                child = context.Process(target=_serve, args=(theirs, self.stages, self.limits), daemon=True)
                child.start()
                self._child = child
            finally:
                if kept is None:
                    del os.environ["OMP_NUM_THREADS"]
                else:
                    os.environ["OMP_NUM_THREADS"] = kept
        theirs.close()
        if self._pipe.poll(START_SECONDS):
            with contextlib.suppress(EOFError, OSError):
                self._pipe.recv()
        return self._pipe

    def _ending(self) -> str:
        """How the child ended, in words."""
        wait([self._child.sentinel], 5)
        with _CHILDREN:
            code = self._child.exitcode
        self._stop()
        if code is not None and code < 0:
            if -code == signal.SIGALRM:
                return _hung(self.limits)
            number = signal.Signals(-code)
            return f"the process {_CRASHES.get(number, 'ended')} ({number.name})"
        return f"the process ended with code {code}"

    def _stop(self) -> None:
        if self._child is not None:
            self._child.kill()
            wait([self._child.sentinel])
            with _CHILDREN:
                self._child.join()
                self._child.close()
        if self._pipe is not None:
            self._pipe.close()
        self._child = self._pipe = None

    def interrupt(self) -> None:
        """Kill the child from another thread, so that a `run` there returns."""
        child = self._child
        # The other thread may be replacing it at this very moment; its own run ends by the limit then.
        with contextlib.suppress(ValueError, AttributeError):
            child.kill()

    def close(self) -> None:
        """End the child; no `run` may be going on."""
        self._stop()


def _context() -> Any:
    """Children are forked from a clean process that has our modules already, where the system can do that."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["vivace.curation.guard", "vivace.media"])
    return context


def _serve(pipe: Connection, stages: list[Stage], limits: Limits) -> None:
    # Ctrl-C reaches the whole process group; only the parent answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _limit_memory(limits.memory_gib)
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        pipe.send((BEGIN, ""))
        listen(_teller(pipe, limits))
        while True:
            job = Job.from_json(pipe.recv_bytes().decode())
            _alarm(limits.seconds)
            pipe.send((BEGIN, job.stages[0]))
            for place, step in enumerate(walk(stages, job)):
                _alarm(limits.seconds)
                pipe.send((STEP, step.to_plain()))
                if place + 1 < len(job.stages):
                    pipe.send((BEGIN, job.stages[place + 1]))
            _alarm(0)
            pipe.send((DONE, None))


def _teller(pipe: Connection, limits: Limits) -> Callable[[], None]:
    """Tells the parent of signs of life, not of every one."""
    told = time.monotonic()

    def tell() -> None:
        nonlocal told
        if time.monotonic() - told > SELDOM * limits.seconds:
            _alarm(limits.seconds)
            pipe.send((ALIVE, None))
            told = time.monotonic()

    return tell


def _hung(limits: Limits) -> str:
    return f"gave no sign of life for longer than {limits.seconds:g} s"


def _alarm(seconds: float) -> None:
    """End this process by the system's hand, should nobody be left to kill it."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 1.5 * seconds + 1 if seconds else 0)


def _limit_memory(gib: float) -> None:
    if sys.platform != "linux":
        return
    import resource

    limit = round(gib * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
