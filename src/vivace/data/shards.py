"""Immutable shards of tensors with an index: rendered clips, latents, and what curation writes.

A folder holds

    header.json                  format, version, content ("clips" or "latents") and free metadata such as codec hashes
    shard-00000.safetensors      tensors under the keys "{sample id}/{name}"
    shard-00000.parquet          its rows and its checksum; written last, it marks the shard as complete
    index.parquet                the rows of all shards; written when the writer is closed

Every file appears under its name only when it is whole. A writer that was interrupted continues after the last
complete shard, and removes what a kill left half-written; where a shard ends depends on the sizes of the samples alone,
so that a continued folder equals one that was written in one go.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from vivace.errors import VivaceError
from vivace.media.atomic import PARTS, replacing, sweep
from vivace.plain_json import read_object

FORMAT = "vivace-shards"
VERSION = 1
# A shard stays under 16 MB, which version control and object stores with small parts take without complaint.
MAX_BYTES = 15_000_000
OPEN_SHARDS = 32
_ANEW = "remove the folder and make it anew"
_REWRITE = "remove that file and run the recipe again, which writes it anew"

Content = Literal["clips", "latents"]


@dataclass(frozen=True)
class ShardHeader:
    """What a folder contains.

    Args:
        content: "clips" (uint8 pictures, int16 sound) or "latents".
        metadata: JSON values that a reader must know, such as the hashes of the codecs of latents.
    """

    content: Content
    metadata: dict[str, Any] = field(default_factory=dict)
    format: str = FORMAT
    version: int = VERSION

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True)

    @classmethod
    def read(cls, folder: Path) -> ShardHeader:
        """Raises:
        VivaceError: the folder has no header, a damaged one, or one of another format or a later version.
        """
        path = folder / "header.json"
        if not path.is_file():
            raise VivaceError(f"Folder {str(folder)!r} holds no shards (header.json is missing); render or encode it.")
        header = read_object(path, _ANEW, what="Header")
        name, version = header.get("format"), header.get("version")
        if not isinstance(name, str) or not isinstance(version, int):
            raise VivaceError(f"Header {str(path)!r} is damaged (it names no format and version); {_ANEW}.")
        if name != FORMAT or version > VERSION:
            raise VivaceError(
                f"Folder {str(folder)!r} has the format {name!r} version {version}, and this "
                f"release reads {FORMAT!r} up to version {VERSION}; make it anew or use a later release."
            )
        content: Any = header.get("content")
        metadata = header.get("metadata")
        if content not in get_args(Content) or not isinstance(metadata, dict) or len(header) != len(fields(cls)):
            raise VivaceError(f"Header {str(path)!r} is damaged (not the content and metadata of shards); {_ANEW}.")
        return cls(content, metadata, name, version)


def shard_name(number: int) -> str:
    return f"shard-{number:05d}"


class ShardWriter:
    """Writes samples in the order in which they are added.

    Args:
        folder: made when missing; when it holds shards of an interrupted writer with an equal header, writing goes on.
        header: what the folder contains.
        max_bytes: a shard is closed before it would exceed this; one sample alone may.

    Raises:
        VivaceError: the folder holds something else, shards with another header, or a damaged list of samples; it
            cannot be written.
    """

    def __init__(self, folder: str | Path, header: ShardHeader, max_bytes: int = MAX_BYTES) -> None:
        self.folder = Path(folder)
        self.header = header
        self.max_bytes = max_bytes
        self._tensors: dict[str, Tensor] = {}
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        if (self.folder / "header.json").exists():
            if ShardHeader.read(self.folder).to_json() != header.to_json():
                raise VivaceError(
                    f"Folder {str(self.folder)!r} was begun with other settings; remove it or name another output."
                )
        elif self.folder.is_dir() and not all(entry.match(PARTS) for entry in self.folder.iterdir()):
            raise VivaceError(f"Folder {str(self.folder)!r} holds other files; name an empty or a new folder.")
        else:
            with replacing(self.folder / "header.json") as temporary:
                temporary.write_text(header.to_json() + "\n")
        sweep(self.folder)
        self._parts = _complete_parts(self.folder)
        index = self.folder / "index.parquet"
        self.finished = index.is_file()
        if self.finished:
            _read_table(index, _REWRITE)
        self._seen = {sample for part in self._parts for sample in part.column("id").to_pylist()}

    def __len__(self) -> int:
        """Samples added so far, those of an earlier, interrupted writer included."""
        return len(self._seen)

    def __contains__(self, sample_id: str) -> bool:
        return sample_id in self._seen

    def add(self, sample_id: str, tensors: Mapping[str, Tensor | np.ndarray], row: Mapping[str, Any]) -> None:
        """Append one sample.

        Args:
            sample_id: unique in the folder, without "/".
            tensors: name to tensor of any shape and type.
            row: columns of the index (numbers, strings, lists); "id" and "shard" are added here.

        Raises:
            VivaceError: an id that is empty, contains "/" or was added before; a writer that is closed; a shard that
                cannot be written, as on a full disk.
        """
        if self.finished:
            raise VivaceError(f"Folder {str(self.folder)!r} is complete; name a new folder to write more samples.")
        if not sample_id or "/" in sample_id or sample_id in self._seen:
            raise VivaceError(f"Sample id {sample_id!r} is empty, holds '/' or is taken; give each its own name.")
        ready = {
            f"{sample_id}/{name}": (torch.from_numpy(value) if isinstance(value, np.ndarray) else value).contiguous()
            for name, value in tensors.items()
        }
        size = sum(tensor.numel() * tensor.element_size() for tensor in ready.values())
        if self._rows and self._bytes + size > self.max_bytes:
            self._flush()
        self._tensors |= ready
        self._rows.append({"id": sample_id, "shard": shard_name(len(self._parts)), **row})
        self._bytes += size
        self._seen.add(sample_id)

    def _flush(self) -> None:
        name = shard_name(len(self._parts))
        with replacing(self.folder / f"{name}.safetensors") as temporary:
            # Not safetensors' own `save_file`, whose temporary file nobody would sweep after a kill.
            temporary.write_bytes(save(self._tensors, metadata={"format": FORMAT}))
            digest, size = _digest(temporary), temporary.stat().st_size
        part = pa.Table.from_pylist(self._rows).replace_schema_metadata(
            {"shards": json.dumps({name: {"sha256": digest, "bytes": size}})}
        )
        with replacing(self.folder / f"{name}.parquet") as temporary:
            pq.write_table(part, temporary)
        self._parts.append(part)
        self._tensors, self._rows, self._bytes = {}, [], 0

    def close(self) -> None:
        """Write the last shard and the index of all.

        Raises:
            VivaceError: they cannot be written, as on a full disk.
        """
        if self.finished:
            return
        if self._rows:
            self._flush()
        shards = {name: facts for part in self._parts for name, facts in _shard_facts(part).items()}
        tables = [part.replace_schema_metadata(None) for part in self._parts] or [pa.table({"id": [], "shard": []})]
        index = pa.concat_tables(tables, promote_options="permissive")
        metadata = {"shards": json.dumps(shards), "header": self.header.to_json()}
        with replacing(self.folder / "index.parquet") as temporary:
            pq.write_table(index.replace_schema_metadata(metadata), temporary)
        self.finished = True


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _shard_facts(table: pa.Table) -> dict[str, dict[str, Any]]:
    """Length and checksum of each shard, by its name.

    Raises:
        ValueError: there is none, or another one than a writer gives.
    """
    facts: Any = json.loads((table.schema.metadata or {}).get(b"shards", b""))
    whole = isinstance(facts, dict) and all(
        isinstance(entry, dict) and isinstance(entry.get("bytes"), int) and isinstance(entry.get("sha256"), str)
        for entry in facts.values()
    )
    if not whole:
        raise ValueError("no lengths and checksums of shards")
    assert isinstance(facts, dict)
    return facts


def _read_table(path: Path, remedy: str) -> pa.Table:
    """The rows of one or all shards, with what the file says of the shards.

    Raises:
        VivaceError: the file is damaged.
    """
    try:
        table = pq.read_table(path)
        table.validate(full=True)
        shards = set(table.column("shard").to_pylist())
        if table.column("id").null_count or not shards <= _shard_facts(table).keys():
            raise ValueError("samples without a name or a shard")
    # Arrow's errors are mostly, but not all, ValueErrors; a damaged length also asks for more memory than there is.
    except (pa.ArrowException, OSError, ValueError, KeyError, MemoryError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise VivaceError(f"List of samples {str(path)!r} is damaged ({reason}); {remedy}.") from None
    return table


def _complete_parts(folder: Path) -> list[pa.Table]:
    """The parts of the shards that are whole, in order, up to the first that is not."""
    parts: list[pa.Table] = []
    while (path := folder / f"{shard_name(len(parts))}.parquet").is_file():
        part = _read_table(path, _REWRITE)
        shard = folder / f"{shard_name(len(parts))}.safetensors"
        if not shard.is_file() or shard.stat().st_size != _shard_facts(part).get(shard.stem, {}).get("bytes"):
            break
        parts.append(part)
    return parts


class ShardReader:
    """Random access to a complete folder of shards. Tensors are read from memory-mapped files when asked for.

    Args:
        folder: where a `ShardWriter` wrote.
        content: what the caller expects; any content when None.

    Raises:
        VivaceError: no shards there, shards of other content, an unfinished folder, a damaged index, a missing or
            truncated shard.
    """

    def __init__(self, folder: str | Path, content: Content | None = None) -> None:
        self.folder = Path(folder)
        self.header = ShardHeader.read(self.folder)
        if content is not None and self.header.content != content:
            raise VivaceError(f"Folder {str(folder)!r} holds {self.header.content}; name a folder of {content}.")
        index = self.folder / "index.parquet"
        if not index.is_file():
            raise VivaceError(f"Folder {str(folder)!r} is not finished; run the recipe that writes it again.")
        self.table = _read_table(index, _REWRITE)
        self._ids: list[str] = self.table.column("id").to_pylist()
        self._shards: list[str] = self.table.column("shard").to_pylist()
        self._open: dict[str, Any] = {}
        for name, facts in _shard_facts(self.table).items():
            path = self.folder / f"{name}.safetensors"
            if not path.is_file():
                raise VivaceError(f"Shard {str(path)!r} is missing; restore it or make the folder anew.")
            if path.stat().st_size != facts["bytes"]:
                raise VivaceError(f"Shard {str(path)!r} is truncated or changed; restore it or make the folder anew.")

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def ids(self) -> list[str]:
        return self._ids

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The index, one mapping of columns per sample, in the order of the samples."""
        rows: list[dict[str, Any]] = self.table.to_pylist()
        return rows

    def column(self, name: str) -> list[Any]:
        """One column of the index, in the order of the samples.

        Raises:
            VivaceError: there is no such column.
        """
        if name not in self.table.column_names:
            raise VivaceError(f"Folder {str(self.folder)!r} has no column {name!r}; it has {self.table.column_names}.")
        values: list[Any] = self.table.column(name).to_pylist()
        return values

    def get(self, index: int) -> dict[str, Tensor]:
        """The tensors of one sample, by name.

        Raises:
            VivaceError: the shard cannot be read.
        """
        sample_id, name = self._ids[index], self._shards[index]
        path = self.folder / f"{name}.safetensors"
        try:
            names, file = self._handle(name, path)
            return {key: file.get_tensor(f"{sample_id}/{key}") for key in names[sample_id]}
        except (SafetensorError, OSError, KeyError) as error:
            raise VivaceError(f"Shard {str(path)!r} cannot be read ({error}); make the folder anew.") from None

    def _handle(self, name: str, path: Path) -> tuple[dict[str, list[str]], Any]:
        if name not in self._open:
            if len(self._open) >= OPEN_SHARDS:
                self._open.pop(next(iter(self._open)))
            file = safe_open(path, framework="pt")
            names: dict[str, list[str]] = {}
            for key in file.keys():  # noqa: SIM118 (not a mapping)
                sample_id, _, tensor = key.partition("/")
                names.setdefault(sample_id, []).append(tensor)
            self._open[name] = (names, file)
        handle: tuple[dict[str, list[str]], Any] = self._open[name]
        return handle

    def __iter__(self) -> Iterator[tuple[dict[str, Any], dict[str, Tensor]]]:
        """Rows and tensors in order."""
        for index, row in enumerate(self.rows):
            yield row, self.get(index)

    def verify(self) -> None:
        """Compare every shard with its checksum.

        Raises:
            VivaceError: a shard differs from what was written.
        """
        for name, facts in _shard_facts(self.table).items():
            path = self.folder / f"{name}.safetensors"
            if _digest(path) != facts["sha256"]:
                raise VivaceError(f"Shard {str(path)!r} differs from its checksum; restore it or make the folder anew.")
