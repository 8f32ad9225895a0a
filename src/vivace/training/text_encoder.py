"""The text encoder as trainings begin with it."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from transformers import UMT5Config, UMT5EncoderModel

from vivace.errors import VivaceError


def build_text_encoder(config: dict[str, Any]) -> UMT5EncoderModel:
    """A UMT5 encoder without its random dropout, whose state lies outside of (seed, step) and would not resume.

    Raises:
        VivaceError: a rate of dropout above 0.
    """
    if config.get("dropout_rate"):
        raise VivaceError("text_encoder.dropout_rate cannot be resumed exactly; remove it or set it to 0.")
    encoder = UMT5EncoderModel(UMT5Config(**{**config, "dropout_rate": 0.0}))
    look_near(encoder)
    return encoder


@torch.no_grad()
def look_near(encoder: UMT5EncoderModel) -> None:
    """Let the heads of every layer begin by looking at near places: before, behind, around, and all over (ours).

    UMT5 knows places only by a bias for each distance, and begins with all nearly equal: a text is a bag of tokens. Of
    bytes nothing can be read so, and a bias of several units is thousands of steps of AdamW away.
    """
    config = encoder.config
    buckets, farthest = config.relative_attention_num_buckets, config.relative_attention_max_distance
    away = torch.arange(-farthest, farthest + 1)
    numbers = distance_buckets(away, buckets, farthest)
    # Mean distance (below 0 before the place itself) of each bucket.
    count = torch.bincount(numbers, minlength=buckets)
    distance = torch.bincount(numbers, weights=away.float(), minlength=buckets) / count.clamp_min(1)
    before, behind = distance.clamp(max=0), -distance.clamp(min=0)
    around = before + behind
    slopes = (
        before + 4 * behind.clamp(min=-1),
        behind + 4 * before.clamp(min=-1),
        0.4 * around,
        0.04 * around,
    )
    for block in encoder.encoder.block:
        weight = block.layer[0].SelfAttention.relative_attention_bias.weight
        for head in range(config.num_heads):
            weight[:, head] += slopes[head % len(slopes)]


def distance_buckets(distances: Tensor, buckets: int, farthest: int) -> Tensor:
    """Which of an encoder's biases serves each distance, of the same shape (T5, arXiv 1910.10683 §2.1).

    Half of the buckets are for places behind. Of each half the first half is for one distance each, the others for
    distances that grow by equal factors up to `farthest`; what lies farther shares the last. Computed in float32, as
    T5's program does it, so that distances on an edge fall on the same side.

    Args:
        distances: whole numbers, the place that is looked at minus the place that looks.
    """
    half = buckets // 2
    single = half // 2
    size = distances.abs()
    ratio = (size.clamp_min(1).float() / single).log() / math.log(farthest / single)
    grouped = (single + (ratio * (half - single)).long()).clamp_max(half - 1)
    return torch.where(size < single, size, grouped) + half * (distances > 0)
