"""Beginning a training with weights of another: of the same model, or of one that only knows pictures.

NAVA starts from a video model: what sound shares with the picture is taken on, what only sound uses begins fresh.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from vivace.errors import VivaceError
from vivace.models.nava import NavaTransformer
from vivace.pipelines.checksums import check_part
from vivace.training.checkpoint import latest_checkpoint, load_weights

# Ours and not the release's: a model without them can be gone on with.
ADDITIONS = ("place_embedding.", "skips.")


def is_audio_only(name: str) -> bool:
    """Whether a parameter of the transformer takes no part where there is no sound."""
    return name.startswith(("audio_embedding.", "audio_head.", "speaker_embedding.")) or ".audio." in name


def video_part(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A transformer's weights without those that only sound uses: a video model cut out of a joint one."""
    return {name: value for name, value in state.items() if not is_audio_only(name)}


def start_from(folder: Path, name: str, module: nn.Module, anew: Sequence[str] = ()) -> None:
    """Give a module the weights of the same part of a model folder, or the averaged ones of a run.

    Of a transformer's weights those that only sound (or only voices) use may be missing, and so may those that tell
    tokens their places or what a Gaussian would answer; they stay as initialised.

    Args:
        anew: parameters whose names contain one of these stay as initialised too.

    Raises:
        VivaceError: no weights, others missing, unknown ones, or some of another shape; an `anew` that names nothing.
    """
    own = module.state_dict()
    for part in anew:
        if not any(part in key for key in own):
            raise VivaceError(f"start_anew names {part!r}, which no parameter of the {name} is called by; correct it.")
    try:
        state = {key: value for key, value in _weights(folder, name, module).items() if not _named(key, anew)}
        fresh = {
            key: value
            for key, value in own.items()
            if _named(key, anew)
            or (isinstance(module, NavaTransformer) and (is_audio_only(key) or key.startswith(ADDITIONS)))
        }
        module.load_state_dict({**fresh, **state})
    except VivaceError:
        raise
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise VivaceError(f"start_from {str(folder)!r} does not fit: {name}: {reason}; correct it.") from None


def _named(key: str, parts: Sequence[str]) -> bool:
    return any(part in key for part in parts)


def _weights(folder: Path, name: str, module: nn.Module) -> dict[str, Tensor]:
    checkpoint = latest_checkpoint(folder / "checkpoints")
    if checkpoint is not None:
        return load_weights(checkpoint, name, ema=True)
    check_part(folder / name)
    if isinstance(module, NavaTransformer):
        files = sorted((folder / name).glob("*.safetensors"))
        if not files:
            raise OSError(f"{folder / name} holds no weights")
        return {key: value.float() for file in files for key, value in load_file(file).items()}
    kind: Any = type(module)
    found: nn.Module = kind.from_pretrained(folder / name, torch_dtype=torch.float32)
    return dict(found.state_dict())
