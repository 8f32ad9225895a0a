"""Timestep tables: which noise levels a sampler visits and which timestep the network is told at each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from vivace.errors import VivaceError

# NAVA's Euler schedule ends its base line at this level (its flow-match scheduler's "sigma_min" over 1 + 2e-3).
EULER_SIGMA_MIN = 0.003 / 1.002
TRAIN_STEPS = 1000
MAX_STEPS = 1000


class Table(NamedTuple):
    """One sampling schedule.

    sigmas: noise levels, float32 [N + 1], falling, the last one 0.
    timesteps: what the network is told before each step, [N] on the 0..1000 scale (float32, or int64 for UniPC).
    """

    sigmas: np.ndarray
    timesteps: np.ndarray

    @property
    def steps(self) -> int:
        return len(self.timesteps)


def shifted(sigmas: np.ndarray, shift: float) -> np.ndarray:
    """s * sigma / (1 + (s - 1) * sigma): more steps at high noise for s > 1 (NAVA uses 5)."""
    return shift * sigmas / (1 + (shift - 1) * sigmas)


def euler_table(steps: int, shift: float = 5.0) -> Table:
    """NAVA's flow-match schedule: linspace(1, 0.003/1.002, N + 1) without its last entry, shifted, then 0.

    Raises:
        VivaceError: steps or shift out of range.
    """
    _check(steps, shift)
    base = torch.linspace(1.0, EULER_SIGMA_MIN, steps + 1)[:-1].numpy()
    sigmas = shifted(base, shift).astype(np.float32)
    return Table(np.append(sigmas, np.float32(0)), sigmas * np.float32(1000))


def unipc_table(steps: int, shift: float = 5.0) -> Table:
    """Wan's UniPC schedule as NAVA constructs it.

    The highest training level (0.999) is shifted once by the constructor and again with the whole line, so the first
    level is 0.99996 at shift 5. The solver steps with the levels, the network sees the integer part of 1000 * sigma.

    Raises:
        VivaceError: steps or shift out of range.
    """
    _check(steps, shift)
    highest = shifted(np.array(1 - 1 / TRAIN_STEPS), shift)
    sigmas = shifted(np.linspace(float(highest), 0.0, steps + 1)[:-1], shift)
    timesteps = (sigmas * 1000).astype(np.int64)
    return Table(np.append(sigmas, 0.0).astype(np.float32), timesteps)


def sound_ahead(table: Table, lead: float) -> Table:
    """The schedule of sound that is settled before its picture: at every step the odds of its noise are 1/lead of it.

    Odds are sigma / (1 - sigma). Both begin as pure noise and end clean together (ours).

    Raises:
        VivaceError: lead out of range.
    """
    if not np.isfinite(lead) or not 1 <= lead <= 100:
        raise VivaceError(f"sound_lead {lead!r} is out of range; give a number from 1 to 100, such as 4.")
    sigmas = shifted(table.sigmas.astype(np.float64), 1 / lead).astype(np.float32)
    return Table(sigmas, (sigmas[:-1] * np.float32(1000)).astype(table.timesteps.dtype))


def train_table(shift: float = 5.0) -> Table:
    """The 1000 noise levels that NAVA's training draws from: its Euler schedule in 1000 steps."""
    return euler_table(TRAIN_STEPS, shift)


def _check(steps: int, shift: float) -> None:
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or not 1 <= steps <= MAX_STEPS:
        raise VivaceError(f"steps {steps!r} is out of range; give a whole number from 1 to {MAX_STEPS}, such as 25.")
    if not np.isfinite(shift) or not 0 < shift <= 100:
        raise VivaceError(f"shift {shift!r} is out of range; give a number above 0 and up to 100, such as 5.")
