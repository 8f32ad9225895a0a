"""Writing a network in the layout of diffusers, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import ModelMixin
from torch import nn

from vivace.media.atomic import replacing_folder


def save_network(network: ModelMixin, folder: Path) -> None:
    """Write a network in bfloat16 to a folder, in place of what is there; it is then in bfloat16 itself.

    Raises:
        VivaceError: the folder cannot be written, as on a full disk; what was there stays.
    """
    with replacing_folder(folder) as temporary:
        # diffusers' own `to` warns of parts to keep in float32; there are none.
        nn.Module.to(network.eval(), torch.bfloat16).save_pretrained(temporary)
        let_all_read(temporary)


def let_all_read(folder: Path) -> None:
    """safetensors makes files that only their owner may read."""
    for path in folder.rglob("*.safetensors"):
        path.chmod(0o644)
