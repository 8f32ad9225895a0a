"""Latents to pictures, all at once or piece by piece where memory is scarce, and decoded sound as a preset wants it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import unpatchify
from torch import Tensor

from vivace.media.decode_audio import resample
from vivace.models.codecs import decode_video
from vivace.sampling.presets import Steps

# whole: one causal pass over the clip. streamed: latent frame by latent frame with the codec's own memory of the last
# ones, which are the same numbers. tiled: squares of each picture, blended where they overlap, which are not.
Decoding = Literal["whole", "streamed", "tiled"]
_LIMIT = 0.99


def decode_levels(vae: AutoencoderKLWan, latents: Tensor, how: Decoding = "whole") -> Iterator[Tensor]:
    """Pictures uint8 [T_i, H, W, 3] in order of time, on the latents' device. latents [1, z, t, h, w], normalised"""
    if how == "streamed":
        yield from (_levels(part) for part in _streamed(vae, latents))
        return
    tiled = vae.use_tiling
    vae.use_tiling = how == "tiled" or tiled
    try:
        yield _levels(decode_video(vae, latents)[0])
    finally:
        vae.use_tiling = tiled


def _streamed(vae: AutoencoderKLWan, latents: Tensor) -> Iterator[Tensor]:
    """[3, 1 or 4, H, W] of each latent frame."""
    mean, std = (
        torch.tensor(values, dtype=latents.dtype, device=latents.device).view(1, -1, 1, 1, 1)
        for values in (vae.config.latents_mean, vae.config.latents_std)
    )
    vae.clear_cache()
    x = vae.post_quant_conv(latents * std + mean)
    for frame in range(x.shape[2]):
        part = vae.decoder(x[:, :, frame : frame + 1], feat_cache=vae._feat_map, feat_idx=[0], first_chunk=frame == 0)
        part = unpatchify(part, vae.config.patch_size) if vae.config.patch_size else part
        yield part[0].clamp(-1, 1)
    vae.clear_cache()


def _levels(video: Tensor) -> Tensor:
    """[3, T, H, W] in [-1, 1] -> uint8 [T, H, W, 3], rounded to the nearest level."""
    levels = ((video.float() + 1) * 127.5).round_().clamp_(0, 255).to(torch.uint8)
    return levels.permute(1, 2, 3, 0)


def finished_sound(audio: np.ndarray, rate: int, preset: Steps) -> tuple[np.ndarray, int]:
    """Sound [B, C, N] at the preset's rate and peak, and that rate (Hz). Sound that a user gave stays as it was."""
    target = preset.sound_rate or rate
    clips = [resample(np.ascontiguousarray(clip), rate, target) for clip in audio]
    if preset.sound_peak is not None:
        # The published program limits its sound to 0.99 before it scales it; silence has no peak to bring up.
        clips = [clip.clip(-_LIMIT, _LIMIT) for clip in clips]
        peaks = [float(np.abs(clip).max(initial=0.0)) for clip in clips]
        clips = [
            clip * np.float32(preset.sound_peak / peak) if peak else clip
            for clip, peak in zip(clips, peaks, strict=True)
        ]
    return np.stack(clips), target
