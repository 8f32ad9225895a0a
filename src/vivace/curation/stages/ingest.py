"""Ingest: whether a file is a whole video with sound, and what it is."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from vivace.curation.clip import Clip, Rejected
from vivace.curation.pulse import alive
from vivace.curation.stage import Bound, StageSettings
from vivace.errors import VivaceError
from vivace.media.scan import scan

BLOCK = 2**22  # bytes


class IngestSettings(StageSettings):
    """Bounds: too_short, too_small, truncated, damaged."""

    DEFAULT_BOUNDS: ClassVar = {
        "truncated": Bound(column="ingest.missing", most=0.02),
        "damaged": Bound(column="ingest.damaged", most=0),
        "too_short": Bound(column="ingest.seconds", least=1.0),
        "too_small": Bound(column="ingest.side", least=48),
    }
    need_sound: bool = Field(default=True, description="reject files without sound (Alive keeps only clips with it)")


class FileChangedError(Exception):
    """The file was written to while it was read; the next attempt may find it whole."""


class Ingest:
    """Decode everything once and count, since a truncated file plays without an error."""

    name: ClassVar[str] = "ingest"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: IngestSettings) -> None:
        self.settings = settings

    def measure(self, clip: Clip) -> Clip | Rejected:
        if problem := clip.get("input.problem"):
            return Rejected(str(problem), str(clip.get("input.detail", "")))
        path = Path(clip.path)
        try:
            before = path.stat()
        except OSError as error:
            return Rejected("missing", error.strerror or str(error))
        if not path.is_file():
            return Rejected("unreadable", "it is no file")
        try:
            contents = scan(path, alive)
            digest = _sha256(path)
        except PermissionError as error:
            return Rejected("unreadable", error.strerror or str(error))
        except VivaceError as error:
            return Rejected("unreadable", str(error))
        after = path.stat()
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise FileChangedError(f"{os.fspath(path)!r} changed while it was read")
        if not contents.frames:
            return Rejected("no_pictures")
        if self.settings.need_sound and not contents.sound_seconds:
            return Rejected("no_sound")
        return clip.with_columns(
            self.name,
            sha256=digest,
            bytes=after.st_size,
            container=contents.container,
            width=contents.width,
            height=contents.height,
            side=min(contents.width, contents.height),
            fps=float(contents.fps),
            seconds=round(contents.seconds, 6),
            frames=contents.frames,
            missing=round(contents.missing, 6),
            damaged=contents.damaged,
            sample_rate=contents.sample_rate,
            channels=contents.channels,
            sound_seconds=round(contents.sound_seconds, 6),
        )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            alive()
    return digest.hexdigest()
