"""Weights files of a model folder: what their headers say, and whether it is what the component's class needs.

Libraries that load them fill some gaps with random values and fail on others late and obscurely; so that everything is
compared before, without reading a value: a class is built of its configuration on torch's device without memory.
"""

from __future__ import annotations

import importlib
import json
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from vivace.errors import VivaceError

_LISTED = 3  # names of tensors that a message holds of each kind
_LONGEST = 100  # characters of such a name
# What a model folder may name a class of. Anything else would be imported, and so run, because a file says so.
_LIBRARIES = ("vivace", "diffusers", "transformers")


@dataclass(frozen=True)
class _Needed:
    """What a class of some configuration stores.

    Args:
        shapes: of each tensor by its name. groups: names of one and the same tensor, of which one is enough.
        spare: patterns of names that may be missing. ignored: of others that may be there.
    """

    shapes: Mapping[str, tuple[int, ...]]
    groups: tuple[tuple[str, ...], ...]
    spare: tuple[str, ...]
    ignored: tuple[str, ...]


def shapes_in(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor in a safetensors file, by its header, which also says how long the file is.

    Raises:
        VivaceError: a file that was truncated or overwritten.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > size - 8:
                raise ValueError("header longer than the file")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
        if size != 8 + length + end:
            raise ValueError("file of another length than its header says")
        return {name: tuple(int(side) for side in entry["shape"]) for name, entry in header.items()}
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError, struct.error):
        raise VivaceError(
            f"Weights {str(path)!r} are damaged or cut short; copy or download the model folder again."
        ) from None


def class_of(name: str, library: str, kind: str) -> Any:
    """The class that a folder names by its library, or by one of diffusers' own pipelines (LTX-2's vocoder).

    Raises:
        VivaceError: a class that does not exist here, or one of another library.
    """
    module = library if library in _LIBRARIES else f"diffusers.pipelines.{library}"
    try:
        found = getattr(importlib.import_module(module), kind)
    except (ImportError, AttributeError, ValueError, TypeError):  # the last two: what is no name of a module
        found = None
    if isinstance(found, type):
        return found
    raise VivaceError(
        f"The model's {name} is a {library}.{kind}, which this installation lacks (it takes classes of "
        f"{', '.join(_LIBRARIES)} only); update it, or give another model."
    )


def check_fit(part: Path, library: str, kind: str) -> None:
    """A component's files hold exactly the tensors of its class and configuration, in their shapes.

    Args:
        part: its folder, whose configuration and weights can be read.

    Raises:
        VivaceError: some are missing, unexpected or of another shape, or there is no such class or configuration.
    """
    needed = _needed(part, library, kind, (part / "config.json").read_text(encoding="utf-8"))
    where, stored = _stored(part, library)
    absent = [group[0] for group in needed.groups if stored.keys().isdisjoint(group)]
    strange = [name for name in stored if name not in needed.shapes]
    found = {
        "missing": [repr(name) for name in absent if not _like(name, needed.spare)],
        "unexpected": [repr(name[:_LONGEST]) for name in strange if not _like(name, needed.ignored)],
        "of another shape": [
            f"{name!r} {list(stored[name])} instead of {list(shape)}"
            for name, shape in needed.shapes.items()
            if stored.get(name, shape) != shape
        ],
    }
    if any(found.values()):
        raise VivaceError(
            f"Weights {str(where)!r} do not fit the {kind} that config.json beside them describes: "
            f"{counted(found, _LISTED)}; convert or download the model folder again."
        )


def _stored(part: Path, library: str) -> tuple[Path, dict[str, tuple[int, ...]]]:
    """Where the weights are that the library will read, and the shapes of the tensors that they hold."""
    stem = "model" if library == "transformers" else "diffusion_pytorch_model"
    one, index = part / f"{stem}.safetensors", part / f"{stem}.safetensors.index.json"
    # Where both are, transformers takes the single file and diffusers the shards.
    if index.is_file() and not (library == "transformers" and one.is_file()):
        listed = json.loads(index.read_text(encoding="utf-8")).get("weight_map")
        names = {str(shard) for shard in listed.values()} if isinstance(listed, dict) else set()
        return part, _merged(part / name for name in sorted(names))
    if one.is_file():
        return one, shapes_in(one)
    return part, _merged(part.glob("*.safetensors"))  # of names that loading can be told (`variant`)


def _merged(files: Iterable[Path]) -> dict[str, tuple[int, ...]]:
    return {name: shape for path in files for name, shape in shapes_in(path).items()}


def _needed(part: Path, library: str, kind: str, text: str) -> _Needed:
    network = class_of(part.name, library, kind)
    try:
        return _built(network, library, text)
    except VivaceError as error:  # says what to do about it
        raise VivaceError(f"The configuration in {str(part)!r} makes no {kind}: {error}") from None
    except Exception as error:  # Configurations that somebody else wrote fail in as many ways as there are classes.
        reason = str(error).strip().split("\n")[0][:200]
        raise VivaceError(
            f"The configuration in {str(part)!r} makes no {kind} ({reason}); copy or download the model folder again."
        ) from None


@lru_cache(maxsize=32)  # a folder is checked whenever it is named, several times for one clip
def _built(network: Any, library: str, text: str) -> _Needed:
    import torch

    config = {key: value for key, value in json.loads(text).items() if not key.startswith("_")}
    with torch.device("meta"):
        if library == "transformers":
            model = network(network.config_class.from_dict(config))
        else:
            model = network.from_config(config)
    state = model.state_dict(keep_vars=True)  # as they are, so that what is tied is one object
    groups: dict[int, list[str]] = {}
    for key, tensor in state.items():
        groups.setdefault(id(tensor), []).append(key)
    return _Needed(
        shapes={key: tuple(tensor.shape) for key, tensor in state.items()},
        groups=tuple(tuple(keys) for keys in groups.values()),
        spare=tuple(getattr(model, "_keys_to_ignore_on_load_missing", None) or ()),
        ignored=tuple(getattr(model, "_keys_to_ignore_on_load_unexpected", None) or ()),
    )


def _like(name: str, patterns: Iterable[str]) -> bool:
    return any(re.search(pattern, name) for pattern in patterns)


def counted(found: Mapping[str, Sequence[str]], listed: int) -> str:
    """How many tensors are of each kind, and the names of the first ones: "1 tensor missing (head.weight)"."""
    return ", ".join(
        f"{len(names)} {'tensor' if len(names) == 1 else 'tensors'} {kind} ({_some(names, listed)})"
        for kind, names in found.items()
        if names
    )


def _some(names: Sequence[str], listed: int) -> str:
    more = len(names) - listed
    return ", ".join(names[:listed]) + (f" and {more} more" if more > 0 else "")
