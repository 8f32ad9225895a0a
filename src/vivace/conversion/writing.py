"""Safetensors files written tensor by tensor and piece by piece, with their SHA-256.

The library's own writer wants all tensors in memory at once; this one never holds more than a piece of one.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from vivace.conversion.growing_file import Growth
from vivace.conversion.sources import DTYPES, Source
from vivace.errors import VivaceError

# Values converted at a time: 64 MB in float32.
PIECE = 16 * 2**20
# Bytes after which a file that can be gone on with is flushed and its progress recorded: seconds of work.
NOTED_EVERY = 500_000_000
_NAMES = {dtype: name for name, dtype in DTYPES.items()}
FP8 = torch.float8_e4m3fn

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Tensors:
    """Tensors to be written: our name of each, where it comes from, and the type it gets.

    Args:
        source: weights.
        names: new name: name in the source.
        dtypes: new name: type.
    """

    source: Source
    names: Mapping[str, str]
    dtypes: Mapping[str, torch.dtype]

    def shape(self, name: str) -> tuple[int, ...]:
        return self.source.tensors[self.names[name]].shape

    def count(self, name: str) -> int:
        """Values in a tensor."""
        return math.prod(self.shape(name))

    def size(self, name: str) -> int:
        """Bytes as written."""
        return self.count(name) * self.dtypes[name].itemsize

    def pieces(self, name: str) -> Iterator[Tensor]:
        """The values in order, in the type of the source.

        Raises:
            VivaceError: one that is not finite.
        """
        values = self.source.read(self.names[name])
        flat = values.reshape(-1)
        for start in range(0, flat.numel(), PIECE):
            piece = flat[start : start + PIECE]
            if piece.is_floating_point() and not math.isfinite(_largest(piece)):
                raise VivaceError(
                    f"Weights {str(self.source.path)!r} hold a value in {self.names[name]!r} that is not finite; "
                    "download them again."
                )
            yield piece


@dataclass(frozen=True)
class Written:
    """A finished file: its length, its SHA-256, and the largest relative L2 error of a tensor by fp8's rounding."""

    bytes: int
    sha256: str
    fp8_error: float = 0.0


def write_safetensors(
    path: Path, tensors: Tensors, names: list[str], progress: Progress | None = None, growth: Growth | None = None
) -> Written:
    """Write some of the tensors to a file; `progress` is told how many bytes were written.

    Args:
        growth: where the file's progress is recorded, to go on from it when the same call is made again.

    Raises:
        VivaceError: a value that is not finite, or too large for the type it gets.
    """
    # Wider types first, so that every tensor begins at a multiple of its own width (as the library orders them).
    names = sorted(names, key=lambda name: -tensors.dtypes[name].itemsize)
    header = _header(tensors, names)
    worst = 0.0
    path.touch()
    with path.open("r+b") as file:
        done, digest = growth.taken_up(file) if growth else (0, hashlib.sha256())
        file.truncate(done)
        if progress and done:
            progress(done)

        def put(data: bytes | memoryview) -> None:
            file.write(data)
            digest.update(data)
            if progress:
                progress(len(data))

        if not done:
            put(header)
        end, noted = len(header), done
        for name in names:
            end += tensors.size(name)
            if end <= done:
                continue
            worst = max(worst, _put_tensor(put, tensors, name))
            if growth and end - noted >= NOTED_EVERY:
                _flush(file)
                growth.note(end, digest.hexdigest())
                noted = end
        _flush(file)
    return Written(end, digest.hexdigest(), worst)


def _header(tensors: Tensors, names: list[str]) -> bytes:
    """What stands before the values: a JSON text with the type, shape and place of each tensor, after its length."""
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name in names:
        end = offset + tensors.size(name)
        dtype = _NAMES[tensors.dtypes[name]]
        entries[name] = {"dtype": dtype, "shape": list(tensors.shape(name)), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _put_tensor(put: Callable[[memoryview], None], tensors: Tensors, name: str) -> float:
    """Write one tensor; returns the relative L2 error where it is rounded to fp8."""
    dtype = tensors.dtypes[name]
    error = total = 0.0
    for piece in tensors.pieces(name):
        if _narrower(dtype, piece.dtype) and (largest := _largest(piece)) > torch.finfo(dtype).max:
            raise VivaceError(
                f"Weights {str(tensors.source.path)!r} hold {largest:g} in {tensors.names[name]!r}, too large for "
                f"{_NAMES[dtype]}; choose a wider dtype."
            )
        new = piece.to(dtype)
        put(new.contiguous().view(torch.uint8).numpy().data)
        if dtype == FP8 and piece.dtype != FP8:
            wide = piece.float()
            error += float((new.float() - wide).square().sum())
            total += float(wide.square().sum())
    return (error / total) ** 0.5 if total else 0.0


def _narrower(dtype: torch.dtype, than: torch.dtype) -> bool:
    """Whether a value of the one type may be too large for the other."""
    both = dtype.is_floating_point and than.is_floating_point
    return both and torch.finfo(dtype).max < torch.finfo(than).max


def _largest(piece: Tensor) -> float:
    """The largest magnitude; NaN and infinity both spread to it."""
    wide = piece.float() if piece.dtype.itemsize == 1 else piece
    low, high = (float(x) for x in torch.aminmax(wide)) if piece.numel() else (0.0, 0.0)
    return max(abs(low), abs(high))


def _flush(file: BinaryIO) -> None:
    """To the disk itself: a file that is recorded as finished must outlive a loss of power."""
    file.flush()
    os.fsync(file.fileno())
