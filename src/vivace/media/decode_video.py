"""Pictures out of a container, at exact places and none missing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
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
# By how much room for pictures grows where nobody says how many there are.
GROWTH = 1.25
# How far others may stay short of the length they announce (a guess in many) before they count as truncated.
INEXACT_SLACK = Fraction(1, 2)


def decode_pictures(
    path: Path,
    container: Any,
    stream: Any,
    begin: Fraction,
    length: Fraction | None,
    *,
    up_to: bool = False,
    getting_on: Callable[[], None] = lambda: None,
) -> tuple[np.ndarray, Fraction, int]:
    """Pictures from the one shown at `begin` on, for `length` seconds or to the end.

    They are decoded to where they stay: beside them no more than one picture is in memory, or a quarter of them where
    the file does not say how many there are.

    Args:
        up_to: whether a file may end before `length`.
        getting_on: is called for each picture, of those before `begin` too.

    Returns:
        frames uint8 [T, H, W, 3], the rate, and the index of the first picture on the grid of that rate.

    Raises:
        VivaceError: the part reaches outside the file, the file is damaged or truncated, its pictures change their
            size, or the part is too large.
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

    promised = count if count is not None and not (up_to and total is None) else (total or first) - first
    pictures = np.empty(0, np.uint8)
    filled = 0
    reformatter = VideoReformatter()  # one for all pictures: its tables take longer to make than a small picture
    indexed = _is_one_of(INDEXED_FORMATS, container)
    for end, frame in _shown(container, stream, fps, first, indexed, getting_on):
        reached = (end if count is None else min(end, first + count)) - first
        if reached > filled:
            _check_memory(reached, room, path)
            picture = _as_rgb(frame, Fraction(stream.sample_aspect_ratio or 1), reformatter)
            if filled and picture.shape != pictures.shape[1:]:
                raise VivaceError(f"File {str(path)!r} changes the size of its pictures; convert it to one size first.")
            if reached > len(pictures):
                if not filled:
                    pictures = np.empty((max(promised, reached), *picture.shape), np.uint8)
                else:  # in place: the system moves the pictures so far, without a copy beside them
                    more = min(room, math.ceil(GROWTH * reached))
                    pictures.resize((more, *picture.shape), refcheck=False)
            pictures[filled:reached] = picture
            filled = reached
        if count is not None and filled >= count:
            break
    slack = INEXACT_SLACK * fps if (count is None or up_to) and not _is_one_of(EXACT_FORMATS, container) else 0
    if not filled or filled < promised - slack:
        raise VivaceError(
            f"File {str(path)!r} is truncated or damaged: {filled} of {max(promised, 1)} pictures "
            "could be read; give an intact copy."
        )
    if filled < len(pictures):
        pictures.resize((filled, *pictures.shape[1:]), refcheck=False)
    return pictures, fps, first


def rate_of(stream: Any, path: Path) -> Fraction:
    """The stream's average rate in pictures per second.

    Raises:
        VivaceError: the file states none, or one that no video has.
    """
    rate = stream.average_rate or stream.guessed_rate
    if not rate:
        raise VivaceError(f"File {str(path)!r} states no frame rate; convert it to MP4 first.")
    try:
        return as_rate(Fraction(rate))
    except VivaceError:  # the tick of its clock, where FFmpeg finds nothing better, as in an APNG of two pictures
        raise VivaceError(
            f"File {str(path)!r} states {float(rate):g} pictures a second, more than can be meant; "
            "convert it to MP4 at its real rate first."
        ) from None


def _shown(
    container: Any, stream: Any, fps: Fraction, first: int, seek: bool, getting_on: Callable[[], None]
) -> Iterator[tuple[int, Any]]:
    """Decoded pictures that are shown at index `first` or later, each with the index at which the next one is."""
    origin = stream.start_time or 0
    if first > 0 and seek:
        # Rounded, not cut: at 30000/1001 a cut misses one picture in eighty.
        container.seek(origin + round(first / fps / stream.time_base), stream=stream, backward=True)

    def index_of(ticks: int) -> int:
        return round((ticks - origin) * stream.time_base * fps)

    held, latest = None, -1
    for frame in container.decode(stream):
        if frame.pts is None or frame.is_corrupt:
            raise av.error.InvalidDataError(0, "a picture is damaged")
        if index_of(frame.pts) > latest:  # what goes in circles does not get on
            latest = index_of(frame.pts)
            getting_on()
        if held is None and seek and first > 0 and index_of(frame.pts) > first:
            # The container's own index sent us past the picture; from the beginning it cannot be missed.
            container.seek(origin, stream=stream, backward=True)
            yield from _shown(container, stream, fps, first, False, getting_on)
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
