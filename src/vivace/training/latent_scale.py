"""The unit "latent-scale": a video codec whose latents have a size by what they mean for the picture.

The usual division by each channel's own deviation gives all channels the same size, although a few of them carry nearly
all of the picture: in the codec of nano-nava, noise of half a deviation in one channel changes the picture 600 times as
much as in another. A generator of a few million parameters then spends itself on fine texture that it cannot foresee,
and no noise level decides the layout before the detail. Here channels that matter more are larger (ours; half way, by
default, between unit deviations and sizes in proportion to the change of the picture).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from vivace.data.shards import ShardReader
from vivace.models.codecs import decode_sequence, encode_moments
from vivace.training.codec_files import load_video_codec
from vivace.training.network_files import save_network
from vivace.training.run_folder import Begun, unrecorded

# Of a channel's deviation: large enough to be far above rounding, small enough for the decoder to answer in proportion.
NOISE = 0.5


class LatentScaleRecipe(BaseModel):
    """The codec of `vae` with other latent statistics, written to the run's `export/vae`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: Literal["latent-scale"]
    seed: int = 0
    vae: Path = Field(description="folder of an AutoencoderKLWan")
    clips: Path = Field(description="a folder of clip shards on which the channels are measured")
    count: int = Field(16, gt=0, description="how many of its clips are used")
    exponent: float = Field(
        0.5, ge=0, le=1, description="0: all channels of unit size; 1: in proportion to the picture's change"
    )


@torch.no_grad()
def channel_statistics(vae: AutoencoderKLWan, clips: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel. clips: [1, 3, T, H, W] in [-1, 1] -> [z], [z]"""
    latents = torch.cat([encode_moments(vae, clip).mode().flatten(2)[0] for clip in clips], dim=1)
    return latents.mean(1), latents.std(1)


@torch.no_grad()
def channel_weights(vae: AutoencoderKLWan, clips: list[Tensor], std: Tensor, seed: int) -> Tensor:
    """How much the picture changes with each channel: RMS change for noise of `NOISE` deviations in it alone.

    Args:
        clips: [1, 3, T, H, W] in [-1, 1].
        std: [z] deviations of the channels.
        seed: of the noise.

    Returns:
        [z], in the unit of the pictures.
    """
    generator = torch.Generator().manual_seed(seed)
    squares = torch.zeros(len(std))
    for clip in clips:
        latents = encode_moments(vae, clip).mode()
        clear = decode_sequence(vae, latents)
        for channel in range(len(std)):
            noisy = latents.clone()
            noise = torch.randn(latents[:, channel].shape, generator=generator)
            noisy[:, channel] += NOISE * std[channel] * noise
            squares[channel] += (decode_sequence(vae, noisy) - clear).square().mean()
    return (squares / len(clips)).sqrt()


def channel_sizes(weights: Tensor, exponent: float) -> Tensor:
    """The deviation that each channel is given; their mean square is 1. [z] -> [z]"""
    sizes = weights**exponent
    return sizes / sizes.square().mean().sqrt()


def run_latent_scale(recipe: LatentScaleRecipe, run: Path, begun: Begun = unrecorded) -> dict[str, float]:
    """Write the codec. Returns the largest and the smallest size of a channel.

    Raises:
        VivaceError: no such codec, no such clips.
    """
    vae = load_video_codec(recipe.vae)
    reader = ShardReader(recipe.clips, "clips")
    picks = np.random.default_rng([recipe.seed, 0]).permutation(len(reader))[: recipe.count]
    begun()
    videos = [reader.get(int(pick))["video"] for pick in picks]
    clips = [video[None].permute(0, 4, 1, 2, 3).float() / 127.5 - 1 for video in videos]
    mean, std = channel_statistics(vae, clips)
    sizes = channel_sizes(channel_weights(vae, clips, std, recipe.seed), recipe.exponent)
    vae.register_to_config(latents_mean=mean.tolist(), latents_std=(std / sizes).tolist())
    save_network(vae, run / "export" / "vae")
    return {"largest": float(sizes.max()), "smallest": float(sizes.min())}
