"""Clips and sound from files of any common format."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition

from vivace.errors import VivaceError
from vivace.media.clip import Clip, check_sample_rate
from vivace.media.decode_audio import decode_sound, resample
from vivace.media.decode_video import decode_pictures
from vivace.media.wav import METADATA_MARK, is_cut_short

# Tags that a container adds by itself; what is left is what the file's author wrote.
_CONTAINER_TAGS = {"major_brand", "minor_version", "compatible_brands", "encoder"}


def read_clip(
    path: str | Path,
    start: float | Fraction = 0,
    seconds: float | Fraction | None = None,
    *,
    at_most: float | None = None,
    pictures: bool = True,
    getting_on: Callable[[], None] = lambda: None,
    tell: Callable[[str], None] = lambda change: None,
) -> Clip:
    """Read a clip, or the part of it that begins with the picture shown at `start` and lasts `seconds`.

    Pictures come at the file's average rate: where the file shows one longer, it is repeated. The sound keeps its
    rate and lasts exactly as long as the pictures, silent where the file has none; more than two channels are mixed
    to stereo, and samples are limited to [-1, 1].

    Args:
        path: a video or sound file; without pictures `frames` is None and `fps` 24.
        start: seconds from the first picture.
        seconds: length; None reads to the end. It is rounded to a whole number of pictures.
        at_most: instead of `seconds`, a length that a shorter file need not reach.
        pictures: False leaves a file's pictures out.
        getting_on: is called for each picture that is decoded, of those before `start` too.
        tell: is called with what is changed of the sound, as what may follow the file's name in a sentence.

    Raises:
        VivaceError: no such file, no video or sound in it, a damaged or truncated file, a part that reaches outside,
            more pictures than fit in memory (4 GiB).
    """
    path = Path(path)
    begin = _checked_time(start, "start")
    asked = seconds if at_most is None else at_most
    length = None if asked is None else _checked_time(asked, "seconds")
    if length == 0:
        raise VivaceError("Length 0 holds no picture; give seconds above 0.")
    with opened(path) as container:
        frames: np.ndarray | None = None
        fps = Fraction(24)
        stream, origin = picture_stream(container), time_origin(container)
        if stream is not None and pictures:
            frames, fps, first = decode_pictures(
                path, container, stream, begin, length, up_to=at_most is not None, getting_on=getting_on
            )
            begin, length = first / fps, len(frames) / fps
    with opened(path) as container:
        sound = sound_stream(container)
        if frames is None and sound is None:
            lacks = (
                "neither pictures nor sound; give a video or sound file" if pictures else "no sound; give one that has"
            )
            raise VivaceError(f"File {str(path)!r} has {lacks}.")
        audio, sample_rate = None, 16000
        if sound is not None:
            audio, sample_rate = decode_sound(
                path,
                container,
                sound,
                origin + begin,
                length,
                filled=frames is not None,
                up_to=at_most is not None,
                tell=tell,
            )
            if (channels := sound.codec_context.layout.nb_channels) > 2:
                tell(f"has {channels} channels, which are mixed down")
    return Clip(frames, fps, audio, sample_rate)


def read_audio(
    path: str | Path,
    sample_rate: int = 16000,
    channels: int = 2,
    longest: float | None = None,
    at_most: float | None = None,
    tell: Callable[[str], None] = lambda change: None,
) -> np.ndarray:
    """Read the sound of a file at the given rate, float32 [channels, N] in [-1, 1].

    Time 0 is the first picture where the file has any. Mono is doubled for two channels; more are mixed down.

    Args:
        longest: seconds beyond which a file is refused before it is decoded; None for no limit.
        at_most: seconds from the beginning that are read; None reads the whole.
        tell: as for `read_clip`, but for the rate and the channels, which the caller has asked for.

    Raises:
        VivaceError: no such file, no sound in it, a damaged or truncated file, a rate or channel count out of range,
            more sound than `longest`.
    """
    path = Path(path)
    check_sample_rate(sample_rate)
    if channels not in (1, 2):
        raise VivaceError(f"{channels!r} channels are not possible; ask for 1 or 2.")
    with opened(path) as container:
        stream = sound_stream(container)
        if stream is None:
            raise VivaceError(f"File {str(path)!r} has no sound; give a sound file or a video with sound.")
        seconds = _announced_seconds(container, stream)
        if longest is not None and seconds > longest:
            raise VivaceError(
                f"File {str(path)!r} has {seconds / 60:.0f} minutes of sound, more than {longest / 60:g}; "
                "cut out the part that matters."
            )
        length = None if at_most is None else Fraction(at_most)
        audio, rate = decode_sound(
            path, container, stream, time_origin(container), length, filled=False, up_to=True, tell=tell
        )
    audio = resample(audio, rate, sample_rate)
    if len(audio) == channels:
        return audio
    return np.repeat(audio, 2, 0) if channels == 2 else audio.mean(0, keepdims=True)


def read_metadata(path: str | Path) -> dict[str, str]:
    """The tags that `write_clip` put into a file (or another author's), without the container's own.

    A comment that only looks like ours is a tag like others.

    Raises:
        VivaceError: no such file, or one that is no video or sound file.
    """
    with opened(Path(path)) as container:
        tags = {str(key): str(value) for key, value in container.metadata.items() if key not in _CONTAINER_TAGS}
    comment = tags.get("comment", "")
    if comment.startswith(METADATA_MARK):
        with contextlib.suppress(ValueError, RecursionError):
            ours = json.loads(comment.removeprefix(METADATA_MARK))
            if isinstance(ours, dict):
                return {str(key): str(value) for key, value in ours.items()}
    return tags


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The open container; every way in which FFmpeg says that a file is damaged becomes a sentence."""
    try:
        if not path.is_file():
            problem = "is a folder" if path.is_dir() else "does not exist"
            raise VivaceError(f"File {str(path)!r} {problem}; check the path.")
        if is_cut_short(path):
            raise VivaceError(f"File {str(path)!r} is truncated: it is shorter than it says; give an intact copy.")
        # "file:" keeps a name with a colon from being read as a network address.
        with av.open(f"file:{path}", metadata_errors="replace") as container:
            try:
                yield container
            except av.error.PermissionError as error:  # the file is open: decoders call some damage so
                raise av.error.InvalidDataError(0, "invalid data found when decoding") from error
    except OSError as error:
        raise VivaceError(
            f"File {str(path)!r} cannot be read ({error.strerror}); check path and permissions."
        ) from error
    except av.error.FFmpegError as error:
        if _is_moving_webp(path):
            raise VivaceError(
                f"File {str(path)!r} is an animated WebP, which cannot be read here; convert it to MP4 first."
            ) from None
        reason = (error.strerror or "unreadable").lower()
        raise VivaceError(f"File {str(path)!r} is damaged or no media file ({reason}); give an intact one.") from error


def _is_moving_webp(path: Path) -> bool:
    """Whether a file says that it is an animated WebP, which FFmpeg does not decode."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        head = file.read(21)
        return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and bool(head[20:] and head[20] & 2)
    return False


def picture_stream(container: Any) -> Any:
    # A cover picture of a song is also a video stream.
    found = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    return _decodable(container, found)


def sound_stream(container: Any) -> Any:
    return _decodable(container, list(container.streams.audio))


def _announced_seconds(container: Any, stream: Any) -> float:
    """How long the sound says it is (0 where it does not)."""
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    return 0.0 if container.duration is None else container.duration / av.time_base


def _decodable(container: Any, streams: list[Any]) -> Any:
    if streams and streams[0].codec_context is None:
        name = container.name.removeprefix("file:")
        raise VivaceError(f"File {name!r} has its {streams[0].type} in an unknown codec; convert it to MP4 first.")
    return streams[0] if streams else None


def time_origin(container: Any) -> Fraction:
    """Time 0 of the clip on the container's clock, in seconds: the first picture, else the first sound."""
    stream = picture_stream(container) or sound_stream(container)
    return Fraction(0) if stream is None or stream.start_time is None else stream.start_time * stream.time_base


def _checked_time(value: float | Fraction, name: str) -> Fraction:
    if not isinstance(value, (int, float, Fraction)) or not math.isfinite(value) or value < 0:
        raise VivaceError(f"{name} {value!r} is not a time in the clip; give seconds from 0 on.")
    # Millionths are finer than any sample and undo the rounding of a product such as 24 * (1001 / 30000).
    return Fraction(value).limit_denominator(1_000_000)
