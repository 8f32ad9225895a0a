"""What the streams of Alive's towers are made of: self-attention, feed-forward, texts, heads, learned positions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from vivace.models.alive_time import AdaptiveNorm, Time
from vivace.models.layers import RMSNorm
from vivace.models.rotary import Grid

# Order of the six vectors that modulate a block (first the self-attention, then the feed-forward).
SHIFT_1, SCALE_1, GATE_1, SHIFT_2, SCALE_2, GATE_2 = range(6)


class SelfAttentionLayers(nn.Module):
    """Projections of one stream's self-attention; queries and keys are normalised by head."""

    def __init__(self, dim: int, heads: int, eps: float) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim) for _ in range(4))
        self.norm_q, self.norm_k = RMSNorm(dim // heads, eps), RMSNorm(dim // heads, eps)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value, each [batch, tokens, heads, head_dim]."""
        query, key, value = (layer(x).unflatten(-1, (self.heads, -1)) for layer in (self.q, self.k, self.v))
        return self.norm_q(query), self.norm_k(key), value


def feed_forward(dim: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(approximate="tanh"), nn.Linear(4 * dim, dim))


class StreamLayers(nn.Module):
    """The layers that a stream of tokens has in a block."""

    def __init__(self, dim: int, heads: int, eps: float) -> None:
        super().__init__()
        self.modulation = AdaptiveNorm(dim, 6)
        self.self_attn = SelfAttentionLayers(dim, heads, eps)
        self.feed_forward = feed_forward(dim)


class TextEmbedding(nn.Module):
    """Features of one or more encoders to tokens, behind a learned first token that is there without any text too."""

    def __init__(self, text_dims: Sequence[int], dim: int) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.zeros(1, dim))
        self.linears = nn.ModuleList(nn.Linear(width, dim) for width in text_dims)

    def forward(self, texts: Sequence[Sequence[Tensor]]) -> tuple[Tensor, Tensor]:
        """Per encoder and sample [n, text_dim] to tokens [batch, words, dim] and which are words, bool."""
        dtype = self.first.dtype
        tokens = []
        for sample in zip(*texts, strict=True):
            parts = [layer(x.to(dtype)) for layer, x in zip(self.linears, sample, strict=True)]
            tokens.append(torch.cat([self.first.to(parts[0].dtype), *parts]))
        counts = [len(x) for x in tokens]
        lengths = torch.tensor(counts, device=self.first.device)
        shown = torch.arange(max(counts), device=self.first.device)[None] < lengths[:, None]
        return pad_sequence(tokens, batch_first=True), shown


class Head(nn.Module):
    """Modulated LayerNorm and a linear map to a token's latent values; zeros at first."""

    def __init__(self, dim: int, out: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.modulation = AdaptiveNorm(dim, 2)
        self.linear = nn.Linear(dim, out)

    def modulated(self, x: Tensor, time: Time) -> Tensor:
        """Tokens [batch, tokens, dim], normalised and modulated."""
        return self.modulation(time).apply(x, 0, 1, self.eps)

    def forward(self, x: Tensor, time: Time) -> Tensor:
        return self.linear(self.modulated(x, time))


def with_positions(tokens: Tensor, tables: Sequence[Tensor], grid: Sequence[int]) -> Tensor:
    """Tokens of a grid in row-major order plus learned positions, whose tables are stretched where the grid is larger.

    Args:
        tables: one [length, dim] for each axis of the grid, or none at all.
    """
    for axis, table in enumerate(tables):
        rows = table[None, : grid[axis]].mT
        if grid[axis] > len(table):
            rows = F.interpolate(table[None].mT, size=grid[axis], mode="linear", align_corners=True)
        shape = [1] * len(grid) + [-1]
        shape[axis] = grid[axis]
        added = rows[0].mT.reshape(shape).expand(*grid, -1).flatten(0, -2)
        tokens = tokens + added.to(tokens.dtype)
    return tokens


def hiding(shown: Tensor) -> Tensor | None:
    """Additive bias [batch, keys] that hides what is not shown; None when all is."""
    if shown.all().item():
        return None
    return torch.zeros(shown.shape, device=shown.device).masked_fill_(~shown, float("-inf"))


def grid_of(latents: Tensor, patch: Sequence[int]) -> Grid:
    """Tokens along frames, rows and columns of [..., T, H, W]."""
    t, h, w = (-(-size // p) for size, p in zip(latents.shape[-3:], patch, strict=True))
    return t, h, w
