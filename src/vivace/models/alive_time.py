"""Noise levels as Alive's blocks are told them: embedded timesteps, one per sample or one per token."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vivace.errors import VivaceError
from vivace.models.layers import Modulation, sinusoid

TIME_SCALE = 1000.0


@dataclass(frozen=True)
class Time:
    """Embedded timesteps [rows, dim], one row per distinct timestep, and each token's row [batch, tokens].

    Without an index row b serves the whole of sample b.
    """

    embedding: Tensor
    index: Tensor | None

    def part(self, start: int, stop: int | None) -> Time:
        """The same for a part of the tokens."""
        return self if self.index is None else Time(self.embedding, self.index[:, start:stop])


class TimeEmbedding(nn.Module):
    """Timesteps [n] to [n, dim]."""

    def __init__(self, freq_dim: int, dim: int) -> None:
        super().__init__()
        self.freq_dim = freq_dim
        self.enter, self.leave = nn.Linear(freq_dim, dim), nn.Linear(dim, dim)

    def forward(self, timesteps: Tensor) -> Tensor:
        return self.leave(F.silu(self.enter(sinusoid(timesteps, self.freq_dim).to(self.enter.weight.dtype))))


class AdaptiveNorm(nn.Module):
    """Vectors that shift, scale and gate a block, from the embedded timestep; zeros at first (adaLN-zero)."""

    def __init__(self, dim: int, vectors: int) -> None:
        super().__init__()
        self.vectors = vectors
        self.linear = nn.Linear(dim, vectors * dim)

    def forward(self, time: Time) -> Modulation:
        return Modulation(self.linear(F.silu(time.embedding)).unflatten(-1, (self.vectors, -1)), time.index)


def estimated_clean(latents: Tensor, velocity: Tensor, timesteps: Tensor) -> Tensor:
    """x0 = x_t - t v of audio tokens [batch, tokens, channels] in float32; exactly the latents where t is 0."""
    level = (timesteps.float() / TIME_SCALE).to(latents.device)
    level = level[:, None, None] if level.ndim == 1 else level[:, :, None]
    return latents.float() - level * velocity.float()


def embedded_time(
    embedding: TimeEmbedding, timesteps: Tensor, tokens: Tensor, *, before: int = 0, after: int = 0
) -> tuple[Time, Tensor]:
    """Embedded timesteps of a stream, and the one at which each sample is generated.

    Args:
        timesteps: [batch] or [1], or one for each token [batch, tokens].
        tokens: [batch, tokens, dim]. before: tokens of text, at the noisiest of the timesteps. after: clean ones.

    Raises:
        VivaceError: timesteps of another shape.
    """
    batch, count = tokens.shape[:2]
    steps = timesteps.to(tokens.device).float()
    if steps.ndim not in (1, 2) or steps.shape[0] not in (1, batch) or (steps.ndim == 2 and steps.shape[1] != count):
        raise VivaceError(
            f"Timesteps {tuple(steps.shape)} for tokens {tuple(tokens.shape[:2])} do not match; "
            "give one per sample or one per token."
        )
    steps = steps.expand(batch, *steps.shape[1:])
    if steps.ndim == 1 and not after:
        rows = embedding(steps).to(tokens.dtype)
        return Time(rows, None), rows
    if steps.ndim == 1:
        rows = embedding(torch.cat((steps, steps.new_zeros(1)))).to(tokens.dtype)
        own = torch.arange(batch, device=steps.device)[:, None].expand(-1, before + count)
        return Time(rows, F.pad(own, (0, after), value=batch)), rows[:batch]
    now = steps.amax(dim=1)
    every = torch.cat((now[:, None].expand(-1, before), steps, steps.new_zeros(batch, after)), dim=1)
    distinct, index = torch.unique(every, return_inverse=True)
    return Time(embedding(distinct).to(tokens.dtype), index), embedding(now).to(tokens.dtype)
