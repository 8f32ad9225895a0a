"""Bringing a pipeline's parts to where its memory plan wants them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

from vivace.models.alive import AliveTransformer
from vivace.pipelines.memory import Placement
from vivace.pipelines.parts import PARTS


class Placed:
    """A pipeline whose parts follow a plan."""

    placement: Placement | None = None

    def place(self, placement: Placement) -> None:
        """Follow a plan from now on; once per pipeline, because stored weights and hooks cannot be taken back.

        Adapters are loaded before.
        """
        device, host = torch.device(placement.device), torch.device("cpu")
        for name in PARTS:
            module = getattr(self, name, None)
            if not isinstance(module, torch.nn.Module):
                continue
            transformer: Any = module
            if name == "transformer" and placement.strategy == "fp8":
                transformer.enable_layerwise_casting(torch.float8_e4m3fn, transformer.dtype)
            if name == "transformer" and placement.strategy == "grouped":
                stream = device.type == "cuda"
                transformer.enable_group_offload(
                    device, host, "block_level", num_blocks_per_group=1, use_stream=stream, low_cpu_mem_usage=stream
                )
                for part in transformer.outside_of_blocks() if isinstance(transformer, AliveTransformer) else ():
                    part.to(device)
            else:
                module.to(host if name in placement.parked else device)
        self.placement = placement

    @contextlib.contextmanager
    def at_work(self, *names: str) -> Iterator[None]:
        """While inside, these parts are on the device, if the plan lets them wait elsewhere."""
        placement = self.placement
        waiting = set() if placement is None else placement.parked.intersection(names)
        if placement is not None and placement.text_on_host:
            waiting -= {"text_encoder"}
        modules = [module for name in waiting if isinstance(module := getattr(self, name, None), torch.nn.Module)]
        for module in modules:
            assert self.placement is not None
            module.to(self.placement.device)
        try:
            yield
        finally:
            for module in modules:
                module.to("cpu")
            if modules and torch.cuda.is_available():
                torch.cuda.empty_cache()


def load_offloaded(module: torch.nn.Module) -> None:
    """Bring an offloaded module to its device before something other than its forward is called."""
    hook = getattr(module, "_hf_hook", None)
    if hook is not None:
        hook.pre_forward(module)
