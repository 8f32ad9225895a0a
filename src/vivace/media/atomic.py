"""Files and folders that appear whole or not at all, and the sentence for what the system refuses to write."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError

from vivace.errors import VivaceError

# Names under which something is written, or put aside, until it stands in its place.
PARTS = ".vivace-*.part"
_WRITING, _BEFORE = ".writing-", ".before-"


@contextlib.contextmanager
def refusals_told(path: str | Path) -> Iterator[None]:
    """A block that writes `path`; what the system refuses in it is told in one sentence.

    Raises:
        VivaceError: the path may not be written, or the disk is full.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        refusal = error if isinstance(error, OSError) else _system_error(error)
        if refusal is None:
            raise
        raise VivaceError(f"Output {str(path)!r} cannot be written: {_remedy(refusal)}.") from error


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends well, remove it otherwise.

    Missing folders are made. An interruption (Ctrl-C) removes the temporary file as any error does.

    Raises:
        VivaceError: the path is a folder, may not be written, or the disk is full.
    """
    path = _possible(path)
    # The temporary name is short and keeps no part of the final one, which may already be as long as the system allows.
    temporary = path.parent / PARTS.replace("*", f"{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with refusals_told(path):
            if path.is_dir():
                raise VivaceError(f"Output {str(path)!r} is a folder; name a file in it.")
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """Yield a new folder beside `path`; it takes the place of `path`, whatever that holds, when the block ends well.

    Otherwise it is removed, and `path` stays as it was. The old folder is put aside until the new one stands; after a
    kill between the two the next call, or `sweep`, puts it back.

    Raises:
        VivaceError: the path is a file, may not be written, or the disk is full.
    """
    path = _possible(path)
    place = Path(os.path.realpath(path))  # what a link leads to is replaced, not the link
    writing, before = _beside(place)
    with refusals_told(path):
        if place.exists() and not place.is_dir():
            raise VivaceError(f"Output {str(path)!r} is a file; name a folder.")
        _put_right(place)
        try:
            writing.mkdir(parents=True)
            yield writing
            if place.exists():
                place.rename(before)
            writing.rename(place)
        finally:
            _put_right(place)


def sweep(folder: Path) -> None:
    """Remove from a folder what a kill left of writing in it; what was put aside without a successor is put back.

    Only for folders in which nobody else is writing.
    """
    for part in folder.glob(PARTS):
        with contextlib.suppress(OSError):
            part.unlink()
    for prefix in (_WRITING, _BEFORE):
        for left in folder.glob(f"{prefix}*"):
            _put_right(folder / left.name.removeprefix(prefix))


def _beside(place: Path) -> tuple[Path, Path]:
    """Where a folder is written, and where the one that it replaces is put aside."""
    return place.with_name(f"{_WRITING}{place.name}"), place.with_name(f"{_BEFORE}{place.name}")


def _put_right(place: Path) -> None:
    """Leave of a replacement, whether finished or not, one whole folder or none."""
    writing, before = _beside(place)
    shutil.rmtree(writing, ignore_errors=True)
    if place.exists():
        shutil.rmtree(before, ignore_errors=True)
    elif before.exists():
        before.rename(place)


def _possible(path: str | Path) -> Path:
    if "\0" in str(path):
        raise VivaceError(f"Output {str(path)!r} holds a NUL character; choose another path.")
    return Path(path)


def _system_error(error: SafetensorError) -> OSError | None:
    """What the system told safetensors, which says it in its text alone; None where that is of something else."""
    found = re.search(r"\bos error (\d+)|\bOs \{ code: (\d+)", str(error))
    if not found:
        return None
    number = int(found[1] or found[2])
    return OSError(number, os.strerror(number))


def _remedy(error: OSError) -> str:
    reason = error.strerror or str(error)
    remedies = {
        errno.ENOSPC: "the disk is full; free some space or choose another disk",
        errno.EDQUOT: "the disk quota is used up; free some space or choose another disk",
        errno.EFBIG: "a file would be larger than this system allows; raise that limit or choose another disk",
        errno.EACCES: "permission is missing; choose a folder that you may write to",
        errno.EPERM: "permission is missing; choose a folder that you may write to",
        errno.EROFS: "the disk is read-only; choose another folder",
        errno.ENOTDIR: "a part of the path is a file, not a folder; choose another path",
        errno.EEXIST: "a part of the path is a file, not a folder; choose another path",
        errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    }
    return remedies.get(error.errno or 0, f"{reason}; choose another path")
