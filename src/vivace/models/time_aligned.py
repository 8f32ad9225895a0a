"""How two streams of tokens with clocks of their own read each other by physical time (Alive's TA-CrossAttn)."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vivace.models.alive_time import Time
from vivace.models.attention import Attention
from vivace.models.layers import AffineLayerNorm, Modulation, RMSNorm
from vivace.models.rotary import rotate
from vivace.pair import AV


class TimeAlignedCrossAttention(nn.Module):
    """One stream reads the other; only physical time tells where (TA-CrossAttn with UniTemp-RoPE).

    Args:
        dim, context_dim: widths of the stream that reads and of the one that is read.
        inner: width of the attention between them.
    """

    def __init__(self, dim: int, context_dim: int, inner: int, heads: int, eps: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.norm_context = AffineLayerNorm(dim, eps=eps), AffineLayerNorm(context_dim, eps=eps)
        self.q = nn.Linear(dim, inner)
        self.k, self.v = nn.Linear(context_dim, inner), nn.Linear(context_dim, inner)
        self.norm_q, self.norm_k = RMSNorm(inner // heads, eps), RMSNorm(inner // heads, eps)
        self.attend = Attention()
        self.mlp = nn.Sequential(nn.Linear(inner, inner), nn.GELU(approximate="tanh"), nn.Linear(inner, dim))

    def forward(self, x: Tensor, context: Tensor, rotation: Tensor, context_rotation: Tensor) -> Tensor:
        """[batch, tokens, dim]: what x finds in the context [batch, other tokens, context_dim]."""
        context = self.norm_context(context)
        query, key, value = (
            layer(y).unflatten(-1, (self.heads, -1))
            for layer, y in ((self.q, self.norm(x)), (self.k, context), (self.v, context))
        )
        query, key = rotate(self.norm_q(query), rotation), rotate(self.norm_k(key), context_rotation)
        return self.mlp(self.attend(query, key, value).flatten(2))


class Adjust(nn.Module):
    """x + gate * (LayerNorm(update) * (1 + scale) + shift); the last layers are zeros at first, so x stays.

    Scale and shift follow the timestep of the stream that reads, the gate that of the one that is read.
    """

    def __init__(self, dim: int, context_dim: int, rank: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.shape_in, self.shape_out = nn.Linear(dim, rank), nn.Linear(rank, 2 * dim)
        self.gate_in, self.gate_out = nn.Linear(context_dim, rank), nn.Linear(rank, dim)

    def forward(self, x: Tensor, update: Tensor, time: Time, context_time: Tensor) -> Tensor:
        """x and update [batch, tokens, dim]; context_time [batch, context_dim]."""
        shape = self.shape_out(self.shape_in(F.silu(time.embedding))).unflatten(-1, (2, -1))
        gate = self.gate_out(self.gate_in(F.silu(context_time))).unsqueeze(1)
        return torch.addcmul(x, Modulation(shape, time.index).apply(update, 0, 1, self.eps), gate)


class Fusion(nn.Module):
    """Both streams read each other as they were before, and take on what they found (Multi-Modal Fusion)."""

    def __init__(self, dims: AV[int], inner: int, heads: int, rank: int, eps: float) -> None:
        super().__init__()
        video, audio = cast(int, dims.video), cast(int, dims.audio)
        self.hear = TimeAlignedCrossAttention(video, audio, inner, heads, eps)
        self.see = TimeAlignedCrossAttention(audio, video, inner, heads, eps)
        self.adjust_video, self.adjust_audio = Adjust(video, audio, rank, eps), Adjust(audio, video, rank, eps)

    def forward(
        self, video: Tensor, audio: Tensor, clocks: tuple[Tensor, Tensor], times: tuple[Time, Time], now: AV[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Tokens of each stream to the same.

        Args:
            clocks: rotations by physical time, of video and audio tokens.
            times: of video and audio tokens. now: embedded timestep [batch, dim] at which each side is generated.
        """
        heard = self.hear(video, audio, clocks[0], clocks[1])
        seen = self.see(audio, video, clocks[1], clocks[0])
        return (
            self.adjust_video(video, heard, times[0], cast(Tensor, now.audio)),
            self.adjust_audio(audio, seen, times[1], cast(Tensor, now.video)),
        )
