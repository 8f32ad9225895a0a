"""Where a token lies in its clip, told to it (ours; NAVA's tokens know only how far they lie from one another).

Rotary positions are relative: of pure noise, no token of a picture can tell whether it is sky or floor, nor one of a
sound whether it begins the clip, but by detours.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor, nn

from vivace.models.rotary import Grid

# Cosines along an axis from edge to edge, and periods in video latent frames of waves that count from the beginning.
COSINES = 4
PERIODS = (4.0, 8.0, 16.0, 32.0, 64.0)
TIME_FEATURES = COSINES + 2 * len(PERIODS)
VIDEO_FEATURES = TIME_FEATURES + 2 * COSINES


def edge_features(count: int) -> Tensor:
    """cos(pi k f) of each of `count` places, f from 0 at one edge to 1 at the other. [count, COSINES]"""
    fractions = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    return torch.cos(math.pi * fractions[:, None] * torch.arange(1, COSINES + 1)).float()


def time_features(count: int, scale: float) -> Tensor:
    """How far into the clip, as a part of it and counted from its beginning. [count, TIME_FEATURES]

    Args:
        scale: video latent frames per place (1 for video).
    """
    frames = torch.arange(count, dtype=torch.float64)[:, None] * scale
    angles = 2 * math.pi * frames / torch.tensor(PERIODS, dtype=torch.float64)
    return torch.cat((edge_features(count), angles.sin().float(), angles.cos().float()), dim=1)


@lru_cache(maxsize=64)
def video_places(grid: Grid, device: torch.device) -> Tensor:
    """What there is to tell of a grid's tokens in row-major order, kept for the next call. [tokens, VIDEO_FEATURES]"""
    with torch.inference_mode(False):  # a table first made for inference must serve training too
        axes = (time_features(grid[0], 1.0), edge_features(grid[1]), edge_features(grid[2]))
        spread = [
            features.view(*(n if axis == k else 1 for k, n in enumerate(grid)), -1).expand(*grid, -1)
            for axis, features in enumerate(axes)
        ]
        return torch.cat(spread, dim=-1).flatten(0, 2).to(device)


@lru_cache(maxsize=64)
def audio_places(length: int, scale: float, device: torch.device) -> Tensor:
    """The same of a sound's tokens; `scale` as of `audio_rotation`. [length, TIME_FEATURES]"""
    with torch.inference_mode(False):
        return time_features(length, scale).to(device)


class PlaceEmbedding(nn.Module):
    """What is added to embedded tokens; it begins as nothing."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.video = nn.Linear(VIDEO_FEATURES, dim)
        self.audio = nn.Linear(TIME_FEATURES, dim)

    def of_video(self, grid: Grid, device: torch.device) -> Tensor:
        """[tokens, dim] of a grid in row-major order."""
        return self.video(video_places(grid, device).to(self.video.weight.dtype))

    def of_audio(self, length: int, scale: float, device: torch.device) -> Tensor:
        """[length, dim]; `scale` as of `audio_rotation`."""
        return self.audio(audio_places(length, scale, device).to(self.audio.weight.dtype))
