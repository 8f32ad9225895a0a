"""The third paradigm: one transformer over the words, the picture and the sound, with the same weights for all three.

It is made of Alive's single-stream blocks. Only what enters and leaves is different for each sort of token; sound and
picture have a common axis of time in their rotary positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor, nn

from vivace.models.alive_layers import Head, TextEmbedding, grid_of, hiding
from vivace.models.alive_time import AdaptiveNorm, Time, TimeEmbedding
from vivace.models.alive_video import SingleBlock
from vivace.models.gaussian_skip import GaussianSkips, Latents
from vivace.models.layers import Patch, PatchEmbedding, pad_to_patches, unpatchify
from vivace.models.places import PlaceEmbedding
from vivace.models.rotary import audio_rotation, video_rotation
from vivace.pair import AV


@dataclass(frozen=True)
class UnifiedContext:
    """Text tokens [batch, words, dim]; shown, bool [batch, words], is False at padding."""

    text: Tensor
    shown: Tensor


class UnifiedTransformer(nn.Module):
    """Velocity of picture and sound; arguments and results as of `NavaTransformer`, without voices."""

    def __init__(
        self,
        video_channels: int,
        audio_channels: int,
        dim: int,
        num_heads: int,
        num_layers: int,
        text_dim: int,
        text_len: int,
        patch_size: Patch = (1, 2, 2),
        freq_dim: int = 64,
        frames_per_token: float = 0.24,
        rope_theta: float = 200.0,
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.config = SimpleNamespace(
            patch_size=patch_size, text_len=text_len, video_channels=video_channels, audio_channels=audio_channels
        )
        self.rotary = {"head_dim": dim // num_heads, "theta": rope_theta}
        self.frames_per_token = frames_per_token
        self.text_embedding = TextEmbedding([text_dim], dim)
        self.video_embedding = PatchEmbedding(video_channels, dim, patch_size)
        self.audio_embedding = nn.Linear(audio_channels, dim)
        self.sort_embedding = nn.Parameter(torch.zeros(3, dim))
        self.place_embedding = PlaceEmbedding(dim)
        self.time_embedding = TimeEmbedding(freq_dim, dim)
        self.blocks = nn.ModuleList(SingleBlock(dim, num_heads, eps) for _ in range(num_layers))
        out = video_channels * patch_size[0] * patch_size[1] * patch_size[2]
        self.video_head, self.audio_head = Head(dim, out, eps), Head(dim, audio_channels, eps)
        self.skips = GaussianSkips(video_channels, audio_channels, patch_size, stays=True)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, (AdaptiveNorm, Head)):
                nn.init.zeros_(module.linear.weight)
            elif isinstance(module, PlaceEmbedding):
                nn.init.zeros_(module.video.weight)
                nn.init.zeros_(module.audio.weight)

    def encode_context(self, text: Sequence[Tensor]) -> UnifiedContext:
        """From features [n_i, text_dim] of each sample; an empty one is the null text."""
        return UnifiedContext(*self.text_embedding([text]))

    def forward(
        self, latents: AV[Tensor], timesteps: AV[Tensor], context: UnifiedContext, exchange: bool = True
    ) -> AV[Tensor]:
        """Velocities; without exchange each side is predicted as if it were alone."""
        if not exchange and latents.video is not None and latents.audio is not None:
            picture = self(AV(video=latents.video), timesteps, context)
            sound = self(AV(audio=latents.audio), timesteps, context)
            return AV(picture.video, sound.audio)
        words, device = context.text.shape[1], context.text.device
        head_dim, theta = cast(int, self.rotary["head_dim"]), cast(float, self.rotary["theta"])
        turns = [torch.tensor([1.0, 0.0], device=device).expand(words, head_dim // 2, 2)]
        tokens, steps = [context.text + self.sort_embedding[0]], []
        grid = (0, 0, 0)
        if latents.video is not None:
            grid = grid_of(latents.video, self.config.patch_size)
            tokens.append(self.video_embedding(pad_to_patches(latents.video, self.config.patch_size)))
            tokens[-1] = tokens[-1] + self.sort_embedding[1] + self.place_embedding.of_video(grid, device)
            turns.append(video_rotation(grid, head_dim, theta, device))
            steps.append(_every(cast(Tensor, timesteps.video), tokens[-1]))
        if latents.audio is not None:
            here = self.place_embedding.of_audio(latents.audio.shape[1], self.frames_per_token, device)
            tokens.append(self.audio_embedding(latents.audio) + self.sort_embedding[2] + here)
            turns.append(audio_rotation(latents.audio.shape[1], head_dim, self.frames_per_token, theta, device))
            steps.append(_every(cast(Tensor, timesteps.audio), tokens[-1]))
        every = torch.cat(steps, dim=1)
        every = torch.cat((every.amax(1, keepdim=True).expand(-1, words), every), dim=1)
        distinct, index = torch.unique(every, return_inverse=True)
        x = torch.cat(tokens, dim=1)
        time = Time(self.time_embedding(distinct).to(x.dtype), index)
        there = torch.ones(len(x), x.shape[1] - words, dtype=torch.bool, device=device)
        bias, rotation = hiding(torch.cat((context.shown, there), dim=1)), torch.cat(turns)
        for block in self.blocks:
            x = block(x, time, rotation, bias)
        told = self.skips(AV[Latents](latents.video, latents.audio), timesteps)
        return self._leave(x, time, words, grid, latents, told)

    def _leave(self, x: Tensor, time: Time, words: int, grid: Any, latents: AV[Tensor], told: AV[Tensor]) -> AV[Tensor]:
        velocity_v = velocity_a = None
        places = grid[0] * grid[1] * grid[2]
        if latents.video is not None:
            out = self.video_head(x[:, words : words + places], time.part(words, words + places)) + told.video
            t, h, w = latents.video.shape[-3:]
            velocity_v = unpatchify(out, grid, self.config.patch_size)[:, :, :t, :h, :w].to(latents.video.dtype)
        if latents.audio is not None:
            out = self.audio_head(x[:, words + places :], time.part(words + places, None)) + told.audio
            velocity_a = out.to(latents.audio.dtype)
        return AV(velocity_v, velocity_a)


def _every(timesteps: Tensor, tokens: Tensor) -> Tensor:
    """A timestep for each token, [batch, tokens] float32."""
    steps = timesteps.to(tokens.device).float()
    return (steps[:, None] if steps.ndim == 1 else steps).expand(len(tokens), tokens.shape[1])
