"""MANIQA (Yang et al. 2022, arXiv 2204.08958): how good a crop of 224 x 224 is, by a ViT's middle layers.

Written from the paper and its release's settings; names are those of the public weights, but for buffers that follow
from the sizes and the ViT's own head, which `DROPPED` and `dropped` name.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vivace.models.vision_block import Mlp, SelfAttention, VisionBlock

SIDE = 224
PATCH, DIM, LAYERS, HEADS = 8, 768, 12, 12
_READ = slice(6, 10)  # layers whose tokens are read
_WINDOW, _SHIFT, _SWIN_HEADS, _SCALE = 4, 2, 4, 0.8
_HIDDEN = -100.0  # added between tokens that only the shift has brought together
DROPPED = ("vit.head.", "vit.norm.")


def dropped(name: str) -> bool:
    """Whether a tensor of the public file is of no use here: it follows from the sizes, or is never read."""
    return name.startswith(DROPPED) or name.endswith((".relative_position_index", ".attn_mask"))


class _Vit(nn.Module):
    """ViT-B/8; the tokens of some of its layers side by side."""

    def __init__(self, dim: int, heads: int, side: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, side * side + 1, dim))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, dim, PATCH, PATCH)})
        self.blocks = nn.ModuleList([VisionBlock(dim, heads) for _ in range(LAYERS)])

    def forward(self, pictures: Tensor) -> Tensor:
        """[B, 3, 224, 224] to [B, 4 dim, side, side]."""
        grid = self.patch_embed["proj"](pictures)
        x = torch.cat([self.cls_token.expand(len(grid), -1, -1), grid.flatten(2).transpose(1, 2)], dim=1)
        x, read = x + self.pos_embed, []
        for block in self.blocks[: _READ.stop]:
            x = block(x)
            read.append(x[:, 1:])
        return torch.cat(read[_READ], dim=2).transpose(1, 2).unflatten(2, grid.shape[2:])


class _TransposedAttention(nn.Module):
    """Attention between channels, whose tokens are their values at all places."""

    def __init__(self, places: int) -> None:
        super().__init__()
        self.c_q, self.c_k, self.c_v = (nn.Linear(places, places) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, places] to the same."""
        mixed = F.scaled_dot_product_attention(self.c_q(x), self.c_k(x), self.c_v(x))
        # Published: the result is turned and read in rows again, not turned back.
        return mixed.transpose(1, 2).reshape(x.shape) + x


class _WindowAttention(SelfAttention):
    """Attention within windows of 4 x 4, with a bias for each distance in them."""

    apart: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__(dim, _SWIN_HEADS)
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * _WINDOW - 1) ** 2, _SWIN_HEADS))
        rows, columns = (cells.flatten() for cells in torch.meshgrid(*[torch.arange(_WINDOW)] * 2, indexing="ij"))
        away = [cells[:, None] - cells[None] + _WINDOW - 1 for cells in (rows, columns)]
        self.register_buffer("apart", away[0] * (2 * _WINDOW - 1) + away[1], persistent=False)

    def attend(self, windows: Tensor, mask: Tensor | None) -> Tensor:
        """Windows [B, W, 16, D] and what is added to each one's attention, [W, 16, 16]."""
        bias = self.relative_position_bias_table[self.apart].permute(2, 0, 1)
        if mask is not None:
            bias = (bias + mask[:, None]).repeat(len(windows), 1, 1, 1)
        return self.proj(
            F.scaled_dot_product_attention(*self.split(windows.flatten(0, 1)), attn_mask=bias)
            .transpose(1, 2)
            .flatten(2)
            .unflatten(0, windows.shape[:2])
        )


class _SwinBlock(nn.Module):
    """A block of the Swin transformer (Liu et al. 2021), every second one with windows that are shifted by half."""

    mask: Tensor | None

    def __init__(self, dim: int, hidden: int, side: int, *, shifted: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn, self.mlp = _WindowAttention(dim), Mlp(dim, hidden)
        self.shift = _SHIFT if shifted else 0
        mask = None
        if shifted:
            ends = torch.tensor([side - _WINDOW, side - _SHIFT])
            part = torch.bucketize(torch.arange(side), ends, right=True)
            of_place = (part[:, None] * 3 + part[None])[None, :, :, None]
            of_window = _windows(of_place).flatten(1)
            mask = torch.where(of_window[:, :, None] == of_window[:, None], 0.0, _HIDDEN)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, H, W, D] to the same."""
        y = torch.roll(self.norm1(x), (-self.shift, -self.shift), (1, 2))
        count, side = len(x), x.shape[1] // _WINDOW
        windows = _windows(y).unflatten(0, (count, -1))
        mixed = self.attn.attend(windows, self.mask).unflatten(1, (side, -1)).unflatten(3, (_WINDOW, _WINDOW))
        back = mixed.transpose(2, 3).flatten(1, 2).flatten(2, 3)
        x = x + torch.roll(back, (self.shift, self.shift), (1, 2))
        return x + self.mlp(self.norm2(x))


def _windows(x: Tensor) -> Tensor:
    """[B, H, W, D] to windows [B windows, 16, D], row by row."""
    cut = x.unflatten(1, (-1, _WINDOW)).unflatten(3, (-1, _WINDOW)).transpose(2, 3)
    return cut.flatten(0, 2).flatten(1, 2)


class _SwinLayer(nn.Module):
    """Two blocks and a convolution."""

    def __init__(self, dim: int, hidden: int, side: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, 3, padding=1)
        self.blocks = nn.ModuleList([_SwinBlock(dim, hidden, side, shifted=bool(n)) for n in range(2)])

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return F.relu(self.conv(x.permute(0, 3, 1, 2))).permute(0, 2, 3, 1)


class _Swin(nn.Module):
    """Two layers, each added with 0.8 of what it gives."""

    def __init__(self, dim: int, hidden: int, side: int) -> None:
        super().__init__()
        # In the public file, and never used by the published network.
        self.downsample = nn.Conv2d(dim, dim, 3, 2, 1)
        self.layers = nn.ModuleList([_SwinLayer(dim, hidden, side) for _ in range(2)])

    def forward(self, x: Tensor) -> Tensor:
        """[B, D, H, W] to the same."""
        x = x.permute(0, 2, 3, 1)
        for layer in self.layers:
            x = _SCALE * layer(x) + x
        return x.permute(0, 3, 1, 2)


class Maniqa(nn.Module):
    """The network of the KonIQ-10k release.

    Args:
        dim, heads: of the ViT. side: patches along an edge of a crop.
    """

    def __init__(self, dim: int = DIM, heads: int = HEADS, side: int = SIDE // PATCH) -> None:
        super().__init__()
        half = dim // 2
        self.vit = _Vit(dim, heads, side)
        self.tablock1 = nn.ModuleList([_TransposedAttention(side * side) for _ in range(2)])
        self.conv1, self.swintransformer1 = nn.Conv2d(4 * dim, dim, 1), _Swin(dim, dim, side)
        self.tablock2 = nn.ModuleList([_TransposedAttention(side * side) for _ in range(2)])
        self.conv2, self.swintransformer2 = nn.Conv2d(dim, half, 1), _Swin(half, dim, side)
        self.fc_score, self.fc_weight = (
            nn.ModuleDict({"0": nn.Linear(half, half), "3": nn.Linear(half, 1)}) for _ in range(2)
        )

    def forward(self, crops: Tensor) -> Tensor:
        """Crops [B, 3, 224, 224] with colours from -1 to 1 to scores [B], about 0 to 1."""
        x = self.vit(crops)
        stages = (
            (self.tablock1, self.conv1, self.swintransformer1),
            (self.tablock2, self.conv2, self.swintransformer2),
        )
        for blocks, conv, swin in stages:
            places = x.shape[2:]
            x = x.flatten(2)
            for block in blocks:
                x = block(x)
            x = swin(conv(x.unflatten(2, places)))
        x = x.flatten(2).transpose(1, 2)
        score, weight = (head["3"](F.relu(head["0"](x))) for head in (self.fc_score, self.fc_weight))
        weight = weight.sigmoid()
        return ((F.relu(score) * weight).sum(1) / weight.sum(1)).squeeze(-1)
