"""Checks of single numbers that a user sets."""

from __future__ import annotations

from typing import TypeGuard

from vivace.errors import VivaceError


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is a real number; True and False, which Python counts among them, are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def check_level(name: str, value: float) -> float:
    """The noise level from which on a guide acts. Raises VivaceError unless it is a number from 0 up to 1."""
    if not is_number(value) or not 0 <= value < 1:
        raise VivaceError(f"Guide {name} = {value!r} is no noise level; give a number from 0 up to 1, such as 0.3.")
    return float(value)
