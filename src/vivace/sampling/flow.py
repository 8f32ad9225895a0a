"""Flow matching: noising, its target, NAVA's time sampling, weights and losses. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vivace.pair import AV
from vivace.sampling.schedules import Table, shifted


class Times(NamedTuple):
    """Drawn noise levels, one per sample: all float32 [B]; `timesteps` on the 0..1000 scale."""

    sigmas: Tensor
    timesteps: Tensor
    weights: Tensor


def add_noise(clean: Tensor, noise: Tensor, sigmas: Tensor) -> Tensor:
    """x_t = (1 - sigma) x0 + sigma noise; `sigmas` [B] (or any shape) is aligned with the leading dimensions."""
    level = sigmas.reshape(sigmas.shape + (1,) * (clean.ndim - sigmas.ndim)).to(clean.dtype)
    return (1 - level) * clean + level * noise


def velocity_target(clean: Tensor, noise: Tensor) -> Tensor:
    """v = noise - x0."""
    return noise - clean


def nearest_sigmas(table: Table, timesteps: Tensor) -> Tensor:
    """The noise level of the table entry nearest to each timestep (how NAVA's scheduler looks levels up). [B]"""
    entries = torch.from_numpy(table.timesteps).to(timesteps.device)
    index = (entries[None] - timesteps.float()[:, None]).abs().argmin(dim=1)
    return torch.from_numpy(table.sigmas).to(timesteps.device)[index]


def bell_weights(table: Table) -> np.ndarray:
    """NAVA's loss weight per table entry: a bell around timestep 500, 0 at the noisiest entry, mean 1. float32 [N]

    exp(-2 ((t - 500) / 1000)^2) less its minimum, scaled to sum to the number of entries.
    """
    timesteps = table.timesteps.astype(np.float32)
    bell = np.exp(-2 * np.square((timesteps - np.float32(500)) / np.float32(1000)))
    bell = bell - bell.min()
    return (bell * (len(bell) / bell.sum())).astype(np.float32)


def training_weights(table: Table, timesteps: Tensor) -> Tensor:
    """The bell weight of the table entry nearest to each timestep. [B]"""
    entries = torch.from_numpy(table.timesteps).to(timesteps.device)
    index = (entries[None] - timesteps.float()[:, None]).abs().argmin(dim=1)
    return torch.from_numpy(bell_weights(table)).to(timesteps.device)[index]


def sample_from_table(count: int, table: Table, generator: torch.Generator) -> Times:
    """Uniform over the entries of a shifted table, with the bell weights (NAVA's training)."""
    index = torch.randint(table.steps, (count,), generator=generator)
    sigmas, timesteps = torch.from_numpy(table.sigmas)[index], torch.from_numpy(table.timesteps)[index]
    return Times(sigmas, timesteps.float(), torch.from_numpy(bell_weights(table))[index])


def spread_normal(count: int, generator: torch.Generator) -> Tensor:
    """Standard normal values, one from each of `count` equally likely parts, in random order. float64 [count]

    Each value by itself is normal, and a batch has as many of every part. Levels of noise differ more in their loss
    than clips do, so such batches give a steadier gradient (Kingma et al. 2021).
    """
    within = torch.rand(count, generator=generator, dtype=torch.float64)
    quantiles = (torch.randperm(count, generator=generator) + within) / count
    return torch.special.ndtri(quantiles.clamp(1e-9, 1 - 1e-9))


def sample_logit_normal(
    count: int,
    generator: torch.Generator,
    mean: float = 0.0,
    std: float = 1.0,
    shift: float = 1.0,
    *,
    spread: bool = False,
) -> Times:
    """sigma = shifted(sigmoid(mean + std * normal)), all weights 1 (Stable Diffusion 3).

    Args:
        spread: draw by `spread_normal`.
    """
    normal = spread_normal(count, generator) if spread else torch.randn(count, generator=generator, dtype=torch.float64)
    sigmas = torch.sigmoid(mean + std * normal)
    moved = torch.from_numpy(shifted(sigmas.numpy(), shift)).float()
    return Times(moved, moved * 1000, torch.ones(count))


def flow_loss(predictions: Sequence[Tensor], targets: Sequence[Tensor], weights: Tensor) -> Tensor:
    """Each sample's mean squared error in float32 times its weight, averaged over the batch (samples may be ragged)."""
    errors = [(p.float() - t.float()).square().mean() for p, t in zip(predictions, targets, strict=True)]
    return (torch.stack(errors) * weights).mean()


def joint_loss(losses: AV[Tensor], coefficients: AV[float], *, official: bool = False) -> Tensor:
    """The sum of the present sides' losses times their coefficients.

    Args:
        official: apply the video coefficient twice, as the published program does (no difference at 1).
    """
    power = AV(2 if official else 1, 1)
    terms = losses.map(lambda loss, coefficient, n: loss * math.pow(coefficient, n), coefficients, power)
    return torch.stack([term for _, term in terms.items()]).sum()
