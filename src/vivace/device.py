"""The device that a user names."""

from __future__ import annotations

import torch

from vivace.errors import VivaceError


def usable_device(name: str) -> torch.device:
    """A device that computes here.

    Raises:
        VivaceError: there is none of this name, or it computes nothing.
    """
    try:
        device = torch.device(name)
        float(torch.ones(1, device=device).sum())
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise VivaceError(f"device {name!r} cannot be used ({str(error).splitlines()[0]}); try cpu.") from None
    return device
