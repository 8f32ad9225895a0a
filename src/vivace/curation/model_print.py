"""By what a curation knows a model's folder: its content, so that another model in the same place is noticed, and the
same one in another place is known."""

from __future__ import annotations

import hashlib
from pathlib import Path

from vivace.errors import VivaceError

# Larger files are read in part: as many pieces over their whole length, so that weights of any size take a moment. A
# training changes all of them.
WHOLE = 2**22  # bytes
PIECES, PIECE = 256, 2**12


def folder_print(folder: Path) -> str:
    """Over names, sizes and content of all files but hidden ones and notes (`.md`), as 16 hex digits.

    Raises:
        VivaceError: a file that cannot be read.
    """
    digest = hashlib.sha256()
    try:
        for path in sorted(folder.rglob("*")):
            place = path.relative_to(folder)
            if path.is_file() and path.suffix != ".md" and not any(part.startswith(".") for part in place.parts):
                digest.update(f"{place.as_posix()} {path.stat().st_size}\n".encode(errors="surrogateescape"))
                digest.update(_sampled(path, path.stat().st_size))
    except OSError as error:
        raise VivaceError(f"Model folder {str(folder)!r} cannot be read ({error}); make it readable.") from None
    return digest.hexdigest()[:16]


def _sampled(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        if size <= WHOLE:
            return hashlib.file_digest(file, "sha256").digest()
        digest = hashlib.sha256()
        for n in range(PIECES):
            file.seek((size - PIECE) * n // (PIECES - 1))
            digest.update(file.read(PIECE))
        return digest.digest()
