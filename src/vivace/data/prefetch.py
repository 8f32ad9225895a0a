"""What the next step needs is made while this one computes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class Prefetch(Generic[T]):
    """`make(step)`, one step ahead in a thread. `make` must be a pure function, so that nothing but time changes.

    Args:
        make: called in one thread only, so it may hold files open.
        steps: steps from here on are never made ahead.
    """

    def __init__(self, make: Callable[[int], T], steps: int) -> None:
        self._make = make
        self._steps = steps
        self._thread = ThreadPoolExecutor(1, "prefetch")
        self._ahead: tuple[int, Future[T]] | None = None

    def __call__(self, step: int) -> T:
        """What belongs to this step; an error of `make` is raised here, at the step that it concerns."""
        if self._ahead is not None and self._ahead[0] == step:
            current = self._ahead[1]
        else:
            current = self._thread.submit(self._make, step)
        self._ahead = (step + 1, self._thread.submit(self._make, step + 1)) if step + 1 < self._steps else None
        return current.result()
