"""Hidden folders in which a clip's files are written, and those that a killed process left behind.

The name of such a folder says which process writes in it and where that runs, so that nobody takes the folder of a
living process, or of another machine on the same disk, for a leftover.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import secrets
import shutil
import time
from pathlib import Path

_NAME = re.compile(r"\.vivace-(?P<process>\d{1,10})-(?:(?P<place>[0-9a-f]{8})-)?[0-9a-f]{8}\.part")
# After so long (s) nobody is still writing a clip, wherever the process ran.
OLD = 86_400.0


def new_part() -> str:
    """A name for a hidden folder of this process."""
    place = _here()
    return f".vivace-{os.getpid()}-{f'{place}-' if place else ''}{secrets.token_hex(4)}.part"


def sweep(folder: Path) -> int:
    """Remove from a folder what processes that are gone have left of their writing; how many parts that were.

    Of processes whose place cannot be told, or is another machine, only what is a day old counts as left.
    """
    swept = 0
    for path in folder.glob(".vivace-*.part"):
        name = _NAME.fullmatch(path.name)
        if name is None or path.is_symlink() or not _is_left(path, int(name["process"]), name["place"]):
            continue
        with contextlib.suppress(OSError):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            swept += 1
    return swept


def _is_left(path: Path, process: int, place: str | None) -> bool:
    if place is not None and place == _here():
        return not _is_alive(process)
    try:
        newest = max(part.stat().st_mtime for part in (path, *path.glob("*")))
    except OSError:  # somebody is just taking it away
        return False
    return time.time() - newest > OLD


def _is_alive(process: int) -> bool:
    with contextlib.suppress(PermissionError, OverflowError):  # another user's, or a number that no process has
        try:
            os.kill(process, 0)  # sends nothing, and fails where there is no such process
        except ProcessLookupError:
            return False
    return True


def _here() -> str | None:
    """What tells the processes of this machine, since it was started, from all others that have the same numbers: those
    of other machines and, on this one, of other containers. None where the system does not say."""
    try:
        started = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        numbered = Path("/proc/self/ns/pid").readlink()
    except (OSError, ValueError):
        return None
    return hashlib.sha256(f"{platform.node()} {started} {numbered}".encode()).hexdigest()[:8]
