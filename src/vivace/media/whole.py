"""Whether a file of ours is all there, by its own account of its length and without decoding it."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from vivace.media.wav import is_cut_short

_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"


def is_whole(path: Path) -> bool:
    """Whether an MP4, WAV or PNG reaches as far as it says. Damage within it is not looked for.

    Raises:
        OSError: it cannot be read.
    """
    if path.suffix.lower() == ".wav":
        return not is_cut_short(path)
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if path.suffix.lower() == ".png":
            file.seek(max(0, size - len(_PNG_END)))
            return file.read() == _PNG_END
        return _end_of_boxes(file, size) == size


def _end_of_boxes(file: BinaryIO, size: int) -> int:
    """Where the last of an MP4's outermost boxes ends, each of which begins with its length and kind."""
    place = 0
    while place < size:
        file.seek(place)
        head = file.read(16)
        if len(head) < 8:
            return -1
        length = struct.unpack(">I", head[:4])[0]
        if length == 1 and len(head) == 16:  # the length follows in 64 bits
            length = struct.unpack(">Q", head[8:])[0]
        if length == 0:  # to the end of the file
            return size
        if length < 8:
            return -1
        place += length
    return place
