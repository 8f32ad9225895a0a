"""Noise that a seed fixes: the same bits for a sample whatever its batch, its device or its neighbours.

Each (seed, modality) has its own stream, drawn on the CPU by NumPy's counter-based Philox generator. torch's own
normal generator is avoided because its values depend on the vector instructions of the processor. Values are drawn in
the order of time, so a longer clip begins with the noise of the shorter one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vivace.errors import VivaceError
from vivace.pair import Modality

MAX_SEED = 2**63 - 1
_STREAMS: dict[Modality, int] = {"video": 0, "audio": 1}


def check_seed(seed: int) -> int:
    """The seed itself. Raises VivaceError unless it is a whole number from 0 to 2^63 - 1."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed <= MAX_SEED:
        raise VivaceError(f"seed {seed!r} is out of range; give a whole number from 0 to {MAX_SEED}.")
    return int(seed)


def sample_noise(seed: int, modality: Modality, shape: Sequence[int]) -> Tensor:
    """Standard normal float32 noise on the CPU for one sample.

    Args:
        shape: [C, T, H, W] for video, [L, C] for audio.
    """
    stream = np.random.Generator(np.random.Philox(np.random.SeedSequence([check_seed(seed), _STREAMS[modality]])))
    if modality == "video":
        channels, *grid = shape
        return torch.from_numpy(stream.standard_normal((*grid, channels), dtype=np.float32)).movedim(-1, 0).contiguous()
    return torch.from_numpy(stream.standard_normal(tuple(shape), dtype=np.float32))


def batch_noise(seeds: Sequence[int], modality: Modality, shape: Sequence[int]) -> Tensor:
    """`sample_noise` of every seed, stacked. [B, *shape]"""
    return torch.stack([sample_noise(seed, modality, shape) for seed in seeds])


def seeds_from(generator: torch.Generator | Sequence[torch.Generator] | None, count: int) -> list[int]:
    """A seed per sample: drawn from one generator in turn, from each sample's own, or from the system's entropy.

    Raises:
        VivaceError: as many generators as samples were expected.
    """
    if generator is None:
        return [int(state) >> 32 for state in np.random.SeedSequence().generate_state(count, np.uint64)]
    generators = [generator] * count if isinstance(generator, torch.Generator) else list(generator)
    if len(generators) != count:
        raise VivaceError(f"{len(generators)} generators were given for {count} clips; give one, or one for each.")
    return [int(torch.randint(2**32, (), generator=g, device=g.device).item()) for g in generators]
