"""Where a refiner's path begins: a picture's latents drowned in noise, but not to the end.

Alive names the step "Latent Degradation"; the form and its training range are those of Waver, whose refiner has the
same place: Y = (1 - w) X_low + w N with w from 0.85 to 0.95, and the path X_t = (1 - t) X_0 + t Y. With Y in the place
of noise, noising, target and solvers are those of flow matching.
"""

from __future__ import annotations

from torch import Tensor

from vivace.errors import VivaceError
from vivace.sampling.flow import add_noise
from vivace.sampling.settings_checks import is_number

TRAINED = (0.85, 0.95)
# What sampling begins with; no source tells. Ours: the middle of what training shows.
DEGRADATION = 0.9


def degraded(low: Tensor, noise: Tensor, weights: Tensor) -> Tensor:
    """Y = (1 - w) X_low + w N.

    Args:
        low: latents [B, C, T, H, W] of a small picture made large. noise: standard normal, of the same shape.
        weights: w, [B].
    """
    return add_noise(low, noise, weights)


def check_degradation(weight: float) -> float:
    """The weight itself. Raises VivaceError unless it is a number from 0 to 1."""
    if not is_number(weight) or not 0 <= weight <= 1:
        raise VivaceError(f"degradation {weight!r} is no number from 0 to 1; give one such as {DEGRADATION:g}.")
    return float(weight)
