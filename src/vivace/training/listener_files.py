"""Writing the small networks of `perception` with the record of their training."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from diffusers import ModelMixin
from torch import nn

from vivace.training.checkpoint import latest_checkpoint, load_weights

RECORD = ("recipe.json", "metrics.jsonl")


def save_listener(model: ModelMixin, name: str, run: Path, output: Path | None) -> None:
    """The averaged weights of the newest checkpoint in bfloat16 to `run/export`; with the record also to `output`."""
    checkpoint = latest_checkpoint(run / "checkpoints")
    assert checkpoint is not None
    model.load_state_dict(load_weights(checkpoint, name, ema=True))
    folder = run / "export"
    nn.Module.to(model.eval(), torch.bfloat16).save_pretrained(folder)
    for path in folder.glob("*.safetensors"):
        path.chmod(0o644)  # safetensors makes files that only their owner may read
    if output is None:
        return
    output.mkdir(parents=True, exist_ok=True)
    for path in (*folder.iterdir(), *(run / part for part in RECORD)):
        if path.is_file():
            shutil.copyfile(path, output / path.name)
