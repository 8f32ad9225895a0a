"""The hash by which a transformer knows the codecs and the text encoder that it was trained with."""

from __future__ import annotations

import hashlib

import torch
from torch import nn


def weights_hash(module: nn.Module) -> str:
    """SHA-256 over the names, shapes and bfloat16 bytes of all weights and saved buffers, as 64 hex digits.

    Weights are taken in bfloat16, the type in which they are shipped, so that a module has the same hash whether it is
    held in float32 or bfloat16 (rounding twice is rounding once).
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        rounded = tensor.detach().cpu().to(torch.bfloat16) if tensor.is_floating_point() else tensor.detach().cpu()
        digest.update(rounded.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
