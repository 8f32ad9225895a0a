"""Alive's video tower: dual-stream blocks over text and picture, then single-stream blocks."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn

from vivace.models.alive_layers import (
    GATE_1,
    GATE_2,
    SCALE_1,
    SCALE_2,
    SHIFT_1,
    SHIFT_2,
    Head,
    StreamLayers,
    TextEmbedding,
)
from vivace.models.alive_time import Time, TimeEmbedding
from vivace.models.attention import Attention
from vivace.models.layers import Patch, PatchEmbedding
from vivace.models.rotary import rotate
from vivace.models.windows import Windows, attend_in


class DualBlock(nn.Module):
    """Text and video have layers of their own and attend over both."""

    def __init__(self, dim: int, heads: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.text, self.video = StreamLayers(dim, heads, eps), StreamLayers(dim, heads, eps)
        self.attend = Attention()

    def forward(
        self,
        text: Tensor,
        video: Tensor,
        time: Time,
        rotation: Tensor,
        bias: Tensor | None,
        windows: Windows | None = None,
    ) -> tuple[Tensor, Tensor]:
        """[batch, words, dim] and [batch, tokens, dim] to the same; time, rotation and bias of both, text first."""
        words = text.shape[1]
        times = (time.part(0, words), time.part(words, None))
        streams = [self.text, self.video]
        mods = [s.modulation(t) for s, t in zip(streams, times, strict=True)]
        parts = [
            s.self_attn.project(m.apply(x, SHIFT_1, SCALE_1, self.eps))
            for x, s, m in zip((text, video), streams, mods, strict=True)
        ]
        query, key, value = (torch.cat(pair, dim=1) for pair in zip(*parts, strict=True))
        seen = attend_in(windows, self.attend, rotate(query, rotation), rotate(key, rotation), value, bias).flatten(2)
        out = []
        for x, a, s, m in zip((text, video), (seen[:, :words], seen[:, words:]), streams, mods, strict=True):
            x = m.gate(x, s.self_attn.o(a), GATE_1)
            out.append(m.gate(x, s.feed_forward(m.apply(x, SHIFT_2, SCALE_2, self.eps)), GATE_2))
        return out[0], out[1]


class SingleBlock(nn.Module):
    """One set of layers for text and video tokens; attention, then feed-forward."""

    def __init__(self, dim: int, heads: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.stream = StreamLayers(dim, heads, eps)
        self.attend = Attention()

    def forward(
        self, x: Tensor, time: Time, rotation: Tensor, bias: Tensor | None, windows: Windows | None = None
    ) -> Tensor:
        """[batch, words + tokens, dim] to the same."""
        layers, mod = self.stream, self.stream.modulation(time)
        query, key, value = layers.self_attn.project(mod.apply(x, SHIFT_1, SCALE_1, self.eps))
        seen = attend_in(windows, self.attend, rotate(query, rotation), rotate(key, rotation), value, bias).flatten(2)
        x = mod.gate(x, layers.self_attn.o(seen), GATE_1)
        return mod.gate(x, layers.feed_forward(mod.apply(x, SHIFT_2, SCALE_2, self.eps)), GATE_2)


class VideoTower(nn.Module):
    """Dual-stream blocks over text and video, then single-stream blocks."""

    def __init__(self, config: Any, eps: float) -> None:
        super().__init__()
        dim, heads, patch = config.dim, config.num_heads, cast(Patch, tuple(config.patch_size))
        channels = 2 * config.video_channels + config.mask_channels
        self.embedding = PatchEmbedding(channels, dim, patch)
        sizes = config.learned_positions or ()
        self.positions = nn.ParameterList(torch.zeros(size, dim) for size in sizes)
        self.text_embedding = TextEmbedding(config.text_dims, dim)
        self.time_embedding = TimeEmbedding(config.freq_dim, dim)
        self.dual_blocks = nn.ModuleList(DualBlock(dim, heads, eps) for _ in range(config.num_dual_layers))
        self.single_blocks = nn.ModuleList(SingleBlock(dim, heads, eps) for _ in range(config.num_single_layers))
        self.head = Head(dim, config.video_channels * math.prod(patch), eps)
