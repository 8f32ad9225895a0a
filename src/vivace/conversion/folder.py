"""A model folder that grows shard by shard beside its place, and takes its name only when it is whole.

What is finished is recorded in `conversion.json`, so that the same conversion goes on after an interruption.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from vivace.conversion.growing_file import no_empty_folders
from vivace.conversion.parts import Part
from vivace.conversion.writing import Progress, Tensors, Written, write_safetensors
from vivace.errors import VivaceError

RECORD = "conversion.json"
FORMAT = 1
# Configurations, tokenizer and file system, over the weights themselves.
_MARGIN = 64 * 2**20


@dataclass(frozen=True)
class Shard:
    """One weights file to be written."""

    path: str  # in the folder
    part: Part
    tensors: Tensors
    names: list[str]

    @property
    def size(self) -> int:
        return sum(self.tensors.size(name) for name in self.names)


def shards_of(part: Part, limit: int) -> list[Shard]:
    """A part's weights, in the order of its model, cut into files of at most `limit` bytes (or one tensor)."""
    if part.tensors is None:
        return []
    groups: list[list[str]] = [[]]
    filled = 0
    for name in part.tensors.names:
        size = part.tensors.size(name)
        if groups[-1] and filled + size > limit:
            groups.append([])
            filled = 0
        groups[-1].append(name)
        filled += size
    count = len(groups)
    files = [
        f"{part.stem}.safetensors" if count == 1 else f"{part.stem}-{n:05d}-of-{count:05d}.safetensors"
        for n in range(1, count + 1)
    ]
    return [Shard(f"{part.name}/{file}", part, part.tensors, names) for file, names in zip(files, groups, strict=True)]


def check_disk(output: Path, size: int) -> None:
    """Raises VivaceError when the disk of `output` cannot hold `size` bytes of weights."""
    needed = size + _MARGIN
    parent = output.absolute().parent
    while not parent.exists():
        parent = parent.parent
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise VivaceError(
            f"Output {str(output)!r} needs {needed / 1e9:.1f} GB and its disk has {free / 1e9:.1f} GB free; "
            "free some space, choose another disk or a narrower dtype."
        )


class GrowingFolder:
    """The folder under its temporary name.

    Args:
        output: where it will stand.
        request: what decides its content; a folder begun for another request is begun anew.
        licences: of its parts, as they are recorded in it.
    """

    def __init__(
        self, output: Path, request: Mapping[str, Any], licences: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.output = output
        self.place = output.with_name(f".{output.name}.converting")
        self.request = json.loads(json.dumps(request))
        self.licences = dict(licences)
        self.files: dict[str, Written] = {}
        self._check_output()
        self._take_up()

    def _check_output(self) -> None:
        if self.output.exists() and (not self.output.is_dir() or any(self.output.iterdir())):
            raise VivaceError(f"Output {str(self.output)!r} exists already; remove it or choose another name.")

    def _take_up(self) -> None:
        """Read what an interrupted conversion with the same request has finished."""
        try:
            record = json.loads((self.place / RECORD).read_text(encoding="utf-8"))
            same = record["format"] == FORMAT and record["request"] == self.request
            found = {path: Written(**entry) for path, entry in record["files"].items()} if same else {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            found = {}
        for path, written in found.items():
            file = self.place / path
            if file.is_file() and file.stat().st_size == written.bytes:
                self.files[path] = written

    def check_space(self, shards: Sequence[Shard]) -> None:
        """Raises VivaceError when the disk cannot hold what is still to be written."""
        check_disk(self.output, sum(shard.size for shard in shards if shard.path not in self.files))

    def write(self, shards: Sequence[Shard], progress: Progress | None = None) -> None:
        """Write the shards that are not there yet.

        Raises:
            VivaceError: a tensor cannot be stored; then nothing is left behind. The disk is full or fails; then the
                finished shards are.
        """
        if not self.files:
            shutil.rmtree(self.place, ignore_errors=True)
        with no_empty_folders(self.place):
            try:
                self.place.mkdir(parents=True, exist_ok=True)
                for shard in shards:
                    self._write_one(shard, progress)
            except VivaceError:
                shutil.rmtree(self.place, ignore_errors=True)
                raise
            except KeyboardInterrupt:
                self._cut()
                raise
            except OSError as error:
                raise VivaceError(self._given_up(error.strerror or str(error))) from None

    def _write_one(self, shard: Shard, progress: Progress | None) -> None:
        if shard.path in self.files and self._is_whole(shard.path):
            if progress:
                progress(self.files[shard.path].bytes)
            return
        target = self.place / shard.path
        target.parent.mkdir(exist_ok=True)
        temporary = target.with_suffix(".part")
        written = write_safetensors(temporary, shard.tensors, shard.names, progress)
        temporary.replace(target)
        self.files[shard.path] = written
        self._record()

    def _is_whole(self, path: str) -> bool:
        """Whether a finished file still holds what was written: an interruption may have been a failing disk."""
        with (self.place / path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == self.files[path].sha256

    def _cut(self) -> None:
        """Remove what is half-written, of which nothing can be gone on from."""
        if not self.files:
            shutil.rmtree(self.place, ignore_errors=True)
        for leftover in self.place.rglob("*.part"):
            leftover.unlink()

    def _given_up(self, reason: str) -> str:
        """Remove what is half-written, which would hold the very space that is missing; the sentence for the user."""
        self._cut()
        kept = f", which goes on after {list(self.files)[-1]!r}" if self.files else ""
        return (
            f"Output {str(self.output)!r} cannot be written ({reason}); make room or choose another disk, then repeat "
            f"the command{kept}."
        )

    @contextmanager
    def _refusals_told(self) -> Iterator[None]:
        """Around the small files, which fail as the weights do: the finished shards stay."""
        try:
            yield
        except OSError as error:
            raise VivaceError(self._given_up(error.strerror or str(error))) from None

    def _record(self) -> None:
        files = {path: asdict(written) for path, written in self.files.items()}
        record = {"format": FORMAT, "licences": self.licences, "request": self.request, "files": files}
        self._put_json(RECORD, record)

    def put_json(self, path: str, content: Mapping[str, Any]) -> None:
        """Write a small file at once.

        Raises:
            VivaceError: the disk is full or fails.
        """
        with self._refusals_told():
            self._put_json(path, content)

    def _put_json(self, path: str, content: Mapping[str, Any]) -> None:
        target = self.place / path
        target.parent.mkdir(exist_ok=True)
        temporary = target.with_name(f"{target.name}.part")
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        temporary.replace(target)

    def put_part(self, part: Part, shards: Sequence[Shard]) -> None:
        """Everything of a part but its weights: configuration, index of the shards, copied files.

        Raises:
            VivaceError: the disk is full or fails.
        """
        if part.config:
            self.put_json(f"{part.name}/config.json", part.config)
        if len(shards) > 1:
            total = sum(shard.size for shard in shards)
            where = {name: Path(shard.path).name for shard in shards for name in shard.names}
            index = {"metadata": {"total_size": total}, "weight_map": where}
            self.put_json(f"{part.name}/{part.stem}.safetensors.index.json", index)
        with self._refusals_told():
            for file in part.copied:
                (self.place / part.name).mkdir(exist_ok=True)
                temporary = self.place / part.name / f"{file.name}.part"
                shutil.copyfile(file, temporary)
                temporary.replace(temporary.with_name(file.name))

    def finish(self) -> None:
        """Give the folder its name.

        Raises:
            VivaceError: the disk is full or fails.
        """
        with self._refusals_told():
            self._record()
            for leftover in self.place.rglob("*.part"):
                leftover.unlink()
            if self.output.is_dir():
                self.output.rmdir()  # empty, or it would have been refused
            self.place.rename(self.output)
