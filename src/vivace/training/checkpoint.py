"""Checkpoints of a training run: safetensors and JSON in one folder, complete or absent.

A checkpoint is written beside its place and renamed into it, so a killed run finds only whole ones; what the kill left
is swept when the run is opened again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vivace.errors import VivaceError
from vivace.media.atomic import replacing_folder
from vivace.plain_json import read_object

# Files under 16 MB travel where large ones do not (version control, object stores with small parts).
PART_BYTES = 15_000_000
_REMEDY = "remove it, so that the run goes on from the one before"


def _flatten_optimizer(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Optimizer state as named tensors and the plain values beside them."""
    tensors: dict[str, Tensor] = {}
    values: dict[str, Any] = {}
    for index, state in optimizer.state_dict()["state"].items():
        for key, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"{index}.{key}"] = value.detach().contiguous()
            else:
                values[f"{index}.{key}"] = value
    return tensors, values


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
    state: dict[int, dict[str, Any]] = {}
    for name, value in {**tensors, **values}.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    # The parameter groups keep their present settings: the schedule sets the rate at each step.
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _save_tensors(tensors: dict[str, Tensor], folder: Path, name: str) -> None:
    """`name.safetensors`, or numbered parts of at most `PART_BYTES` (a larger tensor has a part of its own)."""
    parts: list[dict[str, Tensor]] = [{}]
    filled = 0
    for key, value in tensors.items():
        size = value.numel() * value.element_size()
        if parts[-1] and filled + size > PART_BYTES:
            parts.append({})
            filled = 0
        # Cloned, because tied weights (the text encoder's embedding) share storage, which safetensors refuses.
        parts[-1][key] = value.detach().clone().contiguous()
        filled += size
    for number, part in enumerate(parts):
        save_file(part, folder / (f"{name}.safetensors" if len(parts) == 1 else f"{name}-{number:04d}.safetensors"))


def _load_tensors(folder: Path, name: str) -> dict[str, Tensor]:
    files = [*folder.glob(f"{name}.safetensors"), *sorted(folder.glob(f"{name}-[0-9][0-9][0-9][0-9].safetensors"))]
    if not files:
        raise VivaceError(f"The checkpoint {folder} holds no {name}; train the unit that makes it first.")
    try:
        return {key: value for file in files for key, value in load_file(file).items()}
    except (OSError, SafetensorError) as error:
        raise VivaceError(f"The checkpoint {folder} is damaged ({name}: {error}); {_REMEDY}.") from None


def save_checkpoint(
    folder: Path,
    step: int,
    modules: dict[str, nn.Module],
    ema: dict[str, dict[str, Tensor]],
    optimizers: dict[str, torch.optim.Optimizer],
    *,
    keep: int = 2,
    lasting: Callable[[int], bool] = lambda step: False,
) -> Path:
    """Write `folder/step-XXXXXXXX`; of the others the newest `keep` stay, and those of `lasting` steps.

    Raises:
        VivaceError: it cannot be written, as on a full disk; nothing is left of it, and the others stay.
    """
    target = folder / f"step-{step:08d}"
    state: dict[str, Any] = {"format": 1, "step": step, "optimizers": {}}
    with replacing_folder(target) as temporary:
        for name, module in modules.items():
            _save_tensors(module.state_dict(), temporary, name)
        for name, shadow in ema.items():
            _save_tensors(shadow, temporary, f"{name}.ema")
        for name, optimizer in optimizers.items():
            tensors, values = _flatten_optimizer(optimizer)
            _save_tensors(tensors, temporary, f"optimizer.{name}")
            state["optimizers"][name] = values
        (temporary / "state.json").write_text(json.dumps(state))
    for old in sorted(folder.glob("step-*"))[:-keep]:
        if not lasting(int(old.name.removeprefix("step-"))):
            shutil.rmtree(old)
    return target


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint under `folder`."""
    found = sorted(path.parent for path in folder.glob("step-*/state.json"))
    return found[-1] if found else None


def load_weights(checkpoint: Path, name: str, *, ema: bool) -> dict[str, Tensor]:
    """One module's state dict out of a checkpoint.

    Raises:
        VivaceError: the checkpoint holds no such module, or is damaged.
    """
    return _load_tensors(checkpoint, f"{name}.ema" if ema else name)


def restore_checkpoint(
    checkpoint: Path,
    modules: dict[str, nn.Module],
    ema: dict[str, dict[str, Tensor]],
    optimizers: dict[str, torch.optim.Optimizer],
) -> int:
    """Put modules, averages and optimizers back in place; returns the step that comes next.

    Raises:
        VivaceError: the checkpoint lacks a part, is damaged, or is one of other modules.
    """
    state = read_object(checkpoint / "state.json", _REMEDY, what="State of a checkpoint")
    try:
        step = int(state["step"])
        for name, module in modules.items():
            module.load_state_dict(load_weights(checkpoint, name, ema=False))
        for name, shadow in ema.items():
            for key, value in load_weights(checkpoint, name, ema=True).items():
                shadow[key].copy_(value)
        for name, optimizer in optimizers.items():
            tensors = _load_tensors(checkpoint, f"optimizer.{name}")
            _restore_optimizer(optimizer, tensors, state["optimizers"][name])
    except VivaceError:
        raise
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise VivaceError(
            f"The checkpoint {checkpoint} does not fit what is trained ({reason}); undo the recipe's changes, or "
            f"{_REMEDY}."
        ) from None
    return step
