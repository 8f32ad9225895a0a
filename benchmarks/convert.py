"""Conversion at full size: a random checkpoint under the official names, to a model folder, and back bit for bit.

    python benchmarks/convert.py FOLDER [--size 6b] [--source bf16] [--dtype bf16] [--shard-gb 5] [--output FILE.json]

FOLDER needs room for the source and the model folder, or for that and the restored file, whichever is more (6b in bf16:
25.3 GB); this is checked first, and all of it is removed in the end. The values are drawn from a seed, so that the way
back is compared byte by byte with what was written and not kept. The other parts of the model folder are those of
nano-nava, since they are not what is measured. Printed are a row of a table and all figures as JSON: the peaks of
anonymous memory (what a process needs, without the pages of mapped files), disk, and the seconds of either way.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vivace.conversion.nava import convert_nava, restore_nava
from vivace.conversion.parts import DTYPES
from vivace.conversion.sources import Stored, open_weights
from vivace.conversion.writing import Tensors, write_safetensors
from vivace.errors import VivaceError
from vivace.models.nava import NavaTransformer
from vivace.models.nava_names import official_names
from vivace.models.nava_sizes import PUBLISHED
from vivace.pipelines.folder import shipped_models

PARTS = ("vae", "text_encoder", "tokenizer", "audio_vae", "vocoder")
_PARTS_BYTES = 200_000_000  # what nano-nava's other parts take, and more
_PERIOD = 2**22 + 1  # an odd number of random values, repeated, so that no tensor begins like its neighbour


class RandomWeights:
    """A `Source` of a published size whose tensors are made when they are read, the same ones each time."""

    def __init__(self, size: str, dtype: torch.dtype) -> None:
        self.path = Path(f"random-{size}")
        self.files: list[Path] = []
        with torch.device("meta"):
            model = NavaTransformer(**PUBLISHED[size])
        shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
        theirs = official_names(model.config)
        self.tensors = {theirs[name]: Stored(shape, dtype) for name, shape in shapes.items()}
        self._values = torch.randn(_PERIOD, generator=torch.Generator().manual_seed(0)).mul_(0.02).to(dtype)

    def read(self, name: str) -> Tensor:
        """[*shape] of the tensor."""
        shape = self.tensors[name].shape
        count, start = torch.Size(shape).numel(), zlib.crc32(name.encode()) % _PERIOD
        return self._values.repeat(count // _PERIOD + 2)[start : start + count].view(shape)

    def count(self) -> int:
        """Values of all tensors."""
        return sum(torch.Size(stored.shape).numel() for stored in self.tensors.values())

    def write(self, folder: Path, shard_bytes: int) -> None:
        """As shards with their index."""
        tensors = Tensors(self, {name: name for name in self.tensors}, {n: s.dtype for n, s in self.tensors.items()})
        groups: list[list[str]] = [[]]
        for name in self.tensors:
            if groups[-1] and sum(map(tensors.size, [*groups[-1], name])) > shard_bytes:
                groups.append([])
            groups[-1].append(name)
        where: dict[str, str] = {}
        for number, names in enumerate(groups):
            file = f"NAVA-{number}.safetensors"
            write_safetensors(folder / file, tensors, names)
            where |= dict.fromkeys(names, file)
        (folder / "NAVA.safetensors.index.json").write_text(json.dumps({"weight_map": where}), encoding="utf-8")


def anonymous_bytes() -> int:
    """What this process holds besides mapped files (Linux)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


@contextmanager
def measured(into: dict[str, Any], what: str) -> Iterator[None]:
    """Seconds and the peak of anonymous memory, looked at twenty times a second."""
    done, peak = threading.Event(), [0]

    def watch() -> None:
        while not done.is_set():
            peak[0] = max(peak[0], anonymous_bytes())
            done.wait(0.05)

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.monotonic()
    try:
        yield
    finally:
        done.set()
        watcher.join()
        into[what] = {"seconds": round(time.monotonic() - began, 1), "anonymous_mb": round(peak[0] / 1e6)}


def check_space(place: Path, weights: RandomWeights, source: torch.dtype, dtype: torch.dtype) -> None:
    """Raises VivaceError where the disk has no room for two copies at a time and the small parts."""
    needed = weights.count() * (dtype.itemsize + max(source.itemsize, dtype.itemsize)) + _PARTS_BYTES
    free = shutil.disk_usage(place).free
    if free < needed:
        raise VivaceError(
            f"Folder {str(place)!r} needs {needed / 1e9:.1f} GB and its disk has {free / 1e9:.1f} GB free; "
            "choose another folder or a smaller size."
        )


def bytes_in(place: Path) -> int:
    """Of all files in a folder, or of one."""
    return sum(file.stat().st_size for file in (place, *place.rglob("*")) if file.is_file())


def same_bytes(one: Tensor, other: Tensor) -> bool:
    """Equal in type, shape and every bit."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    # As integers, since neither not-a-number nor the two zeros compare as their bits do.
    return torch.equal(*(x.contiguous().view(torch.uint8) for x in (one, other)))


def as_kept(tensor: torch.Tensor, dtype: str) -> list[torch.Tensor]:
    """What a folder may hold of a tensor: rounded to fp8 only the blocks' matrices, everything else to bf16."""
    return [tensor.to(torch.bfloat16), tensor.to(DTYPES[dtype])] if dtype == "fp8_e4m3" else [tensor.to(DTYPES[dtype])]


def round_trip(place: Path, size: str, source: str, dtype: str, shard_bytes: int) -> dict[str, Any]:
    """Both ways, and how many tensors came back as they were stored; what is written last is left in `place`.

    Raises:
        VivaceError: the disk has no room for it.
    """
    weights = RandomWeights(size, DTYPES[source])
    (place / "source").mkdir(parents=True)
    check_space(place, weights, DTYPES[source], DTYPES[dtype])
    found: dict[str, Any] = {"size": size, "source": source, "dtype": dtype, "shard_bytes": shard_bytes}
    found |= {"tensors": len(weights.tensors), "threads": torch.get_num_threads(), "torch": torch.__version__}
    found |= {"machine": platform.processor() or platform.machine(), "date": time.strftime("%Y-%m-%d")}
    weights.write(place / "source", shard_bytes)
    found |= {"source_bytes": bytes_in(place / "source"), "before_mb": round(anonymous_bytes() / 1e6)}
    nano = shipped_models()["nano-nava"]
    with measured(found, "convert"):
        parts = {name: nano / name for name in PARTS}
        done = convert_nava(place / "source", parts, place / "model", dtype=dtype, shard_bytes=shard_bytes)
    shutil.rmtree(place / "source")
    found |= {"parameters": done.parameters, "files": len(done.files), "folder_bytes": bytes_in(place / "model")}
    with measured(found, "restore"):
        # No official file has fp8: what was rounded to it comes back in bf16.
        restore_nava(place / "model", place / "again.safetensors", dtype="bf16" if dtype == "fp8_e4m3" else None)
    again = open_weights(place / "again.safetensors")
    found |= {"restored_bytes": bytes_in(place / "again.safetensors")}
    found["names_are_back"] = again.tensors.keys() == weights.tensors.keys()
    found["tensors_back"] = sum(
        any(
            same_bytes(again.read(name), kept.to(again.tensors[name].dtype))
            for kept in as_kept(weights.read(name), dtype)
        )
        for name in again.tensors
    )
    return found


def row(found: dict[str, Any]) -> str:
    """The figures as a row of a table: size, types, source, folder, and of either way seconds and memory."""
    cells = [found["size"], f"{found['source']} to {found['dtype']}"]
    cells += [f"{found[name] / 1e9:.1f} GB" for name in ("source_bytes", "folder_bytes")]
    for way in ("convert", "restore"):
        cells += [f"{found[way]['seconds']:.0f} s", f"{found[way]['anonymous_mb']} MB"]
    cells.append(f"{found['tensors_back']} of {found['tensors']}")
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", choices=PUBLISHED, default="6b")
    parser.add_argument("--source", choices=("fp32", "bf16"), default="bf16")
    parser.add_argument("--dtype", choices=DTYPES, default="bf16")
    parser.add_argument("--shard-gb", type=float, default=5.0)
    parser.add_argument("--output", type=Path, help="also write the figures here, as JSON")
    arguments = parser.parse_args()
    place = arguments.folder / "vivace-conversion"
    try:
        found = round_trip(place, arguments.size, arguments.source, arguments.dtype, int(arguments.shard_gb * 1e9))
    except VivaceError as error:
        parser.exit(2, f"{error}\n")
    finally:
        shutil.rmtree(place, ignore_errors=True)
    if arguments.output is not None:
        arguments.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(row(found))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
