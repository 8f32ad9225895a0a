"""Pictures and sound to latents and back, for any size of the two autoencoders and either vocoder.

The video codec is diffusers' `AutoencoderKLWan`, the audio codec its `AutoencoderKLLTX2Audio`. Both are used as they
are; what is ours is the full-sequence pass (the same numbers as the published chunk-by-chunk one, but differentiable
and several times faster for short clips) and the normalisation of latents.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from diffusers import AutoencoderKLLTX2Audio, AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import (
    WanResample,
    WanResidualDownBlock,
    WanResidualUpBlock,
    patchify,
    unpatchify,
)
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import Tensor

from vivace.errors import VivaceError
from vivace.models.mel import log_mel


class Vocoder(Protocol):
    """What turns a log-mel spectrogram [B, 2, T, 64] into a waveform [B, 2, N]."""

    def __call__(self, hidden_states: Tensor) -> Tensor: ...


def _downsample_time(layer: WanResample, x: Tensor) -> Tensor:
    """Spatial, then temporal halving: the first frame passes, the rest are convolved causally. [B, C, T, H, W]"""
    x = layer(x)
    if layer.mode != "downsample3d" or x.shape[2] == 1:
        return x
    return torch.cat([x[:, :, :1], layer.time_conv(x)], dim=2)


def _upsample_time(layer: WanResample, x: Tensor) -> Tensor:
    """Temporal doubling of all frames but the first, then spatial doubling. [B, C, T, H, W]"""
    if layer.mode == "upsample3d" and x.shape[2] > 1:
        rest = layer.time_conv(x[:, :, 1:])
        even, odd = rest.chunk(2, dim=1)
        rest = torch.stack([even, odd], dim=3).flatten(2, 3)
        x = torch.cat([x[:, :, :1], rest], dim=2)
    return layer(x)


def _down_block(layer: Any, x: Tensor) -> Tensor:
    """One entry of the encoder: a residual stage (Wan 2.2), or a single layer of one (Wan 2.1)."""
    if isinstance(layer, WanResidualDownBlock):
        y = x
        for resnet in layer.resnets:
            y = resnet(y)
        if layer.downsampler is not None:
            y = _downsample_time(layer.downsampler, y)
        return y + layer.avg_shortcut(x)
    return _downsample_time(layer, x) if isinstance(layer, WanResample) else layer(x)


def _up_block(block: Any, x: Tensor) -> Tensor:
    """One stage of the decoder, of either generation."""
    y = x
    for resnet in block.resnets:
        y = resnet(y)
    if isinstance(block, WanResidualUpBlock):
        if block.upsampler is not None:
            y = _upsample_time(block.upsampler, y)
        # Of the copies of the first frame only the last is one: it stands for a single picture.
        return y if block.avg_shortcut is None else y + block.avg_shortcut(x, first_chunk=True)
    for layer in block.upsamplers or []:
        y = _upsample_time(layer, y)
    return y


def encode_moments(vae: AutoencoderKLWan, frames: Tensor) -> DiagonalGaussianDistribution:
    """The posterior of a whole clip in one causal pass. frames [B, 3, T, H, W] in [-1, 1]"""
    encoder = vae.encoder
    x = patchify(frames, vae.config.patch_size) if vae.config.patch_size else frames
    x = encoder.conv_in(x)
    for layer in encoder.down_blocks:
        x = _down_block(layer, x)
    x = encoder.mid_block(x)
    x = encoder.conv_out(encoder.nonlinearity(encoder.norm_out(x)))
    return DiagonalGaussianDistribution(vae.quant_conv(x))


def decode_sequence(vae: AutoencoderKLWan, latents: Tensor) -> Tensor:
    """A whole clip in one causal pass, not clamped. latents [B, z, t, h, w] -> [B, 3, T, H, W]"""
    decoder = vae.decoder
    x = decoder.conv_in(vae.post_quant_conv(latents))
    x = decoder.mid_block(x)
    for block in decoder.up_blocks:
        x = _up_block(block, x)
    x = decoder.conv_out(decoder.nonlinearity(decoder.norm_out(x)))
    return unpatchify(x, vae.config.patch_size) if vae.config.patch_size else x


def _video_statistics(vae: AutoencoderKLWan, like: Tensor) -> tuple[Tensor, Tensor]:
    mean = torch.tensor(vae.config.latents_mean, dtype=like.dtype, device=like.device).view(1, -1, 1, 1, 1)
    std = torch.tensor(vae.config.latents_std, dtype=like.dtype, device=like.device).view(1, -1, 1, 1, 1)
    return mean, std


def encode_video(vae: AutoencoderKLWan, frames: Tensor) -> Tensor:
    """Normalised latents (the posterior's mean). frames [B, 3, T, H, W] in [-1, 1] -> [B, z, t, h, w]

    Raises:
        VivaceError: T is not 4 k + 1, or H or W is not a multiple of the codec's spatial stride.
    """
    stride = vae.config.scale_factor_spatial
    count, height, width = frames.shape[2:]
    if height % stride or width % stride:
        raise VivaceError(f"A picture of {width}x{height} does not fit the video codec; use multiples of {stride}.")
    if (count - 1) % vae.config.scale_factor_temporal:
        raise VivaceError(f"{count} pictures do not fit the video codec; use 4 k + 1, such as 49.")
    latents = (vae.encode(frames).latent_dist if vae.use_tiling else encode_moments(vae, frames)).mode()
    mean, std = _video_statistics(vae, latents)
    return (latents - mean) / std


def decode_video(vae: AutoencoderKLWan, latents: Tensor) -> Tensor:
    """Pictures in [-1, 1]. latents [B, z, t, h, w], normalised -> [B, 3, T, H, W]"""
    mean, std = _video_statistics(vae, latents)
    latents = latents * std + mean
    if vae.use_tiling:
        return vae.decode(latents).sample
    return decode_sequence(vae, latents).clamp(-1, 1)


def _audio_statistics(vae: AutoencoderKLLTX2Audio, width: int) -> tuple[Tensor, Tensor] | None:
    """Per-channel mean and std of a token, or None where the codec stores none.

    The class sizes these buffers by `base_channels`, which is the token's width only at the released size (128).
    Smaller codecs are used as their KL term leaves them, at unit scale.
    """
    if vae.latents_mean.numel() != width:
        return None
    return vae.latents_mean, vae.latents_std


def encode_audio(vae: AutoencoderKLLTX2Audio, waveform: Tensor, tokens: int) -> Tensor:
    """Audio tokens of the first `tokens` * 40 ms. waveform [B, 2, N] at the codec's rate -> [B, tokens, C * bins]

    Samples beyond the last token are used as its right-hand context; missing ones count as silence.
    """
    stride = vae.temporal_compression_ratio
    frames = (tokens - 1) * stride + 1
    mel = log_mel(waveform, frames, sample_rate=vae.config.sample_rate, hop=vae.config.mel_hop_length)
    return audio_tokens(vae, vae.encode(mel.to(vae.dtype)).latent_dist.mode())


def audio_tokens(vae: AutoencoderKLLTX2Audio, latents: Tensor) -> Tensor:
    """[B, C, L, bins] as the autoencoder gives them -> normalised tokens [B, L, C * bins]."""
    tokens = latents.transpose(1, 2).flatten(2)
    statistics = _audio_statistics(vae, tokens.shape[-1])
    return tokens if statistics is None else (tokens - statistics[0]) / statistics[1]


def decode_mel(vae: AutoencoderKLLTX2Audio, tokens: Tensor) -> Tensor:
    """Tokens [B, L, C * bins] -> log-mel [B, 2, 4 (L - 1) + 1, mel bins]."""
    statistics = _audio_statistics(vae, tokens.shape[-1])
    latents = tokens if statistics is None else tokens * statistics[1] + statistics[0]
    channels = vae.config.latent_channels
    latents = latents.unflatten(2, (channels, -1)).transpose(1, 2)
    return vae.decode(latents).sample


def decode_audio(vae: AutoencoderKLLTX2Audio, vocoder: Vocoder, tokens: Tensor) -> Tensor:
    """Tokens [B, L, C * bins] -> waveform [B, 2, N], N about 640 L - 480 samples at 16 kHz."""
    return vocoder(decode_mel(vae, tokens))
