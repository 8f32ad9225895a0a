"""I3D (Carreira and Zisserman 2017, arXiv 1705.07750): pictures in succession to the 400 classes of Kinetics.

Written from the paper; `own_name` maps the names of the public weights. Its logits are the features of FVD
(Unterthiner et al. 2018).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDE, CLASSES = 224, 400
SHORTEST = 9  # pictures: time is divided by eight, and two must be left
# Channels of a mixed unit's branches: 1x1 | 1x1, 3x3 | 1x1, 3x3 | after the pool; the units in their order.
_MIXED: dict[str, tuple[int, int, int, int, int, int]] = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
# (kernel, stride) of the pools that come before a unit.
_POOLS = {
    "Conv3d_2b_1x1": ((1, 3, 3), (1, 2, 2)),
    "Mixed_3b": ((1, 3, 3), (1, 2, 2)),
    "Mixed_4b": ((3, 3, 3), (2, 2, 2)),
    "Mixed_5b": ((2, 2, 2), (2, 2, 2)),
}
Triple = tuple[int, int, int]


def _padded(x: Tensor, kernel: Triple, stride: Triple) -> Tensor:
    """Zeros around [B, C, T, H, W] so that a length n becomes ceil(n / stride), the odd one at the end."""
    around: list[int] = []
    for length, size, step in zip(x.shape[2:], kernel, stride, strict=True):
        missing = max((-(-length // step) - 1) * step + size - length, 0)
        around = [missing // 2, missing - missing // 2, *around]
    return F.pad(x, around)


def _pooled(x: Tensor, kernel: Triple, stride: Triple) -> Tensor:
    return F.max_pool3d(_padded(x, kernel, stride), kernel, stride)


class _Unit(nn.Module):
    """Convolution, batch norm, rectifier; the edges are filled so that nothing is lost."""

    def __init__(self, enter: int, leave: int, size: int, stride: int = 1) -> None:
        super().__init__()
        self.size, self.stride = (size,) * 3, (stride,) * 3
        self.conv3d = nn.Conv3d(enter, leave, size, stride, bias=False)
        self.bn = nn.BatchNorm3d(leave)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv3d(_padded(x, self.size, self.stride))))


class _Mixed(nn.Module):
    """Four branches side by side: 1x1, 3x3, another 3x3, and one behind a pool."""

    def __init__(self, enter: int, sizes: list[int]) -> None:
        super().__init__()
        self.b0 = _Unit(enter, sizes[0], 1)
        self.b1a, self.b1b = _Unit(enter, sizes[1], 1), _Unit(sizes[1], sizes[2], 3)
        self.b2a, self.b2b = _Unit(enter, sizes[3], 1), _Unit(sizes[3], sizes[4], 3)
        self.b3b = _Unit(enter, sizes[5], 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = _pooled(x, (3, 3, 3), (1, 1, 1))
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(pooled)], dim=1)


class I3D(nn.Module):
    """The network for colours.

    Args:
        width: multiplies the channels; 1 is the published network.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()

        def of(channels: int) -> int:
            return max(1, round(channels * width))

        self.units = nn.ModuleDict(
            {
                "Conv3d_1a_7x7": _Unit(3, of(64), 7, 2),
                "Conv3d_2b_1x1": _Unit(of(64), of(64), 1),
                "Conv3d_2c_3x3": _Unit(of(64), of(192), 3),
            }
        )
        enter = of(192)
        for name, channels in _MIXED.items():
            sizes = [of(count) for count in channels]
            self.units[name] = _Mixed(enter, sizes)
            enter = sizes[0] + sizes[2] + sizes[4] + sizes[5]
        self.classify = nn.Conv3d(enter, CLASSES, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures [B, 3, T, 224, 224], T at least `SHORTEST`, to logits [B, 400], their mean over time."""
        x = pictures
        for name, unit in self.units.items():
            x = unit(_pooled(x, *_POOLS[name]) if name in _POOLS else x)
        return self.classify(F.avg_pool3d(x, (2, 7, 7), 1)).mean(dim=(2, 3, 4))


def own_name(name: str) -> str:
    """The name in `I3D` of a tensor of the public weights."""
    if name.startswith("logits.conv3d."):
        return name.replace("logits.conv3d.", "classify.", 1)
    return f"units.{name}"
