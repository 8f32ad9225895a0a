"""A clip on its way through curation: where it lies, and what is known about it so far."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vivace.curation.pulse import alive
from vivace.media import Clip as Material
from vivace.media import read_clip

# JSON values: numbers, text, lists and mappings of them.
Columns = Mapping[str, Any]


@dataclass(frozen=True)
class Clip:
    """A file, or a part of one.

    Args:
        id: names the clip for ever: of a file by its path, of a part also by its place in the file.
        path: the file.
        start: seconds from the file's first picture.
        seconds: length; None reaches to the file's end.
        columns: what is known, under "stage.name"; "input.…" is what the user says of the file.
    """

    id: str
    path: str
    start: float = 0.0
    seconds: float | None = None
    columns: Columns = field(default_factory=dict)

    @classmethod
    def of_file(cls, path: Path, columns: Columns | None = None) -> Clip:
        """The whole of a file."""
        return cls(_short_hash(str(path)), str(path), columns=dict(columns or {}))

    def part(self, start: float, seconds: float) -> Clip:
        """A part of this clip as a clip of its own; it keeps the columns."""
        begin = round(self.start + start, 6)
        return replace(self, id=_short_hash(f"{self.id} {begin:.6f} {seconds:.6f}"), start=begin, seconds=seconds)

    def __getitem__(self, name: str) -> Any:
        return self.columns[name]

    def get(self, name: str, default: Any = None) -> Any:
        return self.columns.get(name, default)

    def with_columns(self, stage: str, **values: Any) -> Clip:
        """The same clip with a stage's columns added."""
        return replace(self, columns={**self.columns, **{f"{stage}.{name}": value for name, value in values.items()}})

    def of_stages(self, stages: Iterable[str]) -> Clip:
        """The same clip with the columns of these stages alone (and those of the input)."""
        wanted = {"input", *stages}
        kept = {name: value for name, value in self.columns.items() if name.partition(".")[0] in wanted}
        return replace(self, columns=kept)

    def material(self) -> Material:
        """Its pictures and sound, decoded; the last clip asked for is kept, since stages follow one another.

        Raises:
            VivaceError: the file cannot be read.
            OSError: it is not there.
        """
        status = Path(self.path).stat()
        return _decoded(self.path, self.start, self.seconds, status.st_mtime_ns, status.st_size)

    def to_json(self) -> str:
        return json.dumps(
            {
                "id": self.id,
                "path": self.path,
                "start": self.start,
                "seconds": self.seconds,
                "columns": dict(self.columns),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Clip:
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Rejected:
    """Why a clip is left out.

    Args:
        reason: a short fixed name, by which rejections are counted.
        detail: what is particular to this clip.
    """

    reason: str
    detail: str = ""


_held: dict[tuple[str, float, float | None, int, int], Material] = {}


def _decoded(path: str, start: float, seconds: float | None, changed: int, size: int) -> Material:
    """The clip, decoded or from the last time; at most one is held."""
    key = (path, start, seconds, changed, size)
    material = _held.get(key)
    if material is None:
        _held.clear()  # before the next is decoded: two large ones would not fit beside each other
        material = _held[key] = read_clip(path, start, seconds, getting_on=alive)
    return material


def _short_hash(text: str) -> str:
    # Names of files may hold bytes that are no text; they count as they are.
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:20]
