"""The hash by which a transformer knows the codecs and the text encoder that it was trained with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor, nn

STATISTICS = ("latents_mean", "latents_std")
# Names of a codec's weights that decide nothing of what a latent means.
DECODING = ("decoder.", "post_quant_conv.")


def weights_hash(module: nn.Module) -> str:
    """SHA-256 over the names, shapes and bfloat16 bytes of all weights and saved buffers, as 64 hex digits.

    The latent statistics that some codecs keep in their configuration count as buffers, since they decide what a latent
    means. A codec's decoder does not count: it may be trained on, and every model of its latents uses the better one.

    Weights are taken in bfloat16, the type in which they are shipped, so that a module has the same hash whether it is
    held in float32 or bfloat16 (rounding twice is rounding once).
    """
    config = getattr(module, "config", {})
    statistics = {name: torch.tensor(config[name]) for name in STATISTICS if name in config}
    weights = {name: value for name, value in module.state_dict().items() if not name.startswith(DECODING)}
    state = statistics | weights
    return streamed_hash((name, tuple(tensor.shape), (tensor.detach(),)) for name, tensor in sorted(state.items()))


def streamed_hash(tensors: Iterable[tuple[str, tuple[int, ...], Iterable[Tensor]]]) -> str:
    """The same of tensors that come one by one in the order of their names, each with its shape and in pieces."""
    digest = hashlib.sha256()
    for name, shape, pieces in tensors:
        digest.update(f"{name}{shape}".encode())
        for piece in pieces:
            rounded = piece.cpu().to(torch.bfloat16) if piece.is_floating_point() else piece.cpu()
            digest.update(rounded.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
