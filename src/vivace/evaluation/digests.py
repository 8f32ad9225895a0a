"""SHA-256 of what a figure was measured from: files, folders of files, and texts; 64 hex digits each."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def file_digest(path: Path) -> str:
    """Of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def weights_digest(path: Path) -> str:
    """Of a file's bytes, or of a folder's files with their names; what is hidden in it (caches) does not count."""
    if path.is_file():
        return file_digest(path)
    parts = {file.relative_to(path): file for file in path.rglob("*") if file.is_file()}
    shown = {part.as_posix(): file for part, file in parts.items() if not any(n.startswith(".") for n in part.parts)}
    return content_digest([[name, file_digest(file)] for name, file in sorted(shown.items())])


def content_digest(content: Any) -> str:
    """Of plain values (texts, numbers, lists, tables), whatever the order of a table's keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
