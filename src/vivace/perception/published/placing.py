"""Where the networks of others compute: on the CPU, or on the device that the user names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from vivace.errors import VivaceError

_CPU = torch.device("cpu")


@contextmanager
def inference() -> Iterator[None]:
    """Without gradients, and on a GPU the same each time and in the full precision of float32: cuDNN's convolutions
    would else round their inputs to TF32, and figures would differ from the CPU's in the third digit."""
    with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        yield


class Placed:
    """An adapter whose network is `model`; what it is given is made on the CPU and computed on `device`."""

    model: Any
    device: torch.device = _CPU

    def to(self, device: str) -> None:
        """Move what computes.

        Raises:
            VivaceError: there is no such device, or no room on it.
        """
        with moving(device) as place:
            for network in self._networks():
                network.to(place)
        self.device = place

    def _networks(self) -> tuple[Any, ...]:
        return (self.model,)


@contextmanager
def moving(device: str) -> Iterator[torch.device]:
    """The device of this name, to move networks to.

    Raises:
        VivaceError: there is no such device, or no room on it.
    """
    try:
        yield torch.device(device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise VivaceError(
            f"A network cannot be moved to device {device!r} ({str(error).splitlines()[0]}); "
            "name the weights of fewer networks at a time, or measure on the cpu."
        ) from None
