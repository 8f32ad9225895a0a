"""Primitives that architectures share: norms, modulation, patches, time, layers by modality."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vivace.pair import AV, MODALITIES

Patch = tuple[int, int, int]


class RMSNorm(nn.Module):
    """x / rms(x) * weight over the last axis, statistics in float32."""

    def __init__(self, dim: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        unit = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return unit.to(x.dtype) * self.weight.to(x.dtype)


class AffineLayerNorm(nn.LayerNorm):
    """LayerNorm with weights whose result keeps the dtype of its input, also under autocast."""

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = (p.to(x.dtype) for p in (self.weight, self.bias))
        return F.layer_norm(x, self.normalized_shape, weight, bias, self.eps).to(x.dtype)


def plain_layer_norm(x: Tensor, eps: float) -> Tensor:
    """LayerNorm over the last axis without weights; keeps x's dtype, also under autocast."""
    return F.layer_norm(x, x.shape[-1:], eps=eps).to(x.dtype)


@dataclass(frozen=True)
class Modulation:
    """Vectors that shift, scale and gate tokens, held once per distinct timestep.

    Args:
        values: [rows, vectors, dim].
        index: row of each token, [batch or 1, tokens]; None when row b serves the whole of sample b.
    """

    values: Tensor
    index: Tensor | None = None

    def plus(self, learned: Tensor) -> Modulation:
        """With a learned offset [1, vectors, dim] added, in the dtype of the values."""
        return Modulation((self.values + learned).to(self.values.dtype), self.index)

    def vector(self, number: int, offset: float = 0.0) -> Tensor:
        """Vector `number` plus `offset` for every token, [batch, tokens or 1, dim]."""
        rows = self.values.narrow(1, number, 1)
        rows = rows + offset if offset else rows
        return rows if self.index is None else F.embedding(self.index, rows.squeeze(1))

    def apply(self, x: Tensor, shift: int, scale: int, eps: float) -> Tensor:
        """LayerNorm(x) * (1 + scale) + shift."""
        return torch.addcmul(self.vector(shift), plain_layer_norm(x, eps), self.vector(scale, 1.0))

    def gate(self, x: Tensor, update: Tensor, gate: int) -> Tensor:
        """x + update * gate."""
        return torch.addcmul(x, update, self.vector(gate))


class PerModality(nn.ModuleDict):
    """One module for each modality (`video`, `audio`), or one for `both`."""

    def __init__(self, make: Callable[[], nn.Module], shared: bool) -> None:
        super().__init__({name: make() for name in (("both",) if shared else MODALITIES)})

    def pair(self) -> AV[nn.Module]:
        """The module of each modality (the same one twice when shared)."""
        return AV.of(self["both"]) if "both" in self else AV(self["video"], self["audio"])

    def tokenwise(self, x: AV[Tensor]) -> AV[Tensor]:
        """What each side's module, which treats every token alone, makes of the tokens; a shared one in one call."""
        if "both" in self:
            return split(self["both"](join(x)), x)
        return x.map(lambda h, module: module(h), self.pair())


def join(x: AV[Tensor]) -> Tensor:
    """The present sides as one sequence, each [batch, tokens, ...], video first."""
    sides = [side for _, side in x.items()]
    return sides[0] if len(sides) == 1 else torch.cat(sides, dim=1)


def split(joined: Tensor, like: AV[Tensor]) -> AV[Tensor]:
    """The sides of a sequence that was joined from sides as long as `like`'s."""
    present = dict(like.items())
    pieces = joined.split([side.shape[1] for side in present.values()], dim=1)
    return AV(**dict(zip(present, pieces, strict=True)))


def sinusoid(timesteps: Tensor, dim: int, max_period: float = 10000.0) -> Tensor:
    """[cos | sin] of t * max_period^(-i / half) in float64 (float32 where the device has none), [..., dim]."""
    exact = torch.float32 if timesteps.device.type == "mps" else torch.float64
    half = dim // 2
    steps = torch.arange(half, device=timesteps.device, dtype=exact) / half
    angles = timesteps.to(exact)[..., None] * torch.exp(-math.log(max_period) * steps)
    return torch.cat((angles.cos(), angles.sin()), dim=-1)


class PatchEmbedding(nn.Conv3d):
    """A convolution whose stride is its kernel, as one matrix product over patches.

    Maps [batch, channels, T, H, W], sides divisible by the patch, to [batch, tokens, dim] in row-major order.
    """

    def __init__(self, channels: int, dim: int, patch: Patch) -> None:
        super().__init__(channels, dim, kernel_size=patch, stride=patch)

    def forward(self, x: Tensor) -> Tensor:
        t, h, w = self.kernel_size
        patches = x.unflatten(4, (-1, w)).unflatten(3, (-1, h)).unflatten(2, (-1, t))  # b c T t H h W w
        rows = patches.permute(0, 2, 4, 6, 1, 3, 5, 7).flatten(4).flatten(1, 3)
        return F.linear(rows, self.weight.flatten(1), self.bias)


def pad_to_patches(x: Tensor, patch: Patch) -> Tensor:
    """Zeros after the end of the last three axes up to whole patches."""
    missing = [-size % p for size, p in zip(x.shape[-3:], patch, strict=True)]
    return F.pad(x, (0, missing[2], 0, missing[1], 0, missing[0])) if any(missing) else x


def patchify(x: Tensor, patch: Patch) -> Tensor:
    """[batch, channels, T, H, W], sides divisible by the patch, to [batch, tokens, t * h * w * channels]: the inverse
    of `unpatchify`."""
    t, h, w = patch
    patches = x.unflatten(4, (-1, w)).unflatten(3, (-1, h)).unflatten(2, (-1, t))  # b c T t H h W w
    return patches.permute(0, 2, 4, 6, 3, 5, 7, 1).flatten(4).flatten(1, 3)


def unpatchify(tokens: Tensor, grid: tuple[int, int, int], patch: Patch) -> Tensor:
    """[batch, tokens, t * h * w * channels], channels fastest, to [batch, channels, T, H, W]."""
    t, h, w = patch
    x = tokens.unflatten(2, (t, h, w, -1)).unflatten(1, grid)  # b T H W t h w c
    return x.permute(0, 7, 1, 4, 2, 5, 3, 6).flatten(6, 7).flatten(4, 5).flatten(2, 3)
