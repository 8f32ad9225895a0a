"""The same pictures and sound in a new file that tells nothing else."""

from __future__ import annotations

from pathlib import Path

import av

from vivace.errors import VivaceError
from vivace.media.atomic import replacing


def write_untagged(source: Path, target: Path) -> None:
    """Copy the streams of an MP4 file as they are, without tags: nothing says what made it.

    Raises:
        VivaceError: no such file, not a video, streams that MP4 cannot hold, a path that cannot be written.
    """
    if not source.is_file():
        raise VivaceError(f"Clip {str(source)!r} does not exist; check the path.")
    with replacing(target) as temporary:
        try:
            _copy(source, temporary)
        except (av.FFmpegError, ValueError) as error:
            raise VivaceError(
                f"Clip {str(source)!r} cannot be copied ({error}); give an undamaged MP4 file with pictures."
            ) from error


def _copy(source: Path, target: Path) -> None:
    with (
        av.open(f"file:{source}") as given,
        av.open(f"file:{target}", "w", format="mp4", options={"movflags": "+faststart"}) as made,
    ):
        if not given.streams.video:
            raise ValueError("it holds no pictures")
        kept = [*given.streams.video[:1], *given.streams.audio[:1]]
        streams = {stream.index: made.add_stream_from_template(stream) for stream in kept}
        for stream in streams.values():
            stream.metadata.clear()
        for packet in given.demux(kept):
            if packet.dts is not None:  # the empty packet at the end
                packet.stream = streams[packet.stream.index]
                made.mux(packet)
