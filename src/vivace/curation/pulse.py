"""A sign of life: what a stage gives while it goes through a long file, so that it does not count as hanging."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar


def _unheard() -> None:
    return None


_listener: ContextVar[Callable[[], None]] = ContextVar("listener", default=_unheard)


def alive() -> None:
    """Tell whoever waits that work is getting on.

    Only what comes to an end by itself may call it, such as once for each picture that the file was found to have:
    a stage that goes in circles and gives signs of life would never be ended.
    """
    _listener.get()()


def listen(listener: Callable[[], None]) -> None:
    """Have this process's signs of life told to `listener` from now on."""
    _listener.set(listener)
