"""Shapes that several sounds of the world are made with: resonances and slow wandering."""

from __future__ import annotations

import math

import numpy as np
from scipy.signal import lfilter


def resonance(sound: np.ndarray, frequency: float, bandwidth: float, rate: int) -> np.ndarray:
    """`sound` [..., N] through a two-pole resonance (Hz) whose peak has a gain of about 1 for a click."""
    radius = math.exp(-math.pi * bandwidth / rate)
    angle = 2 * math.pi * min(frequency, 0.46 * rate) / rate
    ringing: np.ndarray = lfilter([math.sin(angle)], (1.0, -2 * radius * math.cos(angle), radius**2), sound, axis=-1)
    return ringing


def wandering(rng: np.random.Generator, samples: int, rate: int, per_second: float) -> np.ndarray:
    """A smooth random curve in [-1, 1], [samples], with `per_second` new values a second.

    Values are drawn in the order of time: a longer curve begins with the shorter one.
    """
    place = np.arange(samples) / rate * per_second
    knots = rng.uniform(-1, 1, int(place[-1]) + 2 if samples else 2)
    low = place.astype(int)
    share = place - low
    share = share**2 * (3 - 2 * share)
    return knots[low] + share * (knots[low + 1] - knots[low])
