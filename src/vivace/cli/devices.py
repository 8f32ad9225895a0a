"""Devices: several processes, one for each, that make one clip (started by torchrun); and the one that measures."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer

from vivace.errors import VivaceError, count_of

MEASURES_ON = "Where the networks of --weights measure: cpu, cuda, cuda:1, ..."
_FORM = re.compile(r"([1-9]\d{0,3})(?:[xX×]([1-9]\d{0,3}))?")


@dataclass(frozen=True)
class Crew:
    """The processes of this command; the one of rank 0 leads, the others do as it says.

    Args:
        context: how many share each sequence. branches: how many share the branches of guidance.
    """

    context: int
    branches: int
    rank: int

    def told(self, order: Any = None) -> Any:
        """What the leader says, on every process; the others need to give nothing."""
        from vivace.pipelines.parallel import same

        return same(order)


def parse_devices(text: str) -> tuple[int, int]:
    """ "4" -> (4, 1), "4x2" -> (4, 2): devices for each sequence, and for the branches of guidance.

    Raises:
        VivaceError: anything else.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise VivaceError(f"devices {text!r} is not CONTEXT or CONTEXTxBRANCHES; give numbers such as 4 or 4x2.")
    return int(match[1]), int(match[2] or 1)


@contextlib.contextmanager
def joined(devices: str | None) -> Iterator[Crew | None]:
    """The crew that this process belongs to, or None where it is alone.

    Args:
        devices: as typed; None puts all processes that were started on the sequences.

    Raises:
        VivaceError: no such form, or another number of processes than were started.
    """
    started = int(os.environ["WORLD_SIZE"]) if {"WORLD_SIZE", "RANK", "MASTER_ADDR"} <= os.environ.keys() else 1
    rank = int(os.environ["RANK"]) if started > 1 else 0
    try:
        context, branches = (started, 1) if devices is None else parse_devices(devices)
        if context * branches != started:
            raise VivaceError(
                f"--devices asks for {count_of(context * branches, 'device')} where {count_of(started, 'process')} "
                f"{'is' if started == 1 else 'are'} running; "
                f"start it as: torchrun --nproc-per-node {context * branches} --no-python vivace generate ..."
            )
    except VivaceError:
        if rank:  # one sentence is enough
            raise typer.Exit(2) from None
        raise
    if started == 1:
        yield None
        return
    import torch
    import torch.distributed as dist

    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    yield Crew(context, branches, rank)
    # Not after an error: the others may be waiting in the middle of something, and torchrun ends them.
    dist.destroy_process_group()


def measuring_device(name: str) -> str:
    """The name of a device that computes here; whoever asks for the CPU waits for no library.

    Raises:
        VivaceError: there is no such device.
    """
    if name == "cpu":
        return name
    from vivace.device import usable_device

    return str(usable_device(name))


@contextlib.contextmanager
def memory_told() -> Iterator[None]:
    """Say in one sentence that a GPU's memory ran out.

    Raises:
        VivaceError: it did.
    """
    try:
        yield
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":
            raise
        raise VivaceError(
            "The GPU's memory ran out; make fewer clips at a time (--batch), name the weights of fewer networks at a "
            "time, or measure with --device cpu."
        ) from error
