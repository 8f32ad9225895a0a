"""Sound alone: 16-bit PCM in WAV."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np

from vivace.errors import VivaceError
from vivace.media.atomic import replacing
from vivace.media.clip import check_audio, check_loudness

# WAV knows few tags, so all of ours go into its comment as one JSON object behind this mark.
METADATA_MARK = "vivace:"


def write_wav(path: str | Path, audio: np.ndarray, sample_rate: int, metadata: dict[str, str] | None = None) -> None:
    """Write float32 [C, N] in [-1, 1] as 16-bit PCM, whole or not at all.

    Raises:
        VivaceError: a wrong shape or type, samples outside [-1, 1], a path that cannot be written, a full disk,
            more than the 4 GiB that a WAV can hold.
    """
    check_audio(audio, sample_rate)
    check_loudness(audio)
    channels, samples = audio.shape
    if channels * samples * 2 > 2**32 - 2**20:
        raise VivaceError(f"Audio of {samples} samples is larger than a WAV can be (4 GiB); write it in parts.")
    # Readers divide by 32768; the one value that 16 bits lack, +1, is the next below.
    pcm = np.round(audio.T * 32768).clip(-32768, 32767).astype("<i2")
    # PCM, channels, rate, bytes per second, bytes per sample of all channels, bits per sample
    layout = struct.pack("<HHIIHH", 1, channels, sample_rate, sample_rate * channels * 2, channels * 2, 16)
    head = b"WAVE" + _chunk(b"fmt ", layout)
    if metadata:
        comment = (METADATA_MARK + json.dumps(metadata, ensure_ascii=False)).encode() + b"\0"
        head += _chunk(b"LIST", b"INFO" + _chunk(b"ICMT", comment))
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(b"RIFF" + struct.pack("<I", len(head) + 8 + pcm.nbytes) + head)
        file.write(b"data" + struct.pack("<I", pcm.nbytes) + pcm.tobytes())


def is_cut_short(path: Path) -> bool:
    """Whether a RIFF file is shorter than its first twelve bytes say (FFmpeg believes the file's end instead)."""
    with path.open("rb") as file:
        head = file.read(12)
    if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return False
    announced = struct.unpack("<I", head[4:8])[0]
    # Programs that write to a pipe cannot know the size and leave 0 or the largest number.
    return announced not in (0, 2**32 - 1) and path.stat().st_size < announced + 8


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
