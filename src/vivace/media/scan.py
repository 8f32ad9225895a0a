"""Going through a file once: what it announces, what really is in it, and small pictures of all of it.

A file that was cut short plays without an error up to where it ends; only counting shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from vivace.errors import VivaceError
from vivace.media.decode_video import rate_of
from vivace.media.read import _announced_seconds, opened, picture_stream, sound_stream


@dataclass(frozen=True)
class Contents:
    """What is in a file.

    Args:
        container: FFmpeg's name of the format.
        width, height: of the pictures as stored; 0 without pictures.
        fps: average rate; 0 without pictures.
        frames, sound_seconds: as decoded to the end.
        announced_frames: by the container; None where it does not say. announced_sound: seconds; None likewise.
        damaged: pictures or blocks of sound that the decoder marked as damaged.
        sample_rate, channels: 0 without sound.
    """

    container: str
    width: int
    height: int
    fps: Fraction
    frames: int
    announced_frames: int | None
    damaged: int
    sample_rate: int
    channels: int
    sound_seconds: float
    announced_sound: float | None

    @property
    def seconds(self) -> float:
        """Of the pictures, else of the sound."""
        return float(self.frames / self.fps) if self.fps else self.sound_seconds

    @property
    def missing(self) -> float:
        """Largest share of pictures or sound that is announced and not there."""
        shares = [0.0]
        if self.announced_frames:
            shares.append(1 - self.frames / self.announced_frames)
        if self.announced_sound:
            shares.append(1 - self.sound_seconds / self.announced_sound)
        return max(shares)


def scan(path: str | Path, getting_on: Callable[[], None] = lambda: None) -> Contents:
    """Decode all of a file and count; no picture is kept.

    Args:
        getting_on: is called after each packet, as long as no more is read than the file holds.

    Raises:
        VivaceError: no such file, no media file, one without pictures and sound, or without a frame rate.
    """
    path = Path(path)
    with opened(path) as container:
        pictures, sound = picture_stream(container), sound_stream(container)
        streams = [stream for stream in (pictures, sound) if stream is not None]
        if not streams:
            raise VivaceError(f"File {str(path)!r} has neither pictures nor sound; give a video file.")
        fps = Fraction(0) if pictures is None else rate_of(pictures, path)
        announced = None
        if pictures is not None and (pictures.frames or pictures.duration):
            announced = pictures.frames or round(pictures.duration * pictures.time_base * fps)
        counted, samples, damaged = 0, 0, 0
        unread = path.stat().st_size
        rate = 0 if sound is None else sound.codec_context.sample_rate
        for packet in container.demux(*streams):
            try:
                for frame in packet.decode():
                    damaged += bool(frame.is_corrupt)
                    if packet.stream is pictures:
                        counted += 1
                    else:
                        samples += frame.samples
            except av.error.FFmpegError:  # decoders have more than one word for damage
                damaged += 1
            unread -= packet.size
            if unread >= 0:
                getting_on()
        return Contents(
            container=container.format.name,
            width=0 if pictures is None else pictures.codec_context.width,
            height=0 if pictures is None else pictures.codec_context.height,
            fps=fps,
            frames=counted,
            announced_frames=announced,
            damaged=damaged,
            sample_rate=rate,
            channels=0 if sound is None else sound.codec_context.layout.nb_channels,
            sound_seconds=samples / rate if rate else 0.0,
            announced_sound=None if sound is None else _announced_seconds(container, sound) or None,
        )


def small_pictures(path: str | Path, side: int = 32) -> Iterator[np.ndarray]:
    """Every picture of a file in order, small, on the grid of its average rate (held where none comes).

    Args:
        side: pixels of the shorter side.

    Yields:
        uint8 [h, w, 3].

    Raises:
        VivaceError: no such file, no media file, no pictures in it.
    """
    path = Path(path)
    with opened(path) as container:
        stream = picture_stream(container)
        if stream is None:
            raise VivaceError(f"File {str(path)!r} has no pictures; give a video file.")
        stream.thread_type = "AUTO"
        fps, origin = rate_of(stream, path), stream.start_time or 0
        given = 0
        reformatter = VideoReformatter()  # one for all: its tables take longer to make than a small picture
        held: np.ndarray | None = None
        for frame in container.decode(stream):
            if frame.pts is None or frame.is_corrupt:
                continue
            index = round((frame.pts - origin) * stream.time_base * fps)
            while held is not None and given < index:
                yield held
                given += 1
            ratio = side / min(frame.width, frame.height)
            size = {"width": max(1, round(frame.width * ratio)), "height": max(1, round(frame.height * ratio))}
            # Area means: other scalers alias a small picture's fine grain into flicker.
            held = reformatter.reformat(frame, format="rgb24", interpolation="AREA", **size).to_ndarray()
        if held is not None:
            yield held
