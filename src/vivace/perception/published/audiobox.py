"""Audiobox Aesthetics: CE, CU, PC and PQ of a sound, 1 to 10."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vivace.errors import VivaceError
from vivace.models.audiobox import AXES, AudioboxAesthetics, own_name
from vivace.models.wavlm import frozen
from vivace.perception.published.placing import Placed, inference
from vivace.perception.published.resampling import mono_at
from vivace.perception.published.weights import load_strictly, read_tensors

RATE = 16000
WINDOW = 10 * RATE
_WRAPPED = "encoder."  # before every name where the publisher's later class, which holds the network, wrote the file


class Audiobox(Placed):
    """The network with the weights of a folder that holds config.json and model.safetensors.

    Args:
        path: folder. encoder: configuration of WavLM; None for the published one.

    Raises:
        VivaceError: a folder that cannot be read or of another network.
    """

    def __init__(self, path: Path, encoder: Any = None) -> None:
        config = _config(path / "config.json")
        heads = {name: config[name] for name in ("proj_num_layer", "proj_ln", "normalize_embed") if name in config}
        if config.get("proj_act_fn", "gelu") != "gelu" or not config.get("use_weighted_layer_sum", True):
            raise VivaceError(
                f"{str(path / 'config.json')!r} asks for another form of the network than the published one; give the "
                "public file."
            )
        model = AudioboxAesthetics(encoder, **heads)
        tensors = read_tensors(path / "model.safetensors")
        if all(name.startswith(_WRAPPED) for name in tensors):
            tensors = {name.removeprefix(_WRAPPED): tensor for name, tensor in tensors.items()}
        load_strictly(model, tensors, own_name, path)
        self.model: Any = frozen(model)
        scale = config.get("target_transform")
        if not isinstance(scale, dict) or set(AXES) - scale.keys():
            raise VivaceError(
                f"{str(path / 'config.json')!r} lacks target_transform for its axes; give the public file."
            )
        self.scale = {axis: (float(scale[axis]["mean"]), float(scale[axis]["std"])) for axis in AXES}

    @inference()
    def __call__(self, audio: np.ndarray, sample_rate: int) -> dict[str, float]:
        """The four judgements of a sound [C, N]: the mean over windows of ten seconds, weighted by their length."""
        sound = mono_at(audio, sample_rate, RATE)
        starts = range(0, len(sound), WINDOW)
        totals, lengths = dict.fromkeys(AXES, 0.0), 0
        for start in starts:
            part = sound[start : start + WINDOW]
            padded = torch.from_numpy(np.pad(part, (0, WINDOW - len(part))))[None]
            mask = (torch.arange(WINDOW) < len(part))[None]
            for axis, value in self.model(padded.to(self.device), mask.to(self.device)).items():
                mean, deviation = self.scale[axis]
                totals[axis] += (float(value[0]) * deviation + mean) * len(part)
            lengths += len(part)
        return {axis: total / lengths for axis, total in totals.items()}


def _config(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise VivaceError(f"File {str(path)!r} cannot be read ({error}); give the publisher's folder.") from error
    if not isinstance(content, dict):
        raise VivaceError(f"File {str(path)!r} holds no settings; give the publisher's folder.")
    return content
