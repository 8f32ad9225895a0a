"""Where Alive's towers meet: fusions in both directions, then the estimated clean sound for the picture alone."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from vivace.models.layers import AffineLayerNorm
from vivace.models.rotary import Grid, time_rotation
from vivace.models.time_aligned import Fusion, TimeAlignedCrossAttention
from vivace.pair import AV

# Rotations of video and of audio tokens by physical time.
Clocks = tuple[Tensor, Tensor]


class Exchange(nn.Module):
    """All that joins the towers: two-way fusions, then one-way reading of the estimated clean sound."""

    def __init__(self, config: Any, eps: float) -> None:
        super().__init__()
        inner, heads = config.exchange_dim, config.exchange_heads
        dims = AV(config.dim, config.audio_dim)
        self.fusions = nn.ModuleList(
            Fusion(dims, inner, heads, config.adjust_rank, eps) for _ in range(config.num_dual_layers)
        )
        self.estimate_embedding = nn.Linear(config.audio_channels, inner)
        self.estimate_norm = AffineLayerNorm(inner, eps=eps)
        self.hear = nn.ModuleList(
            TimeAlignedCrossAttention(config.dim, inner, inner, heads, eps) for _ in range(config.num_single_layers)
        )

    def embedded(self, clean: Tensor) -> Tensor:
        """Clean audio latents [batch, tokens, channels] as single-stream blocks read them, [batch, tokens, inner]."""
        return self.estimate_norm(self.estimate_embedding(clean.to(self.estimate_embedding.weight.dtype)))


def clocks(config: Any, times: AV[Tensor], grid: Grid, device: torch.device) -> Clocks:
    """Rotations of video and audio tokens by the seconds at which they are (UniTemp-RoPE).

    Args:
        config: of a transformer with an exchange.
        times: seconds of each latent frame [T] and audio token [L].
        grid: of the video tokens, all those of a frame having its time.
    """
    width = config.exchange_dim // config.exchange_heads

    def turned(seconds: Tensor) -> Tensor:
        return time_rotation(seconds.double() * config.time_rate, width, config.time_theta).to(device)

    return turned(cast(Tensor, times.video).repeat_interleave(grid[1] * grid[2])), turned(cast(Tensor, times.audio))
