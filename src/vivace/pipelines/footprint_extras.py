"""What a clip takes beside its model and its tokens: the step cache, adapters, voices."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from vivace.errors import VivaceError
from vivace.pipelines.lora import linear_layers
from vivace.pipelines.lora_files import weights_of
from vivace.pipelines.lora_names import Shape, ranks_in
from vivace.pipelines.parts import Part

# What `BlockMemory` keeps of each token: what entered the blocks, what they added, and its slope.
_KEPT = 3


@dataclass(frozen=True)
class AdapterSize:
    """A LoRA as it will be held: every layer that it changes at the adapter's largest rank."""

    rank: int
    layers: Mapping[str, Shape]

    @property
    def values(self) -> int:
        return sum(map(self.values_of, self.layers))

    def values_of(self, layer: str) -> int:
        """Values of both factors."""
        return self.rank * sum(self.layers[layer])


def adapter_size(path: Path, part: Part) -> AdapterSize:
    """What a LoRA file, or PEFT's folder, would add to a transformer, told by the file's header.

    Tensors that fit no layer do not count; loading refuses them.

    Raises:
        VivaceError: no such file, or one that is not safetensors.
    """
    file = weights_of(path)
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(length))
        shapes = {str(name): list(entry["shape"]) for name, entry in header.items() if name != "__metadata__"}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, MemoryError, OverflowError, struct.error):
        raise VivaceError(f"LoRA {str(path)!r} is no .safetensors file that can be read; get it again.") from None
    layers = {name.removesuffix(".weight") for name in part.tensors if name.endswith(".weight")}
    found = ranks_in(shapes, layers, part.config)
    return AdapterSize(
        max((rank for rank, _ in found.values()), default=0), {n: shape for n, (_, shape) in found.items()}
    )


def with_adapters(parts: Mapping[str, Part], adapters: Sequence[AdapterSize]) -> dict[str, Part]:
    """The parts with the adapters' values, which stand and move with the layers that they change."""
    part = parts["transformer"]
    more = {
        f"{layer}.adapter-{number}": size.values_of(layer)
        for number, size in enumerate(adapters)
        for layer in size.layers
    }
    return {**parts, "transformer": replace(part, tensors={**part.tensors, **more})}


def inject(transformer: Any, adapters: Sequence[AdapterSize]) -> None:
    """Let the layers of a shallow transformer hold and compute what the adapters would add; made in the present default
    dtype and device.

    Ours: the same sums as PEFT's, because its own layers cannot be made of tensors without contents.
    """
    there = linear_layers(transformer)
    for size in adapters:
        for name in sorted({shallow_name(layer, there) for layer in size.layers} & there.keys()):
            layer, shape = transformer.get_submodule(name), there[name]
            down, up = nn.Linear(shape.width, size.rank, bias=False), nn.Linear(size.rank, shape.out, bias=False)
            layer.register_forward_hook(_added(down, up))
            layer.adapters = nn.ModuleList([*getattr(layer, "adapters", ()), down, up])


def _added(down: nn.Module, up: nn.Module) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
    def add(layer: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> Tensor:
        return out + up(down(args[0])) * 1.0

    return add


def shallow_name(layer: str, there: Mapping[str, Shape]) -> str:
    """The name of the same layer in a transformer with one block of each kind."""
    return layer if layer in there else re.sub(r"\.\d+(?=\.|$)", ".0", layer, count=1)


def cache_bytes(config: Any, grid: tuple[int, int, int] | None, audio_tokens: int | None, itemsize: int) -> int:
    """What the step cache keeps for one branch of one clip.

    Args:
        config: of the transformer. grid: latent frames, rows and columns.
    """
    places = 0 if grid is None else math.prod(-(-n // p) for n, p in zip(grid, config.patch_size, strict=True))
    widths = config.dim, config.get("audio_dim", config.dim)
    return _KEPT * (places * widths[0] + (audio_tokens or 0) * widths[1]) * itemsize
