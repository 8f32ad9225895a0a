"""Steps of the flow ODE over the pair of modalities: Euler, and UniPC of order 2.

Every step is a linear combination of tensors with scalar coefficients, so each method is a function that gives the
coefficients (float64) and one that applies them to both sides of the pair (float32).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from vivace.errors import VivaceError
from vivace.pair import AV
from vivace.sampling.schedules import Table, euler_table, unipc_table

SolverName = Literal["euler", "unipc"]
SOLVERS: tuple[SolverName, ...] = ("euler", "unipc")


class Solver(Protocol):
    """One sampling run's integrator; `step` is called with index 0, 1, ... in order."""

    def step(self, velocity: AV[Tensor], latents: AV[Tensor], index: int) -> AV[Tensor]: ...


class SideBySide:
    """A solver for each side, where they have schedules of their own."""

    def __init__(self, video: Solver, audio: Solver) -> None:
        self.video, self.audio = video, audio

    def step(self, velocity: AV[Tensor], latents: AV[Tensor], index: int) -> AV[Tensor]:
        """As `Solver`."""

        def stepped(solver: Solver, v: Tensor | None, x: Tensor | None) -> Tensor | None:
            return None if v is None or x is None else solver.step(AV(v), AV(x), index).video

        return AV(
            stepped(self.video, velocity.video, latents.video), stepped(self.audio, velocity.audio, latents.audio)
        )


def table_for(solver: SolverName, steps: int, shift: float) -> Table:
    """The schedule that belongs to a solver."""
    return unipc_table(steps, shift) if solver == "unipc" else euler_table(steps, shift)


def solver_for(solver: SolverName, sigmas: np.ndarray, sound: np.ndarray | None = None) -> Solver:
    """A fresh solver over noise levels [N + 1], those of the sound being the picture's where it has none of its own.

    Raises:
        VivaceError: an unknown name.
    """
    if sound is not None:
        return SideBySide(solver_for(solver, sigmas), solver_for(solver, sound))
    if solver == "unipc":
        return UniPCSolver(sigmas)
    if solver == "euler":
        return EulerSolver(sigmas)
    raise VivaceError(f"Solver {solver!r} is unknown; use one of {', '.join(SOLVERS)}.")


class EulerSolver:
    """x += v * (sigma_next - sigma). It keeps no state."""

    def __init__(self, sigmas: np.ndarray) -> None:
        self.sigmas = np.asarray(sigmas, dtype=np.float32)

    def step(self, velocity: AV[Tensor], latents: AV[Tensor], index: int) -> AV[Tensor]:
        """The latents at noise level `index + 1` from those at `index`; both pairs have the same sides and shapes."""
        change = float(self.sigmas[index + 1] - self.sigmas[index])
        return latents.map(lambda x, v: x + v * change, velocity)


class Coefficients(NamedTuple):
    """x_next = sample * x + current * m0 + previous * m1 (+ corrected * m_t in the corrector)."""

    sample: float
    current: float
    previous: float = 0.0
    corrected: float = 0.0


def unipc_predictor(sigmas: np.ndarray, index: int, order: int) -> Coefficients:
    """From the level `index` to the next: x from x at `index`, m0 = x0 prediction there, m1 = the one before.

    UniP-2 with B(h) = e^h - 1 ("bh2"), data prediction (UniPC, Zhao et al. 2023, in the form of Wan's scheduler).
    """
    start, end = float(sigmas[index]), float(sigmas[index + 1])
    if end == 0:
        # h is infinite: the formula's limit is the data prediction itself.
        return Coefficients(0.0, 1.0)
    h = _log_snr(end) - _log_snr(start)
    base = -(1 - end) * math.expm1(-h)
    if order == 1:
        return Coefficients(end / start, base)
    ratio = (_log_snr(float(sigmas[index - 1])) - _log_snr(start)) / h
    extra = base * 0.5 / ratio
    return Coefficients(end / start, base - extra, extra)


def unipc_corrector(sigmas: np.ndarray, index: int, order: int) -> Coefficients:
    """The sample at `index` again, from x at `index - 1` (m0, m1 as seen from there) and m_t predicted at `index`."""
    start, end = float(sigmas[index - 1]), float(sigmas[index])
    h = _log_snr(end) - _log_snr(start)
    base = -(1 - end) * math.expm1(-h)
    if order == 1:
        return Coefficients(end / start, base * 0.5, 0.0, base * 0.5)
    ratio = (_log_snr(float(sigmas[index - 2])) - _log_snr(start)) / h
    # Solve [[1, 1], [ratio, 1]] rho = b with b_k = k! phi_{k+1}(-h) / B(h).
    phi2 = math.expm1(-h) / -h - 1
    phi3 = phi2 / -h - 0.5
    b1, b2 = phi2 / math.expm1(-h), 2 * phi3 / math.expm1(-h)
    rho1 = (b1 - b2) / (1 - ratio)
    rho2 = b1 - rho1
    return Coefficients(end / start, base * (1 - rho1 / ratio - rho2), base * rho1 / ratio, base * rho2)


class UniPCSolver:
    """UniPC of order 2 (bh2, data prediction), corrector from the second step on, last step of order 1, float32.

    The corrector starts again from the previous corrected sample: what the caller passes as `latents` enters only
    through the data prediction x - sigma * v. One instance serves one run and both modalities.
    """

    def __init__(self, sigmas: np.ndarray) -> None:
        # Coefficients come from the levels as float32 holds them: near 1, log(1 - sigma) feels their rounding.
        self.sigmas = np.asarray(sigmas, dtype=np.float32).astype(np.float64)
        if not self.sigmas[0] < 1:
            raise VivaceError(
                f"UniPC cannot start at noise level {self.sigmas[0]:g}; use unipc_table, which begins below 1."
            )
        self._data: list[AV[Tensor]] = []
        self._sample: AV[Tensor] | None = None
        self._order = 1

    def step(self, velocity: AV[Tensor], latents: AV[Tensor], index: int) -> AV[Tensor]:
        """The latents at noise level `index + 1` from those at `index`; call with index 0, 1, 2, ...

        Raises:
            ValueError: an index out of order.
        """
        if (index == 0) != (self._sample is None) or not 0 <= index < len(self.sigmas) - 1:
            raise ValueError(f"UniPC was asked for step {index} out of order; start a new solver for a new run")
        sigma = float(self.sigmas[index])
        data = latents.map(lambda x, v: x.float() - sigma * v.float(), velocity)
        sample = latents.map(lambda x: x.float())
        if self._sample is not None:
            corrector = unipc_corrector(self.sigmas, index, self._order)
            sample = _combined(corrector, self._sample, [*self._data[::-1]], data)
        self._data = [*self._data[-1:], data]
        last = index == len(self.sigmas) - 2
        self._order = 1 if last else min(2, index + 1)
        self._sample = sample
        return _combined(unipc_predictor(self.sigmas, index, self._order), sample, self._data[::-1], None)


def _log_snr(sigma: float) -> float:
    return math.log(1 - sigma) - math.log(sigma)


def _combined(
    coefficients: Coefficients, sample: AV[Tensor], data: Sequence[AV[Tensor]], corrected: AV[Tensor] | None
) -> AV[Tensor]:
    terms = [(coefficients.sample, sample), (coefficients.current, data[0])]
    if coefficients.previous:
        terms.append((coefficients.previous, data[1]))
    if corrected is not None:
        terms.append((coefficients.corrected, corrected))
    weights = [weight for weight, _ in terms]

    def combine(first: Tensor, *rest: Tensor) -> Tensor:
        total = first * weights[0]
        for weight, tensor in zip(weights[1:], rest, strict=True):
            total = torch.add(total, tensor, alpha=weight)
        return total

    return terms[0][1].map(combine, *(pair for _, pair in terms[1:]))
