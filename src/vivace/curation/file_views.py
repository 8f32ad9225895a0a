"""Single pictures from all over a file, for what only shows over several of its shots."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from vivace.curation.clip import Clip
from vivace.errors import VivaceError
from vivace.media import read_clip

VIEWS = 12  # pictures, evenly over the file


def file_views(clip: Clip) -> list[np.ndarray]:
    """Pictures uint8 [H, W, 3] of the clip's file; none where `ingest` did not measure how long it is.

    Kept for the file that was asked for last, since its clips follow one another. Where a picture cannot be read
    there is one less.
    """
    seconds, fps = clip.get("ingest.seconds"), clip.get("ingest.fps")
    if not seconds or not fps:
        return []
    status = Path(clip.path).stat()
    return list(_views(clip.path, float(seconds), float(fps), status.st_mtime_ns, status.st_size))


@lru_cache(maxsize=1)
def _views(path: str, seconds: float, fps: float, changed: int, size: int) -> tuple[np.ndarray, ...]:
    found = []
    for at in (np.arange(VIEWS) + 0.5) / VIEWS * seconds:
        try:
            frames = read_clip(path, float(at), at_most=1 / fps).frames
        except VivaceError:
            continue
        if frames is not None:
            found.append(frames[0])
    return tuple(found)
