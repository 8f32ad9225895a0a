"""SyncNet (Chung and Zisserman 2016): lips and sound to vectors whose distance says whether they belong together.

Written from the published description of the network; `public_name` maps the names of the
public weights.
"""

from __future__ import annotations

import re

import torch.nn.functional as F
from torch import Tensor, nn

PICTURES = 5  # of a window, at 25 per second
SOUND_FRAMES = 20  # of a window, 10 ms each
SIDE = 224
DIM = 1024


class _Unit(nn.Module):
    """Convolution, batch norm, rectifier."""

    def __init__(self, conv: nn.Module, norm: nn.Module) -> None:
        super().__init__()
        self.conv, self.norm = conv, norm

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


class _Head(nn.Module):
    """[B, 512] to the vector, [B, DIM]."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.enter, self.norm, self.leave = nn.Linear(512, 512), nn.BatchNorm1d(512), nn.Linear(512, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.leave(F.relu(self.norm(self.enter(x))))


class SyncNet(nn.Module):
    """Two towers of convolutions, one for the lips and one for the sound.

    Args:
        width: multiplies the channels of the convolutions below the last; 1 is the published network.
        dim: values of a vector.
    """

    def __init__(self, width: float = 1.0, dim: int = DIM) -> None:
        super().__init__()

        def of(channels: int) -> int:
            return max(1, round(channels * width))

        def flat(enter: int, leave: int, size: tuple[int, int], padding: int) -> _Unit:
            return _Unit(nn.Conv2d(enter, leave, size, padding=padding), nn.BatchNorm2d(leave))

        def deep(enter: int, leave: int, size: tuple[int, int, int], stride: int = 1, padding: int = 0) -> _Unit:
            conv = nn.Conv3d(enter, leave, size, (1, stride, stride), (0, padding, padding))
            return _Unit(conv, nn.BatchNorm3d(leave))

        self.sound = nn.ModuleList(
            [
                flat(1, of(64), (3, 3), 1),
                flat(of(64), of(192), (3, 3), 1),
                flat(of(192), of(384), (3, 3), 1),
                flat(of(384), of(256), (3, 3), 1),
                flat(of(256), of(256), (3, 3), 1),
                flat(of(256), 512, (5, 4), 0),
            ]
        )
        self.lips = nn.ModuleList(
            [
                deep(3, of(96), (5, 7, 7), 2),
                deep(of(96), of(256), (1, 5, 5), 2, 1),
                deep(of(256), of(256), (1, 3, 3), 1, 1),
                deep(of(256), of(256), (1, 3, 3), 1, 1),
                deep(of(256), of(256), (1, 3, 3), 1, 1),
                deep(of(256), 512, (1, 6, 6)),
            ]
        )
        self.sound_head, self.lips_head = _Head(dim), _Head(dim)

    def hear(self, cepstra: Tensor) -> Tensor:
        """Cepstra of windows [B, 1, 13, 20] to vectors [B, dim]."""
        x = self.sound[1](self.sound[0](cepstra))
        x = F.max_pool2d(x, (3, 3), (1, 2))
        x = self.sound[4](self.sound[3](self.sound[2](x)))
        x = F.max_pool2d(x, (3, 3), (2, 2))
        return self.sound_head(self.sound[5](x).flatten(1))

    def see(self, pictures: Tensor) -> Tensor:
        """Face crops of windows [B, 3, 5, 224, 224], blue first, 0 to 255, to vectors [B, dim]."""
        x = F.max_pool3d(self.lips[0](pictures), (1, 3, 3), (1, 2, 2))
        x = F.max_pool3d(self.lips[1](x), (1, 3, 3), (1, 2, 2), (0, 1, 1))
        x = self.lips[4](self.lips[3](self.lips[2](x)))
        x = F.max_pool3d(x, (1, 3, 3), (1, 2, 2))
        return self.lips_head(self.lips[5](x).flatten(1))


# Place of each convolution in the public file's lists; its batch norm is the next one.
_PLACES = {"sound": ("netcnnaud", (0, 4, 8, 11, 14, 18)), "lips": ("netcnnlip", (0, 4, 8, 11, 14, 18))}
_HEADS = {"sound_head": "netfcaud", "lips_head": "netfclip"}
_HEAD_PLACES = {"enter": 0, "norm": 1, "leave": 3}


def public_name(name: str) -> str:
    """The name that a tensor of `SyncNet` has in the public weights."""
    tower, rest = name.split(".", 1)
    if tower in _HEADS:
        part, tensor = rest.split(".", 1)
        return f"{_HEADS[tower]}.{_HEAD_PLACES[part]}.{tensor}"
    match = re.fullmatch(r"(\d)\.(conv|norm)\.(\w+)", rest)
    assert match is not None
    file_tower, places = _PLACES[tower]
    return f"{file_tower}.{places[int(match[1])] + (match[2] == 'norm')}.{match[3]}"
