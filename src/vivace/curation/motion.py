"""A clip's motion, followed once for all stages that look at it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from vivace.curation.clip import Clip

if TYPE_CHECKING:
    from vivace.perception.flow import Flow


def flow_of(clip: Clip) -> Flow:
    """The flow of the clip's pictures; the last clip asked for is kept, since it takes longer than all else."""
    status = Path(clip.path).stat()
    return _followed(clip.path, clip.start, clip.seconds, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=1)
def _followed(path: str, start: float, seconds: float | None, changed: int, size: int) -> Flow:
    from vivace.perception.flow import measure_flow

    material = Clip("", path, start, seconds).material()
    assert material.frames is not None
    return measure_flow(material.frames, float(material.fps))
