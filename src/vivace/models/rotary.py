"""Rotary positions on a common time axis for picture and sound (NAVA §2.2).

A head's channels turn in adjacent pairs. A rotation is a real tensor [..., tokens, head_dim / 2, 2] of (cos, sin) in
float32, computed in float64; channels that carry no position have angle zero, so that one table serves both streams.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

Grid = tuple[int, int, int]


def axis_channels(head_dim: int) -> Grid:
    """Channels of a head that carry (frame, row, column); 44, 42, 42 for 128."""
    space = 2 * (head_dim // 6)
    return head_dim - 2 * space, space, space


def axis_angles(positions: Tensor, channels: int, theta: float, scale: float = 1.0) -> Tensor:
    """Angles position * scale * theta^(-2 i / channels), [len(positions), channels / 2] float64."""
    exponents = torch.arange(0, channels, 2, dtype=torch.float64) / channels
    return positions.to(torch.float64)[:, None] * (scale * theta**-exponents)[None, :]


def video_angles(grid: Grid, head_dim: int, theta: float = 10000.0, start: int = 0) -> Tensor:
    """Angles of a token grid in row-major order, its frames counted from `start`, [tokens, head_dim / 2] float64."""
    axes = []
    for axis, (length, channels) in enumerate(zip(grid, axis_channels(head_dim), strict=True)):
        shape = [1, 1, 1, channels // 2]
        shape[axis] = length
        places = torch.arange(length) + (start if axis == 0 else 0)
        axes.append(axis_angles(places, channels, theta).view(shape).expand(*grid, channels // 2))
    return torch.cat(axes, dim=-1).flatten(0, 2)


def audio_angles(length: int, head_dim: int, scale: float, theta: float = 10000.0) -> Tensor:
    """Angles of audio tokens, [length, head_dim / 2] float64; only the time channels turn.

    `scale` is video latent frames per audio token (0.24 at 24 fps), which puts a sound at its picture's position.
    """
    channels = axis_channels(head_dim)[0]
    angles = torch.zeros(length, head_dim // 2, dtype=torch.float64)
    angles[:, : channels // 2] = axis_angles(torch.arange(length), channels, theta, scale)
    return angles


def as_rotation(angles: Tensor) -> Tensor:
    """(cos, sin) of float64 angles as float32, [..., 2]."""
    return torch.stack((angles.cos(), angles.sin()), dim=-1).float()


@lru_cache(maxsize=64)
def video_rotation(grid: Grid, head_dim: int, theta: float, device: torch.device, start: int = 0) -> Tensor:
    """Rotation of a token grid, [tokens, head_dim / 2, 2], kept for the next call."""
    with torch.inference_mode(False):  # a table first made for inference must serve training too
        return as_rotation(video_angles(grid, head_dim, theta, start)).to(device)


def time_rotation(positions: Tensor, head_dim: int, theta: float) -> Tensor:
    """Rotation of tokens by positions on one axis, whole or not, in all channels. [tokens, head_dim / 2, 2]"""
    with torch.inference_mode(False):
        return as_rotation(axis_angles(positions.cpu(), head_dim, theta)).to(positions.device)


@lru_cache(maxsize=64)
def audio_rotation(length: int, head_dim: int, scale: float, theta: float, device: torch.device) -> Tensor:
    """Rotation of audio tokens, [length, head_dim / 2, 2], kept for the next call."""
    with torch.inference_mode(False):
        return as_rotation(audio_angles(length, head_dim, scale, theta)).to(device)


def stack_rotations(rotations: Sequence[Tensor]) -> Tensor:
    """Rotations of a batch: one table when all samples share it, else right-padded to [batch, tokens, ...]."""
    if all(rotation is rotations[0] for rotation in rotations):
        return rotations[0]
    return torch.nn.utils.rnn.pad_sequence(list(rotations), batch_first=True)


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """Turn the channel pairs (2 k, 2 k + 1) of x [batch, tokens, heads, head_dim] by a rotation.

    `rotation` is [tokens, head_dim / 2, 2], or [batch, tokens, head_dim / 2, 2]. The product is taken in float32 at
    least; the result has x's dtype.
    """
    pairs = x.to(torch.promote_types(x.dtype, torch.float32)).unflatten(-1, (-1, 2))
    turn = rotation.unsqueeze(-3)
    if x.device.type == "cpu" and not torch.compiler.is_compiling():
        # One fused pass; the same in real arithmetic takes six times as long on a CPU but is what compilers fuse.
        turned = torch.view_as_real(torch.view_as_complex(pairs) * torch.view_as_complex(turn))
    else:
        (a, b), (cos, sin) = pairs.unbind(-1), turn.unbind(-1)
        turned = torch.stack((a * cos - b * sin, a * sin + b * cos), dim=-1)
    return turned.flatten(-2).to(x.dtype)
