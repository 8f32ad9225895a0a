"""Whether a file is still the one that was measured."""

from __future__ import annotations

from pathlib import Path

from vivace.curation.captioner import SUFFIX


def stamp(path: str) -> str:
    """Size and time of the last change of a file and of the captions beside it; empty where neither is there."""
    found = []
    for name in (path, path + SUFFIX):
        try:
            status = Path(name).stat()
        except (OSError, ValueError):
            continue
        found.append(f"{status.st_size}@{status.st_mtime_ns}")
    return " ".join(found)
