"""One large file that grows beside its place, and takes its name only when it is whole.

How far it is sound is recorded beside it, so that the same conversion goes on after an interruption.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from vivace.errors import VivaceError

_FORMAT = 1
_READ = 2**24


class Growth:
    """Up to which byte an unfinished file is sound, with the SHA-256 up to there.

    Args:
        output: where the file will stand.
        request: what decides its content; a file begun for another request is begun anew.
    """

    def __init__(self, output: Path, request: Mapping[str, Any]) -> None:
        self.place = output.with_name(f".{output.name}.converting")
        self.record = output.with_name(f".{output.name}.converting.json")
        self.request = json.loads(json.dumps(request))

    def length(self) -> int:
        """Bytes that an interrupted conversion of the same request says to have written; 0 without one."""
        return self._recorded()[0]

    def _recorded(self) -> tuple[int, str]:
        try:
            record = json.loads(self.record.read_text(encoding="utf-8"))
            same = record["format"] == _FORMAT and record["request"] == self.request
            length, digest = int(record["bytes"]), str(record["sha256"])
            return (length, digest) if same and self.place.stat().st_size >= length else (0, "")
        except (OSError, ValueError, KeyError, TypeError):
            return 0, ""

    def taken_up(self, file: BinaryIO) -> tuple[int, Any]:
        """The byte to go on from, to which the file is then wound, and the digest up to it.

        All that is kept is read again, since what stopped the conversion may have been a failing disk.
        """
        length, expected = self._recorded()
        digest = hashlib.sha256()
        for start in range(0, length, _READ):
            digest.update(file.read(min(_READ, length - start)))
        if digest.hexdigest() != expected:
            length, digest = 0, hashlib.sha256()
        file.seek(length)
        return length, digest

    def note(self, length: int, sha256: str) -> None:
        """Record that the file, which is on the disk so far, is sound up to a byte."""
        content = {"format": _FORMAT, "request": self.request, "bytes": length, "sha256": sha256}
        temporary = self.record.with_suffix(".part")
        temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")
        temporary.replace(self.record)

    def cut(self) -> int:
        """Give back what is not recorded, of which nothing can be gone on from; returns the bytes that stay."""
        length = self.length()
        if length:
            os.truncate(self.place, length)
        else:
            self.remove()
        return length

    def remove(self) -> None:
        """The unfinished file and its record."""
        for path in (self.place, self.record, self.record.with_suffix(".part")):
            path.unlink(missing_ok=True)


@contextmanager
def no_empty_folders(output: Path) -> Iterator[None]:
    """When the block fails, remove the folders above `output` that it made and left empty."""
    missing = [folder for folder in output.absolute().parents if not folder.exists()]
    try:
        yield
    except BaseException:
        for folder in missing:  # the innermost first
            with suppress(OSError):
                folder.rmdir()
        raise


@contextmanager
def growing(output: Path, request: Mapping[str, Any]) -> Iterator[Growth]:
    """Rename the growing file to `output` when the block ends well; an interruption leaves it to be gone on from.

    Raises:
        VivaceError: the block's own, and then nothing is left; a disk that is full or fails, and then what is recorded.
    """
    growth = Growth(output, request)
    with no_empty_folders(output):
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            yield growth
            growth.place.replace(output)
        except VivaceError:
            growth.remove()
            raise
        except KeyboardInterrupt:
            growth.cut()
            raise
        except OSError as error:
            kept = ", which goes on from what is written" if growth.cut() else ""
            raise VivaceError(
                f"Output {str(output)!r} cannot be written ({error.strerror or error}); make room or choose another "
                f"disk, then repeat the command{kept}."
            ) from None
    growth.remove()
