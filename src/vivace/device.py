"""The device that a user names."""

from __future__ import annotations

import platform
from pathlib import Path

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


def device_name(device: str) -> str:
    """What the maker calls a device; its kind where the system does not tell."""
    place = torch.device(device)
    if place.type == "cuda":
        return torch.cuda.get_device_name(place)
    return _processor() if place.type == "cpu" else place.type


def _processor() -> str:
    """The processor's name; Linux has it in a file alone."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = [value.strip() for key, _, value in (line.partition(":") for line in lines) if key.strip() == "model name"]
    return next(iter(named), "") or platform.processor() or platform.machine()
