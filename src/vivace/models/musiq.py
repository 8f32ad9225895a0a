"""MUSIQ (Ke et al. 2021, arXiv 2108.05997): how good a picture is, from patches of it at three sizes.

Written from the paper; names are those of the PyTorch weights (pyiqa) of the public model. `patches` makes the input.
"""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vivace.models.vision_block import SeparateBlock

PATCH, GRID = 32, 10
LONGER_SIDES = (224, 384)  # and the picture itself
DIM, HIDDEN, LAYERS, HEADS = 384, 1152, 14, 6
_STEM, _WIDE = 64, 256


class Patches(NamedTuple):
    """Patches [N, 3, 32, 32] of a picture, with the cell of a 10 x 10 grid and the size that each is of, both [N]."""

    pixels: Tensor
    places: Tensor
    sizes: Tensor


def patches(picture: Tensor) -> Patches:
    """Those of a picture [3, H, W] with colours from 0 to 1: at 224, at 384 (longer side), and as it is.

    Edges are filled with zeros, half of what is missing on either side.
    """
    scaled = [picture * 2.0 - 1.0]
    longest = max(picture.shape[1:])
    for side in LONGER_SIDES:
        size = [round(length * (side / longest)) for length in picture.shape[1:]]
        scaled.insert(-1, F.interpolate(scaled[-1][None], size, mode="bicubic", align_corners=False)[0])
    parts = []
    for number, image in enumerate(scaled):
        rows, columns = (ceil(length / PATCH) for length in image.shape[1:])
        cut = F.unfold(_same(image[None], PATCH, PATCH), PATCH, stride=PATCH)[0].T
        cells = _cells(rows)[:, None] * GRID + _cells(columns)[None]
        parts.append(Patches(cut.reshape(-1, 3, PATCH, PATCH), cells.flatten(), torch.full((rows * columns,), number)))
    return Patches(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def _cells(count: int) -> Tensor:
    """Which of the grid's ten cells each of `count` places falls into."""
    return F.interpolate(torch.arange(GRID).float()[None, None], count, mode="nearest")[0, 0].long()


def _same(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Zeros around [B, C, H, W] so that a length n becomes ceil(n / stride), the odd one at the end."""
    around: list[int] = []
    for length in x.shape[2:]:
        missing = max((ceil(length / stride) - 1) * stride + kernel - length, 0)
        around = [missing // 2, missing - missing // 2, *around]
    return F.pad(x, around)


class _StandardConv(nn.Conv2d):
    """A convolution whose weights are brought to mean 0 and deviation 1 first, with filled edges."""

    def __init__(self, enter: int, leave: int, size: int, stride: int = 1) -> None:
        super().__init__(enter, leave, size, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        deviation, mean = torch.std_mean(self.weight, (1, 2, 3), keepdim=True)
        x = _same(x, self.kernel_size[0], self.stride[0])
        return F.conv2d(x, (self.weight - mean) / (deviation + 1e-5), None, self.stride)


class _Bottleneck(nn.Module):
    """The stem's residual unit, 64 to 256 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.gn1 = _StandardConv(_STEM, _STEM, 1), nn.GroupNorm(32, _STEM, eps=1e-4)
        self.conv2, self.gn2 = _StandardConv(_STEM, _STEM, 3), nn.GroupNorm(32, _STEM, eps=1e-4)
        self.conv3, self.gn3 = _StandardConv(_STEM, _WIDE, 1), nn.GroupNorm(32, _WIDE, eps=1e-4)
        self.conv_proj, self.gn_proj = _StandardConv(_STEM, _WIDE, 1), nn.GroupNorm(32, _WIDE, eps=1e-4)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.gn1(self.conv1(x)))
        y = F.relu(self.gn2(self.conv2(y)))
        return F.relu(self.gn3(self.conv3(y)) + self.gn_proj(self.conv_proj(x)))


class _Encoder(nn.Module):
    def __init__(self, dim: int, hidden: int, layers: int, heads: int) -> None:
        super().__init__()
        self.cls = nn.Parameter(torch.zeros(1, 1, dim))
        self.posembed_input = nn.ParameterDict({"position_emb": nn.Parameter(torch.zeros(1, GRID * GRID, dim))})
        self.scaleembed_input = nn.ParameterDict({"scale_emb": nn.Parameter(torch.zeros(len(LONGER_SIDES) + 1, dim))})
        self.transformer = nn.ModuleDict(
            {f"encoderblock_{n}": SeparateBlock(dim, hidden, heads, eps=1e-6) for n in range(layers)}
        )
        self.encoder_norm = nn.LayerNorm(dim, eps=1e-6)

    def forward(self, x: Tensor, places: Tensor, sizes: Tensor) -> Tensor:
        x = x + self.posembed_input["position_emb"][0, places] + self.scaleembed_input["scale_emb"][sizes]
        x = torch.cat([self.cls, x[None]], dim=1)
        for block in self.transformer.values():
            x = block(x)
        return self.encoder_norm(x)[:, 0]


class Musiq(nn.Module):
    """The network with one output, as it is trained on KonIQ-10k (0 to 100).

    The published code fills the sets of patches up and hides what is filled from attention; here nothing is filled.

    Args:
        dim, hidden, layers, heads: of the transformer; the published network by default.
    """

    def __init__(self, dim: int = DIM, hidden: int = HIDDEN, layers: int = LAYERS, heads: int = HEADS) -> None:
        super().__init__()
        self.conv_root, self.gn_root = _StandardConv(3, _STEM, 7, 2), nn.GroupNorm(32, _STEM, eps=1e-6)
        self.block1 = _Bottleneck()
        self.embedding = nn.Linear(_WIDE * (PATCH // 4) ** 2, dim)
        self.transformer_encoder = _Encoder(dim, hidden, layers, heads)
        self.head = nn.Linear(dim, 1)

    def forward(self, parts: Patches) -> Tensor:
        """The `patches` of one picture to its score, a single value."""
        x = F.relu(self.gn_root(self.conv_root(parts.pixels)))
        x = self.block1(F.max_pool2d(_same(x, 3, 2), 3, 2))
        # The weights come from a network whose channels are last.
        x = self.embedding(x.permute(0, 2, 3, 1).flatten(1))
        return self.head(self.transformer_encoder(x, parts.places, parts.sizes)).squeeze()
