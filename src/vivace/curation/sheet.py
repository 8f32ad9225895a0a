"""A contact sheet of a clip, made in a guarded process: a clip that is asked about may be a broken one."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import ClassVar

from vivace.curation.chain import Job
from vivace.curation.clip import Clip
from vivace.curation.guard import Guard, Limits
from vivace.curation.stage import StageSettings
from vivace.errors import VivaceError
from vivace.media import contact_sheet, write_png


class Sheet:
    """Writes a clip's contact sheet to `path`."""

    name: ClassVar[str] = "sheet"
    version: ClassVar[int] = 1
    needs: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        self.settings = StageSettings()
        self.path = path

    def measure(self, clip: Clip) -> Clip:
        material = clip.material()
        sheet = contact_sheet(material.frames, material.fps, material.audio, material.sample_rate, title=clip.id)
        write_png(self.path, sheet)
        return clip


def write_sheet(clip: Clip, path: Path, limits: Limits | None = None) -> None:
    """A clip's pictures and sound as PNG.

    Raises:
        VivaceError: the clip cannot be decoded, or the file not be written.
    """
    # By its whole path, since the process that writes it may stand elsewhere.
    with closing(Guard([Sheet(path.absolute())], limits or Limits())) as guard:
        step = guard.run(Job(clip, (Sheet.name,)))[-1]
    if step.error is not None:
        raise VivaceError(f"Clip {clip.id!r} cannot be shown ({step.error}); leave --picture out if it is broken.")
