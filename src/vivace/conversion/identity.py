"""Which weights are these? One number for NAVA's transformer, whatever file or type it is stored in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vivace.conversion.nava import open_transformer
from vivace.conversion.parts import transformer_part
from vivace.conversion.writing import Tensors
from vivace.data.fingerprint import streamed_hash
from vivace.models.nava_names import official_names
from vivace.models.nava_sizes import nearest_size


@dataclass(frozen=True)
class Identity:
    """Of a transformer: its fingerprint, its numbers of parameters and tensors, and the published size it has."""

    sha256: str
    parameters: int
    tensors: int
    size: str | None


def identify(path: Path, config: Path | None = None) -> Identity:
    """Fingerprint the transformer in an official file or in a model folder, without loading it.

    It is `weights_hash` of the transformer: the same for the official float32 file, a bfloat16 folder made from it and
    the model in memory, since each is rounded to bfloat16 first (fp8 storage, which is narrower, has its own).

    Args:
        config: the program's json, for a file of no published size.

    Raises:
        VivaceError: no NAVA transformer there, or one that is damaged.
    """
    if path.is_dir():
        source, model = open_transformer(path)
        tensors = Tensors(source, {name: name for name in source.tensors}, {})
        size, share = nearest_size(official_names(model.config).values())
    else:
        part = transformer_part(path, "fp32", config)
        assert part.tensors is not None
        tensors = part.tensors
        size, share = nearest_size(tensors.source.tensors)
    names = sorted(tensors.names)
    digest = streamed_hash((name, tensors.shape(name), tensors.pieces(name)) for name in names)
    return Identity(digest, sum(tensors.count(name) for name in names), len(names), size if share == 1 else None)
