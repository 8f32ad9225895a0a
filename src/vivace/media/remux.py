"""New pictures for a file whose sound stays as it is: its packets are copied, not decoded and encoded again."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from vivace.errors import VivaceError
from vivace.media.atomic import replacing
from vivace.media.clip import check_frames
from vivace.media.read import opened, picture_stream, sound_stream, time_origin
from vivace.media.write import check_picture_size, checked_tags, video_frames, video_stream

# Codecs whose packets an MP4 holds as they are.
IN_MP4 = ("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac")


def write_pictures_over_sound(
    path: str | Path, frames: np.ndarray, fps: Fraction, source: str | Path, metadata: dict[str, str] | None = None
) -> bool:
    """Write pictures as `write_clip` does, with the sound of another file packet by packet, whole or not at all.

    Args:
        path: ends in .mp4; may be the source itself.
        frames: uint8 [T, H, W, 3], the first one shown when the source's first picture was.
        fps: pictures per second.
        source: whose sound is taken; one without any gives a file without any.

    Returns:
        whether there was sound.

    Raises:
        VivaceError: as `write_clip`; a source that is none, or whose sound is of a kind that an MP4 cannot hold.
    """
    path, source = Path(path), Path(source)
    if path.suffix.lower() != ".mp4":
        raise VivaceError(f"Output {str(path)!r} does not end in .mp4; pictures are written as .mp4.")
    check_frames(frames)
    check_picture_size(frames)
    tags = checked_tags(metadata or {})
    with opened(source) as original:
        sound = sound_stream(original)
        if sound is not None and sound.codec_context.name not in IN_MP4:
            name = sound.codec_context.name
            raise VivaceError(
                f"The sound of {str(source)!r} is {name}, which an MP4 cannot hold as it is; convert it to AAC first."
            )
        with replacing(path) as temporary:
            _write(temporary, frames, fps, original, sound, tags)
    return sound is not None


def _write(path: Path, frames: np.ndarray, fps: Fraction, original: Any, sound: Any, tags: dict[str, str]) -> None:
    # As in `write_clip`: the unit of edit lists has to be fine enough for the sound's exact beginning and end.
    rate = fps.numerator if sound is None else sound.codec_context.sample_rate
    options = {"movflags": "+faststart+use_metadata_tags", "movie_timescale": str(rate)}
    try:
        with av.open(f"file:{path}", "w", format="mp4", options=options) as container:
            container.metadata.update(tags)
            video = video_stream(container, frames, fps)
            copied = None if sound is None else container.add_stream_from_template(sound)
            packets = iter(()) if sound is None else _packets(original, sound)
            waiting = next(packets, None)
            for index, frame in enumerate(video_frames(frames, fps)):
                container.mux(video.encode(frame))
                # Sound follows its pictures, so that a player finds both close together in the file.
                while waiting is not None and waiting.pts * waiting.time_base <= index / fps:
                    waiting.stream = copied
                    container.mux(waiting)
                    waiting = next(packets, None)
            container.mux(video.encode(None))
            while waiting is not None:
                waiting.stream = copied
                container.mux(waiting)
                waiting = next(packets, None)
    except av.error.FFmpegError as error:
        if isinstance(error, OSError):
            raise
        raise VivaceError(
            f"Output {str(path)!r} could not be written with the sound as it is ({error}); convert it to AAC first."
        ) from error


def _packets(original: Any, sound: Any) -> Any:
    """The sound's packets with time 0 at the first picture."""
    start = time_origin(original) if picture_stream(original) is not None else Fraction(0)
    shift = round(start / sound.time_base)
    for packet in original.demux(sound):
        if packet.dts is None:  # the empty packet at the end
            continue
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        yield packet
