"""The three paradigms as networks of nearly the same number of parameters.

- aligned: NAVA's, in which each side first has blocks of its own that see both, then blocks that both share;
- towers: Alive's, two towers that read each other;
- unified: one transformer over words, picture and sound.

Each tells a token where in the clip it is, in its own way, and adds what a Gaussian would answer.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import torch
from benchmarks.paradigms.unified import UnifiedTransformer
from torch import nn

from vivace.models.alive import AliveTransformer
from vivace.models.nava import NavaTransformer

PARADIGMS = ("aligned", "towers", "unified")
HEADS = 4
TEXT_LEN = 256
TOLERANCE = 0.02
_WIDTHS = range(24, 641, 8)
_DEPTHS: dict[str, tuple[tuple[int, ...], ...]] = {
    "aligned": ((1, 3), (1, 4), (2, 4), (2, 5), (3, 5), (3, 6)),  # double, single
    "towers": ((1, 2, 2), (2, 3, 4), (2, 4, 4), (3, 3, 6), (3, 4, 6)),  # dual, single, audio
    "unified": ((4,), (5,), (6,), (7,), (8,), (9,)),
}


def build(paradigm: str, config: dict[str, Any]) -> nn.Module:
    if paradigm == "aligned":
        return NavaTransformer(**config)
    return AliveTransformer(**config) if paradigm == "towers" else UnifiedTransformer(**config)


def config_of(
    paradigm: str, width: int, depth: tuple[int, ...], video: int, audio: int, text_dim: int
) -> dict[str, Any]:
    """Constructor arguments for latents of so many channels and text features of so many values."""
    like: dict[str, Any] = {
        "video_channels": video,
        "audio_channels": audio,
        "dim": width,
        "num_heads": HEADS,
        "text_len": TEXT_LEN,
        "freq_dim": 64,
        "rope_theta": 200.0,
    }
    if paradigm != "unified":  # which has it always
        like |= {"gaussian_skip": True, "still_skip": True}
    if paradigm == "aligned":
        double, single = depth
        blocks = {"num_double_layers": double, "num_single_layers": single, "ffn_dim": 4 * width}
        return like | blocks | {"text_dim": text_dim, "speaker_dim": None, "places": True, "hide_pads": True}
    if paradigm == "unified":
        return like | {"num_layers": depth[0], "text_dim": text_dim}
    sound = max(2 * HEADS, round(2 * width / 3 / (2 * HEADS)) * 2 * HEADS)
    dual, single, blocks_of_sound = depth
    return like | {
        "num_dual_layers": dual,
        "num_single_layers": single,
        "num_audio_layers": blocks_of_sound,
        "audio_dim": sound,
        "audio_heads": HEADS,
        "exchange_dim": sound,
        "exchange_heads": HEADS,
        "adjust_rank": 32,
        "text_dims": (text_dim,),
        "time_theta": 1000.0,
        "learned_positions": (32, 8, 8),
        "audio_positions": 128,
    }


def parameters(paradigm: str, config: dict[str, Any]) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in build(paradigm, config).parameters())


@lru_cache(maxsize=32)
def matched(paradigm: str, budget: int, video: int, audio: int, text_dim: int) -> dict[str, Any]:
    """The configuration whose parameters are nearest to the budget.

    Raises:
        ValueError: none is within 2 %.
    """

    best, error = {}, math.inf
    for depth in _DEPTHS[paradigm]:

        def sized(place: int, depth: tuple[int, ...] = depth) -> tuple[dict[str, Any], int]:
            config = config_of(paradigm, _WIDTHS[place], depth, video, audio, text_dim)
            return config, parameters(paradigm, config)

        # Parameters grow with the square of the width, whose root is nearly linear.
        low, high = 0, len(_WIDTHS) - 1
        roots = [math.sqrt(sized(place)[1]) for place in (low, high)]
        guess = round((math.sqrt(budget) - roots[0]) / (roots[1] - roots[0]) * (high - low))
        for place in (guess, guess + 1, guess - 1):
            if not low <= place <= high:
                continue
            config, count = sized(place)
            if abs(count / budget - 1) < error:
                best, error = config, abs(count / budget - 1)
        if error < TOLERANCE / 2:
            break
    if error > TOLERANCE:
        raise ValueError(f"no {paradigm} network is within {TOLERANCE:.0%} of {budget} parameters; take another budget")
    return best
