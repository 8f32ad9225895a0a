"""Alive's first weights."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from vivace.models.alive_audio import AudioTower
from vivace.models.alive_exchange import Exchange
from vivace.models.alive_layers import Head
from vivace.models.alive_time import AdaptiveNorm
from vivace.models.alive_video import VideoTower
from vivace.models.time_aligned import Adjust, TimeAlignedCrossAttention

# Values of a token, and the width in which they enter: of the published towers.
VIDEO_ENTRY = (144, 3072)
AUDIO_ENTRY = (32, 1536)


@torch.no_grad()
def initialise(video: VideoTower, audio: AudioTower, exchange: Exchange) -> None:
    """Xavier for linear layers; zeros where a stream must at first pass as if nothing were there.

    By Xavier's rule a token is the larger at first the more values enter it for the width that it has: 0.2 in both
    published towers, 0.7 and 1.0 in narrow ones, while what blocks add has the same size in all. What the text adds
    would be a third of what it is in the published towers, relative to the stream, and what is learned of places, which
    begins as nothing, would take the longer to count. So tokens enter at any width as large as in the published towers
    (ours; their own weights are Xavier's).
    """
    modules = [module for part in (video, audio, exchange) for module in part.modules()]
    for module in modules:
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    picture, sound = video.embedding.weight.flatten(1), audio.embedding.weight
    nn.init.xavier_uniform_(picture, entry_gain(picture, VIDEO_ENTRY))
    nn.init.xavier_uniform_(sound, entry_gain(sound, AUDIO_ENTRY))
    if video.embedding.bias is not None:
        nn.init.zeros_(video.embedding.bias)
    for module in modules:
        if isinstance(module, (AdaptiveNorm, Head)):
            nn.init.zeros_(module.linear.weight)
        elif isinstance(module, Adjust):
            nn.init.zeros_(module.shape_out.weight)
            nn.init.zeros_(module.gate_out.weight)
    for hear in exchange.hear:
        nn.init.zeros_(cast(nn.Linear, cast(TimeAlignedCrossAttention, hear).mlp[-1]).weight)


def entry_gain(weight: Tensor, published: tuple[int, int]) -> float:
    """Of Xavier's rule, by which unit values make tokens of the size that the published tower's have.

    Args:
        weight: [width, values]. published: values and width there.
    """

    def share(values: int, width: int) -> float:
        return values / (values + width)

    return math.sqrt(share(*published) / share(weight.shape[1], weight.shape[0]))
