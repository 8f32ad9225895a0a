"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from vivace.errors import VivaceError


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends well, remove it otherwise.

    Missing folders are made. An interruption (Ctrl-C) removes the temporary file as any error does.

    Raises:
        VivaceError: the path is a folder, may not be written, or the disk is full.
    """
    path = Path(path)
    # The temporary name is short and keeps no part of the final one, which may already be as long as the system allows.
    temporary = path.parent / f".vivace-{os.getpid()}-{secrets.token_hex(4)}.part"
    if "\0" in str(path):
        raise VivaceError(f"Output {str(path)!r} holds a NUL character; choose another path.")
    try:
        if path.is_dir():
            raise VivaceError(f"Output {str(path)!r} is a folder; name a file in it.")
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise VivaceError(f"Output {str(path)!r} cannot be written: {_remedy(error)}.") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _remedy(error: OSError) -> str:
    reason = error.strerror or str(error)
    remedies = {
        errno.ENOSPC: "the disk is full; free some space or choose another disk",
        errno.EDQUOT: "the disk quota is used up; free some space or choose another disk",
        errno.EFBIG: "the file would be larger than this system allows; choose another disk or a shorter clip",
        errno.EACCES: "permission is missing; choose a folder that you may write to",
        errno.EPERM: "permission is missing; choose a folder that you may write to",
        errno.EROFS: "the disk is read-only; choose another folder",
        errno.ENOTDIR: "a part of the path is a file, not a folder; choose another path",
        errno.EEXIST: "a part of the path is a file, not a folder; choose another path",
        errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    }
    return remedies.get(error.errno or 0, f"{reason}; choose another path")
