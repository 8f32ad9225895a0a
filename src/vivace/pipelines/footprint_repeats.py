"""Running a weightless decoder once for calls that are alike.

Ours: a causal decoder is called for every latent frame of every tile, and all calls but the first few of each shape do
the same. What such a call holds and leaves is known from the first one, so that no number changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vivace.pipelines.live_bytes import LiveBytes


@dataclass(frozen=True)
class _Made:
    """A tensor of its own storage."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device

    @classmethod
    def of(cls, tensor: Tensor) -> _Made:
        return cls(tuple(tensor.shape), tensor.stride(), tensor.dtype, tensor.device)

    def again(self) -> Tensor:
        return torch.empty_strided(self.shape, self.stride, dtype=self.dtype, device=self.device)


def _likeness(value: Any) -> Any:
    """Of an entry of a decoder's memory: a tensor, a mark, or nothing."""
    return _Made.of(value) if isinstance(value, Tensor) else value


@dataclass(frozen=True)
class _Call:
    """What a call held beside what was alive before it, gave, and left in the decoder's memory."""

    peak: int
    out: _Made
    left: tuple[Any, ...]
    index: int


def run_once(vae: Any, live: LiveBytes) -> None:
    """From now on calls of a weightless codec's causal decoder (diffusers' Wan) that are alike run once; of the others
    `live` is told what the first one held."""
    decoder = vae.decoder
    # Seams are blended line by line in place, and each line holds what the first one does.
    down, across = vae.blend_v, vae.blend_h
    vae.blend_v = lambda above, tile, extent: down(above, tile, min(extent, 1))
    vae.blend_h = lambda left, tile, extent: across(left, tile, min(extent, 1))
    forward, calls = decoder.forward, dict[Any, _Call]()

    def alike(x: Tensor, feat_cache: list[Any], feat_idx: list[int], first_chunk: bool = False) -> Tensor:
        key = (_Made.of(x), first_chunk, tuple(map(_likeness, feat_cache)))
        call = calls.get(key)
        if call is None:
            start, before = live.live, live.restart()
            out: Tensor = forward(x, feat_cache=feat_cache, feat_idx=feat_idx, first_chunk=first_chunk)
            calls[key] = _Call(live.peak - start, _Made.of(out), tuple(map(_likeness, feat_cache)), feat_idx[0])
            live.peak = max(before, live.peak)
            return out
        peak = max(live.peak, live.live + call.peak)
        for place, left in enumerate(call.left):
            if left != key[2][place]:
                feat_cache[place] = left.again() if isinstance(left, _Made) else left
        feat_idx[0] = call.index
        out = call.out.again()
        live.peak = peak  # making these again is no part of it
        return out

    decoder.forward = alike
