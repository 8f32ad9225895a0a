"""A disk that fills up, for the tests of whatever writes files."""

import contextlib
import resource
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def small_disk(most: int) -> Iterator[None]:
    """No file may grow past so many bytes: writing fails in the system call, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
