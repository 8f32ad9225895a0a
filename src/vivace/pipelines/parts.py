"""The parts of a model as its folder describes them, before a weight is read."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vivace.pipelines.folder import read_index
from vivace.pipelines.weights_files import class_of, shapes_in

# Those that hold weights, in the order of their use.
PARTS = ("speaker_encoder", "text_encoder", "transformer", "vae", "audio_vae", "vocoder")
_DEPTHS = ("num_double_layers", "num_dual_layers", "num_single_layers", "num_double_final_layers", "num_audio_layers")


@dataclass(frozen=True)
class Part:
    """One component.

    library, kind: of its class. config: the class's arguments. tensors: values of each weight by its name.
    stored: bytes of its files.
    """

    library: str
    kind: str
    config: dict[str, Any]
    tensors: dict[str, int]
    stored: int

    @property
    def values(self) -> int:
        return sum(self.tensors.values())


def parts_in(folder: Path) -> dict[str, Part]:
    """The parts of a checked model folder, from its configurations and the headers of its weights.

    Raises:
        VivaceError: no model folder.
    """
    parts: dict[str, Part] = {}
    for name, entry in read_index(folder).items():
        if name in PARTS and isinstance(entry, list) and all(isinstance(word, str) for word in entry):
            config = json.loads((folder / name / "config.json").read_text(encoding="utf-8"))
            tensors: dict[str, int] = {}
            files = sorted((folder / name).glob("*.safetensors"))
            for path in files:
                tensors |= {key: math.prod(shape) for key, shape in shapes_in(path).items()}
            parts[name] = Part(entry[0], entry[1], config, tensors, sum(path.stat().st_size for path in files))
    return parts


def parts_of(pipeline: Any) -> dict[str, Part]:
    """The parts of a pipeline in memory."""
    parts: dict[str, Part] = {}
    for name in PARTS:
        module = getattr(pipeline, name, None)
        if module is not None:
            kind = type(module)
            config = module.config.to_dict() if hasattr(module.config, "to_dict") else dict(module.config)
            # Weights that are tied have two names and one memory.
            storages = {tensor.untyped_storage()._cdata: (key, tensor) for key, tensor in module.state_dict().items()}
            tensors = {key: tensor.numel() for key, tensor in storages.values()}
            parts[name] = Part(kind.__module__.split(".")[0], kind.__name__, config, tensors, 0)
    return parts


def depth(part: Part) -> dict[str, int]:
    """How many blocks of each kind a transformer has."""
    return {name: int(part.config.get(name, 0)) for name in _DEPTHS}


def shallow(name: str, part: Part) -> Any:
    """The part with at most one block of each kind, in the present default dtype and device.

    Blocks of one kind need the same memory one after another, so that one of them tells what all need.

    Raises:
        VivaceError: a class that does not exist here.
    """
    kind = class_of(name, part.library, part.kind)
    config = {key: value for key, value in part.config.items() if not key.startswith("_")}
    if part.library == "transformers":
        return kind(kind.config_class.from_dict({**config, "num_layers": min(1, config.get("num_layers", 1))}))
    if name == "transformer":
        config |= {key: min(1, number) for key, number in depth(part).items() if key in config}
        config |= {"audio_per_stage": None} if "audio_per_stage" in config else {}  # told of all stages
    return kind.from_config(config)
