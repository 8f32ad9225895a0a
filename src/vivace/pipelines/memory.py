"""Memory plans: where each part of a model stands while a clip is made, what that takes, and which plan fits.

All plans but those marked inexact make the same clip: moving weights, running branches one by one and decoding frame by
frame change nothing but the order of sums.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from vivace.errors import VivaceError
from vivace.pipelines.decoding import Decoding
from vivace.pipelines.footprint import Needs
from vivace.pipelines.parts import PARTS, Part

Strategy = Literal["resident", "text-offloaded", "in-turn", "grouped", "fp8"]
STRATEGIES: dict[Strategy, str] = {
    "resident": "all parts stay on the device",
    "text-offloaded": "the text encoder is on the device while it reads, then the transformer while it denoises",
    "in-turn": "each part is on the device only while it works",
    "grouped": "of the transformer two blocks at a time are on the device, and the text encoder runs on the CPU",
    "fp8": "the transformer's blocks are stored in 8 bits",
}
GB = 10**9
# What no tensor shows: the context of CUDA, libraries in host memory, and as a share of tensors what an allocator
# rounds up and convolutions use inside. Ours; not measured on a GPU yet.
CUDA_CONTEXT = 600 * 10**6
LIBRARIES = 900 * 10**6
ROUNDING = 0.08
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(GB|GiB|G|MB|MiB|M)", re.IGNORECASE)
_UNITS = {"gb": 10**9, "g": 10**9, "gib": 2**30, "mb": 10**6, "m": 10**6, "mib": 2**20}
_TEXT = ("text_encoder", "speaker_encoder")
_ALIVE_BLOCKS = ("video.dual_", "video.single_", "audio.blocks.", "audio.description_words.", "audio.speech_words.",
                 "exchange.fusions.", "exchange.hear.")  # fmt: skip
# How many words of a weight's name tell which group of layers it moves with; NAVA's names, then Alive's.
_GROUPS = {
    ("double_", "single_", "text_embedding.", "time_embedding.", "time_projection.", "speaker_embedding."): 2,
    _ALIVE_BLOCKS: 3,
}
_EIGHT_BITS = ("double_", "single_", *_ALIVE_BLOCKS)
_NOT_EIGHT_BITS = ("norm", "modulation", "adjust")


@dataclass(frozen=True)
class Placement:
    """A plan.

    Args:
        device: kind of device that computes.
        together: branches of guidance as one batch.
    """

    device: str
    strategy: Strategy = "resident"
    decoding: Decoding = "whole"
    together: bool = True

    @property
    def exact(self) -> bool:
        """Whether it makes the clip that every exact plan makes."""
        return self.strategy != "fp8" and self.decoding != "tiled"

    @property
    def parked(self) -> frozenset[str]:
        """Parts that wait in host memory while others work."""
        if self.strategy == "resident" or self.device == "cpu":
            return frozenset()
        if self.strategy == "text-offloaded":
            # Both at once are the largest sum there is, so that sending only the text encoder away would save nothing.
            return frozenset({*_TEXT, "transformer"})
        own = {"transformer"} if self.strategy == "grouped" else set()  # its hooks move it
        return frozenset(set(PARTS) - own)

    @property
    def text_on_host(self) -> bool:
        """Whether the text encoder, which is larger than all that such a device holds, runs where it waits."""
        return self.strategy == "grouped" and self.device != "cpu"

    def sentence(self) -> str:
        words = [f"computes on the {'CPU' if self.device == 'cpu' else 'GPU'}", STRATEGIES[self.strategy]]
        words += [] if self.together else ["guidance branches run one after another"]
        words += {"whole": [], "streamed": ["pictures are decoded frame by frame"], "tiled": ["pictures in tiles"]}[
            self.decoding
        ]
        return "; ".join(words) + ("" if self.exact else " (the clip differs slightly from that of other plans)")


@dataclass(frozen=True)
class Peaks:
    """Expected peak bytes, with what no tensor shows. On a CPU both are the same memory and `device` is 0."""

    device: int
    host: int

    def fits(self, limit: Peaks) -> bool:
        return self.device <= limit.device and self.host <= limit.host


@dataclass(frozen=True)
class Choice:
    """The plan that was chosen, and what it needs."""

    placement: Placement
    peaks: Peaks


def tensor_peak(parts: Mapping[str, Part], needs: Needs, placement: Placement, itemsize: int) -> int:
    """Peak bytes of tensors on the computing device. On a CPU that is all of them."""
    weights = {name: part.values * itemsize for name, part in parts.items()}
    most = weights.get("transformer", 0)
    if placement.strategy in ("grouped", "fp8"):
        most = (
            _grouped(parts["transformer"], itemsize, placement)
            if placement.strategy == "grouped"
            else _fp8(parts["transformer"], itemsize)
        )
    held = {**weights, "transformer": most}
    if placement.strategy == "grouped" and placement.device == "cpu":
        held["transformer"] = weights["transformer"]  # nowhere else to go

    def stage(need: int, *used: str) -> int:
        # A grouped transformer holds nothing on the device while other parts work.
        idle = {"transformer"} if placement.strategy == "grouped" and placement.device != "cpu" else set()
        return need + sum(
            size for name, size in held.items() if name in used or (name not in placement.parked and name not in idle)
        )

    return max(
        0 if placement.text_on_host else stage(needs.text, *_TEXT),
        stage(0, "vae", "audio_vae"),  # ready to encode what is given, beside what little was read
        stage(needs.context, "transformer"),
        stage(needs.pictured, "transformer", "vae") if needs.pictured else 0,
        stage(needs.sampling[placement.together], "transformer"),
        stage(needs.pictures[placement.decoding], "vae"),
        stage(needs.sound, "audio_vae", "vocoder"),
    )


def _grouped(part: Part, itemsize: int, placement: Placement) -> int:
    """What is in no group, and the two largest blocks: one at work, one on its way."""
    groups: dict[str, int] = {}
    rest = 0
    for name, values in part.tensors.items():
        words = next((count for starts, count in _GROUPS.items() if name.startswith(starts)), 0)
        if words:
            group = ".".join(name.split(".")[:words])
            groups[group] = groups.get(group, 0) + values
        else:
            rest += values
    return (rest + sum(sorted(groups.values())[-2:])) * itemsize


def _fp8(part: Part, itemsize: int) -> int:
    """One byte per value of the blocks' linear layers, and the largest of them as it is computed with."""
    small = {name: values for name, values in part.tensors.items() if _is_fp8(name)}
    rest = part.values - sum(small.values())
    return sum(small.values()) + rest * itemsize + max(small.values(), default=0) * itemsize


def _is_fp8(name: str) -> bool:
    return name.startswith(_EIGHT_BITS) and not any(word in name for word in _NOT_EIGHT_BITS)


def peaks_of(parts: Mapping[str, Part], needs: Needs, placement: Placement, itemsize: int) -> Peaks:
    """Expected peaks of device and host memory."""
    tensors = tensor_peak(parts, needs, placement, itemsize)
    every = weight_bytes(parts, itemsize)
    if placement.device == "cpu":
        # fp8 is cast after loading, which holds everything.
        return Peaks(0, int(max(tensors, every) * (1 + ROUNDING)) + LIBRARIES)
    # All of them are in host memory before they are placed.
    return Peaks(int(tensors * (1 + ROUNDING)) + CUDA_CONTEXT, every + LIBRARIES)


def weight_bytes(parts: Mapping[str, Part], itemsize: int) -> int:
    """Of all weights as they are computed with."""
    return sum(part.values for part in parts.values()) * itemsize


def placements(device: str) -> list[Placement]:
    """Plans from the fastest on; exact ones before those that change the clip, any on a GPU before the CPU."""
    strategies: list[Strategy] = (
        ["resident"] if device == "cpu" else ["resident", "text-offloaded", "in-turn", "grouped"]
    )
    ways: list[tuple[bool, Decoding]] = [(True, "whole"), (True, "streamed"), (False, "whole"), (False, "streamed")]
    exact = [Placement(device, s, how, together) for s in strategies for together, how in ways]
    last = strategies[-1]
    inexact = [Placement(device, last, "tiled", False), Placement(device, "fp8", "streamed", False)]
    cpu = [] if device == "cpu" else [Placement("cpu", "resident", how, together) for together, how in ways]
    return [*exact, *inexact, *cpu]


def choose(
    parts: Mapping[str, Part],
    needs: Mapping[str, Needs],
    device: str,
    limit: Peaks,
    itemsize: int,
    strategy: Strategy | None = None,
) -> Choice | None:
    """The first plan that fits, or None.

    Args:
        needs: by kind of device.
        limit: what there is of device and host memory.
        strategy: the only one to look at.
    """
    offered = placements(device)
    if strategy is not None:
        offered = [p for p in offered if p.strategy == strategy and p.device == device]
    for placement in offered:
        if placement.device in needs:
            peaks = peaks_of(parts, needs[placement.device], placement, itemsize)
            if peaks.fits(limit):
                return Choice(placement, peaks)
    return None


def least(parts: Mapping[str, Part], needs: Mapping[str, Needs], device: str, itemsize: int) -> Choice:
    """The plan with the smallest need of the memory that counts: the GPU's, or the host's where there is none."""
    offered = [p for p in placements(device) if p.device == device]
    all_peaks = [Choice(p, peaks_of(parts, needs[device], p, itemsize)) for p in offered]
    return min(all_peaks, key=lambda c: c.peaks.host if device == "cpu" else c.peaks.device)


def parse_memory(text: str) -> int | Strategy | None:
    """ "auto" -> None, "8GB" -> bytes, or the name of a plan.

    Raises:
        VivaceError: anything else.
    """
    word = text.strip()
    if word == "auto":
        return None
    if word in STRATEGIES:
        return word
    return parse_bytes(word)


def parse_bytes(text: str) -> int:
    """ "8GB" -> bytes.

    Raises:
        VivaceError: anything else.
    """
    match = _SIZE.fullmatch(text)
    if match is None or float(match[1]) <= 0:
        raise VivaceError(
            f"memory {text!r} is neither auto nor a size; give one such as 8GB, or a plan ({', '.join(STRATEGIES)})."
        )
    return round(float(match[1]) * _UNITS[match[2].lower()])


def check_strategy(memory: int | Strategy | None, device: str) -> None:
    """Raises VivaceError for a plan that moves weights between a GPU and the host where there is no GPU."""
    if device == "cpu" and isinstance(memory, str) and memory != "resident":
        raise VivaceError(
            f"The memory plan {memory!r} needs a GPU and this machine has none; "
            "use auto, resident or a size such as 8GB."
        )


def memory_here(device: str) -> Peaks:
    """Free memory of this machine."""
    free = 0
    if device != "cpu":
        import torch

        free = torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved()
    return Peaks(free, _free_host())


def _free_host() -> int:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        known = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
        return known["MemAvailable"]
    except (OSError, KeyError, ValueError, IndexError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def limited(here: Peaks, device: str, size: int | None) -> Peaks:
    """With a limit of the user's on the memory that counts, the GPU's or else the host's; no more than there is."""
    if size is None:
        return here
    if device == "cpu":
        return replace(here, host=min(size, here.host))
    return replace(here, device=min(size, here.device))


def gigabytes(count: int) -> str:
    return f"{count / GB:.1f} GB" if count >= 10**8 else f"{count / 10**6:.0f} MB"


def enough(count: int) -> str:
    """The next larger size as `parse_bytes` takes it, such as "1.1GB"."""
    return f"{-(-count // 10**8) / 10}GB" if count > 10**8 else f"{-(-count // 10**6)}MB"
