"""Pictures out of a container, at exact places and none missing."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from vivace.errors import VivaceError
from vivace.timeline import as_rate

MAX_BYTES = 4 * 2**30
# Containers of the MP4 family state the length of each stream and of each picture exactly.
EXACT_FORMATS = {"mp4", "mov"}
# Containers with an index; others (MPEG streams) guess and may land too late, so they are decoded from their beginning.
INDEXED_FORMATS = {"mp4", "mov", "matroska", "webm", "avi"}
# How far others may stay short of the length they announce (a guess in many) before they count as truncated.
INEXACT_SLACK = Fraction(1, 2)


def decode_pictures(
    path: Path, container: Any, stream: Any, begin: Fraction, length: Fraction | None, *, up_to: bool = False
) -> tuple[np.ndarray, Fraction, int]:
    """Pictures from the one shown at `begin` on, for `length` seconds or to the end.

    Args:
        up_to: whether a file may end before `length`.

    Returns:
        frames uint8 [T, H, W, 3], the rate, and the index of the first picture on the grid of that rate.

    Raises:
        VivaceError: the part reaches outside the file, the file is damaged or truncated, or the part is too large.
    """
    stream.thread_type = "AUTO"
    fps = rate_of(stream, path)
    first = int(begin * fps + Fraction(1, 1000))
    count = None if length is None else max(1, round(length * fps))
    # Pictures that the container says it has, on the grid of its average rate; some do not say.
    total = max(1, round(stream.duration * stream.time_base * fps)) if stream.duration else None
    if up_to and count is not None and total is not None:
        count = min(count, max(1, total - first))
    if total is not None and first + (count or 1) > total:
        raise VivaceError(
            f"File {str(path)!r} lasts {float(total / fps):.3f} s, and the asked part ends at "
            f"{float((first + (count or 1)) / fps):.3f} s; ask for an earlier or shorter one."
        )
    room = MAX_BYTES // (stream.codec_context.height * stream.codec_context.width * 3 or 1)
    _check_memory(count or (total or 0) - first, room, path)

    pictures: list[np.ndarray] = []
    reformatter = VideoReformatter()  # one for all pictures: its tables take longer to make than a small picture
    for end, frame in _shown(container, stream, fps, first, seek=_is_one_of(INDEXED_FORMATS, container)):
        new = (end if count is None else min(end, first + count)) - first - len(pictures)
        if new > 0:
            _check_memory(len(pictures) + new, room, path)
            pictures += [_as_rgb(frame, Fraction(stream.sample_aspect_ratio or 1), reformatter)] * new
        if count is not None and len(pictures) >= count:
            break
    promised = count if count is not None and not (up_to and total is None) else (total or first) - first
    slack = INEXACT_SLACK * fps if (count is None or up_to) and not _is_one_of(EXACT_FORMATS, container) else 0
    if not pictures or len(pictures) < promised - slack:
        raise VivaceError(
            f"File {str(path)!r} is truncated or damaged: {len(pictures)} of {max(promised, 1)} pictures "
            "could be read; give an intact copy."
        )
    return np.stack(pictures), fps, first


def rate_of(stream: Any, path: Path) -> Fraction:
    """The stream's average rate in pictures per second.

    Raises:
        VivaceError: the file states none.
    """
    rate = stream.average_rate or stream.guessed_rate
    if not rate:
        raise VivaceError(f"File {str(path)!r} states no frame rate; convert it to MP4 first.")
    return as_rate(Fraction(rate))


def _shown(container: Any, stream: Any, fps: Fraction, first: int, seek: bool) -> Iterator[tuple[int, Any]]:
    """Decoded pictures that are shown at index `first` or later, each with the index at which the next one is."""
    origin = stream.start_time or 0
    if first > 0 and seek:
        # Rounded, not cut: at 30000/1001 a cut misses one picture in eighty.
        container.seek(origin + round(first / fps / stream.time_base), stream=stream, backward=True)

    def index_of(ticks: int) -> int:
        return round((ticks - origin) * stream.time_base * fps)

    held = None
    for frame in container.decode(stream):
        if frame.pts is None or frame.is_corrupt:
            raise av.error.InvalidDataError(0, "a picture is damaged")
        if held is None and seek and first > 0 and index_of(frame.pts) > first:
            # The container's own index sent us past the picture; from the beginning it cannot be missed.
            container.seek(origin, stream=stream, backward=True)
            yield from _shown(container, stream, fps, first, seek=False)
            return
        if held is not None and index_of(frame.pts) > max(first, index_of(held.pts)):
            yield index_of(frame.pts), held
        held = frame
    if held is not None:
        yield max(index_of(held.pts) + 1, index_of(held.pts + (held.duration or 0))), held


def _as_rgb(frame: Any, pixel_shape: Fraction, reformatter: VideoReformatter) -> np.ndarray:
    """uint8 [H, W, 3]: square pixels, upright, by the frame's own colour description (or what its height implies)."""
    spaces = {
        1: Colorspace.ITU709,
        5: Colorspace.ITU601,
        6: Colorspace.ITU601,
        7: Colorspace.SMPTE240M,
        9: Colorspace.BT2020,
    }
    guess = Colorspace.ITU709 if frame.height >= 720 else Colorspace.ITU601
    full = frame.color_range == 2 or frame.format.name.startswith("yuvj")
    rgb = reformatter.reformat(
        frame,
        format="rgb24",
        width=max(1, round(frame.width * pixel_shape)),
        height=frame.height,
        src_colorspace=spaces.get(int(frame.colorspace), guess),
        src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
    )
    return np.rot90(rgb.to_ndarray(), frame.rotation // 90 % 4)


def _is_one_of(formats: set[str], container: Any) -> bool:
    return not formats.isdisjoint(container.format.name.split(","))


def _check_memory(count: int, room: int, path: Path) -> None:
    if count > room:
        raise VivaceError(
            f"File {str(path)!r} has more pictures than fit in 4 GiB; read a part, at most {room} pictures."
        )
