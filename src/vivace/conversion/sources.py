"""Weights files as tables of tensors that stay on disk until they are asked for.

Safetensors files (one, or the shards of a folder) and PyTorch's zip files are both mapped into memory, so that reading
a tensor costs no memory of our own; PyTorch's old format cannot be, and small files of it are read as a whole. Pickles
are opened only by `weights_only=True`, which runs nothing.
"""

from __future__ import annotations

import json
import pickle
import re
import struct
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vivace.errors import VivaceError
from vivace.pipelines.weights_files import counted

# Safetensors' names of types.
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
# Where training programs keep the weights inside of a checkpoint; a plain state dict has none of them.
_NESTED = ("state_dict", "model", "module")
_LISTED = 100  # names of tensors that a message holds of each kind
_ZIP = b"PK\x03\x04"
# How torch.save's old format begins after the pickle's own two bytes: a number that nothing else begins with.
_OLD = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
# Bytes of a file in the old format, all of which come into memory.
_MOST_OLD = 2 * 10**9


@dataclass(frozen=True)
class Stored:
    """Shape and type of a tensor as it is stored."""

    shape: tuple[int, ...]
    dtype: torch.dtype


class Source(Protocol):
    """Weights by name.

    path: what the user named. files: what is read. tensors: what they hold.
    """

    path: Path
    files: list[Path]
    tensors: dict[str, Stored]

    def read(self, name: str) -> Tensor:
        """A tensor, mapped from the file."""
        ...


def open_weights(path: Path | str) -> Source:
    """The weights in a file (safetensors or PyTorch, told by content, not by name) or in a folder of safetensors.

    Raises:
        VivaceError: nothing there, a file cut short, of another format, a pickle that holds more than tensors, or a
            large file in PyTorch's old format.
    """
    path = Path(path)
    if path.is_dir():
        return SafetensorsSource(path, _shards(path))
    try:
        with path.open("rb") as file:
            start = file.read(2 + len(_OLD))
    except OSError as error:
        raise VivaceError(f"Weights {str(path)!r} cannot be read ({error.strerror}); check the path.") from None
    old = start[2:] == _OLD
    if old or start.startswith(_ZIP):
        if path.suffix == ".safetensors":
            raise VivaceError(
                f"Weights {str(path)!r} are a PyTorch checkpoint under the name of safetensors; "
                "use the published file, or rename this one to .ckpt."
            )
        return TorchSource(path, old)
    # The length with which safetensors begin may look like a pickle; what follows it does not.
    if start.startswith(b"\x80") and start[8:9] != b"{":
        raise VivaceError(
            f"Weights {str(path)!r} are a bare pickle, which could run code when it is read; "
            "use the published .safetensors file."
        )
    return SafetensorsSource(path, [path])


def _shards(folder: Path) -> list[Path]:
    """The weights files of a component's folder, all that its index names.

    Raises:
        VivaceError: there are none, one is missing, or the index cannot be read.
    """
    indexes = sorted(folder.glob("*.safetensors.index.json"))
    if not indexes:
        # Repositories may hold one model in several types ("variants"); the plain name is the full one.
        found = sorted(folder.glob("*.safetensors"), key=lambda file: (file.name.count("."), file.name))
        if not found:
            raise VivaceError(f"Folder {str(folder)!r} holds no weights (*.safetensors); name one that does.")
        return found[:1]
    try:
        names = sorted(set(json.loads(indexes[0].read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
        raise VivaceError(f"Index {str(indexes[0])!r} cannot be read; copy or download it again.") from None
    for name in names:
        if Path(name).name != name or not (folder / name).is_file():
            raise VivaceError(f"Folder {str(folder)!r} lacks {name!r}, which its index names; download it again.")
    return [folder / name for name in names]


class SafetensorsSource:
    """One safetensors file, or several that together hold one model."""

    def __init__(self, path: Path, files: list[Path]) -> None:
        self.path, self.files = path, files
        self.tensors: dict[str, Stored] = {}
        self._where: dict[str, Any] = {}
        for file in files:
            header = read_header(file)
            try:
                opened = safe_open(file, framework="pt")
            except (SafetensorError, OSError) as error:
                raise VivaceError(f"Weights {str(file)!r} are damaged ({error}); download them again.") from None
            for name, stored in header.items():
                if name in self.tensors:
                    raise VivaceError(f"Weights {str(path)!r} hold {name!r} twice; download them again.")
                self.tensors[name] = stored
                self._where[name] = opened

    def read(self, name: str) -> Tensor:
        tensor: Tensor = self._where[name].get_tensor(name)
        return tensor


def read_header(file: Path) -> dict[str, Stored]:
    """What a safetensors file holds, after checking that the file is as long as it says.

    Raises:
        VivaceError: another format, a damaged header, or a file cut short.
    """
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > min(size, 100_000_000):
                raise ValueError("header longer than the file")
            header = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
        stored = {name: Stored(tuple(e["shape"]), DTYPES[e["dtype"]]) for name, e in header.items()}
    except OSError as error:
        raise VivaceError(f"Weights {str(file)!r} cannot be read ({error.strerror}); check the path.") from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, struct.error):
        raise VivaceError(
            f"Weights {str(file)!r} are neither safetensors nor a PyTorch checkpoint, or are cut short; "
            "download them again."
        ) from None
    if size != 8 + length + end:
        raise VivaceError(
            f"Weights {str(file)!r} are {size} bytes long where {8 + length + end} are announced; download them again."
        )
    return stored


class TorchSource:
    """A checkpoint of `torch.save`, from which nothing but tensors is taken; mapped, unless it is in the old format."""

    def __init__(self, path: Path, old: bool) -> None:
        self.path, self.files = path, [path]
        damaged = f"Weights {str(path)!r} are damaged or cut short; download them again."
        size = path.stat().st_size
        if old and size > _MOST_OLD:
            raise VivaceError(
                f"Weights {str(path)!r} are {size / 1e9:.1f} GB in PyTorch's old format, which has to be read into "
                "memory as a whole; load them where memory allows and save them again with torch.save."
            )
        if not old and not zipfile.is_zipfile(path):  # its table of contents stands at the end
            raise VivaceError(damaged)
        try:
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=not old)
        except pickle.UnpicklingError as error:
            # PyTorch names what it refused somewhere in a page of advice.
            wanted = re.search(r"GLOBAL:? ([\w.]+)|global:? (?:GLOBAL )?([\w.]+)", str(error))
            named = f" ({wanted[1] or wanted[2]})" if wanted else ""
            raise VivaceError(
                f"Weights {str(path)!r} hold more than tensors{named}, and reading that could run code; "
                "use the published .safetensors file."
            ) from None
        except Exception:  # A damaged pickle fails in as many ways as there are instructions in it.
            raise VivaceError(damaged) from None
        self._content = _state_dict(content, path)
        self.tensors = {name: Stored(tuple(x.shape), x.dtype) for name, x in self._content.items()}

    def read(self, name: str) -> Tensor:
        return self._content[name].detach()  # parameters are stored as such


def _state_dict(content: Any, path: Path) -> Mapping[str, Tensor]:
    """The weights in what a checkpoint holds: itself, or under one of the usual names."""
    candidates = [content]
    if isinstance(content, Mapping):
        candidates += [content[key] for key in _NESTED if key in content]
    for candidate in candidates:
        if isinstance(candidate, Mapping) and candidate and all(isinstance(x, Tensor) for x in candidate.values()):
            return candidate
    raise VivaceError(f"Weights {str(path)!r} hold no state dict of tensors; name a checkpoint of the model itself.")


def check_tensors(source: Source, expected: Mapping[str, Stored], held: Iterable[str], what: str) -> None:
    """Every expected tensor is there in its shape, floating where it has to be, and `held` names no other.

    Raises:
        VivaceError: with a list of the tensors that are missing, not expected, of another shape or of another kind.
    """
    held = set(held)
    missing = [name for name in expected if name not in held]
    unexpected = sorted(name for name in held if name not in expected)
    both = [(name, source.tensors[name], wanted) for name, wanted in expected.items() if name in held]
    shaped = [
        f"{name} {list(stored.shape)} instead of {list(wanted.shape)}"
        for name, stored, wanted in both
        if stored.shape != wanted.shape
    ]
    # Any floating type may be widened or rounded to another; whole numbers are no weights that were rounded.
    typed = [
        f"{name} {_plain(stored.dtype)} instead of {_plain(wanted.dtype)}"
        for name, stored, wanted in both
        if stored.dtype.is_floating_point != wanted.dtype.is_floating_point
    ]
    found = {"missing": missing, "unexpected": unexpected, "of another shape": shaped, "of another kind": typed}
    if any(found.values()):
        raise VivaceError(f"{str(source.path)!r} is not {what}: {counted(found, _LISTED)}; name the right file.")


def _plain(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
