"""Training of the video codec: an `AutoencoderKLWan` of any size, in full-sequence causal passes over world clips."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from vivace.data.shards import ShardReader
from vivace.errors import VivaceError
from vivace.models.codecs import decode_sequence, encode_moments
from vivace.training.loop import LoopSettings, train
from vivace.training.muon import Muon, split_parameters

MOVING = 8 / 255
INITIAL_LOG_VARIANCE = -5.0


class VideoCodecRecipe(BaseModel):
    """One training of the video codec."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: Literal["video-codec"]
    seed: int = 0
    clips: list[Path] = Field(description="folders of rendered clip shards")
    validation: Path = Field(description="a folder of held-out clip shards")
    validation_clips: int = Field(16, gt=0)
    model: dict[str, Any] = Field(description="configuration of AutoencoderKLWan, without latent statistics")
    batches: list[tuple[int, int, int]] = Field(
        [(4, 17, 64)], min_length=1, description="(clips, frames, side of the square crop in pixels), taken in turn"
    )
    muon_rate: float = Field(2e-3, gt=0)
    adamw_rate: float = Field(2e-3, gt=0)
    charbonnier: float = Field(0.03, gt=0, description="error (of a range of 2) below which the loss is quadratic")
    moving_weight: float = Field(3.0, ge=0, description="extra weight of pixels that move")
    kl_weight: float = Field(2e-4, ge=0)
    loop: LoopSettings


def build_vae(
    config: dict[str, Any], mean: list[float] | None = None, std: list[float] | None = None
) -> AutoencoderKLWan:
    """The autoencoder with its latent statistics (unit scale until they are measured)."""
    width = config["z_dim"]
    return AutoencoderKLWan(**config, latents_mean=mean or [0.0] * width, latents_std=std or [1.0] * width)


def to_signal(frames: Tensor) -> Tensor:
    """uint8 [..., T, H, W, 3] -> float [..., 3, T, H, W] in [-1, 1]."""
    return frames.movedim(-1, -4).contiguous().float() / 127.5 - 1


def moving_pixels(frames: Tensor) -> Tensor:
    """Where a clip differs from its per-pixel median by more than 8/255. [..., 3, T, H, W] -> bool [..., 1, T, H, W]"""
    median = frames.median(dim=-3, keepdim=True).values
    return ((frames - median).abs() > 2 * MOVING).any(dim=-4, keepdim=True)


def psnr(error: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of an error over the range [-1, 1]."""
    return float(10 * torch.log10(4.0 / error.square().mean().clamp(min=1e-12)))


class VideoCodecObjective:
    """Weighted Charbonnier reconstruction plus KL; moving pixels weigh more, because they carry the events."""

    def __init__(self, recipe: VideoCodecRecipe) -> None:
        self.recipe = recipe
        self.readers = [ShardReader(folder) for folder in recipe.clips]
        shapes = [
            (reader, index, min(shape))
            for reader in self.readers
            for index, shape in enumerate(zip(reader.column("height"), reader.column("width"), strict=True))
        ]
        self.sources: dict[int, list[tuple[ShardReader, int]]] = {}
        for _, _, crop in recipe.batches:
            self.sources[crop] = [(reader, index) for reader, index, side in shapes if side >= crop]
            if not self.sources[crop]:
                raise VivaceError(f"No clip in {recipe.clips} is as large as the crop of {crop}; render larger ones.")
        self.validation = ShardReader(recipe.validation)
        torch.manual_seed(recipe.seed)
        self.vae = build_vae(recipe.model)
        # At unit variance the first latents drown in their own noise and hundreds of steps pass before a picture shows.
        with torch.no_grad():
            self.vae.quant_conv.weight[recipe.model["z_dim"] :].zero_()
            self.vae.quant_conv.bias[recipe.model["z_dim"] :].fill_(INITIAL_LOG_VARIANCE)

    def modules(self) -> dict[str, nn.Module]:
        return {"vae": self.vae}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        matrices, rest = split_parameters(self.vae.named_parameters(), ("conv_in", "encoder.conv_out", "quant_conv"))
        return {
            "muon": Muon(matrices, lr=self.recipe.muon_rate),
            "adamw": torch.optim.AdamW(rest, lr=self.recipe.adamw_rate, betas=(0.9, 0.99), weight_decay=0.0),
        }

    def batch(self, step: int) -> Tensor:
        """Random crops in space and time. [B, 3, T, crop, crop] in [-1, 1]"""
        count, length, crop = self.recipe.batches[step % len(self.recipe.batches)]
        sources = self.sources[crop]
        rng = np.random.default_rng([self.recipe.seed, 1, step])
        crops = []
        for _ in range(count):
            reader, index = sources[rng.integers(len(sources))]
            video = reader.get(index)["video"]
            frames, height, width, _ = video.shape
            t = rng.integers(frames - length + 1)
            y, x = rng.integers(height - crop + 1), rng.integers(width - crop + 1)
            part = video[t : t + length, y : y + crop, x : x + crop]
            crops.append(part.flip(2) if rng.random() < 0.5 else part)
        return to_signal(torch.stack(crops))

    def loss(self, step: int) -> dict[str, Tensor]:
        frames = self.batch(step).to(self.recipe.loop.device)
        posterior = encode_moments(self.vae, frames)
        generator = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + step)
        noise = torch.randn(posterior.mean.shape, generator=generator).to(frames.device)
        latents = posterior.mean + posterior.std * noise
        error = decode_sequence(self.vae, latents).float() - frames
        weight = 1 + self.recipe.moving_weight * moving_pixels(frames)
        scale = self.recipe.charbonnier
        reconstruction = (weight * (torch.sqrt(error.square() + scale**2) - scale)).mean()
        kl = 0.5 * (posterior.mean.square() + posterior.var - 1 - posterior.logvar).mean()
        return {
            "loss": reconstruction + self.recipe.kl_weight * kl,
            "reconstruction": reconstruction,
            "kl_per_dimension": kl,
            "psnr": torch.tensor(psnr(error.detach())),
        }

    @torch.no_grad()
    def validate(self, step: int) -> dict[str, float]:
        """PSNR over whole held-out clips, overall and where pixels move (mean over clips, dB)."""
        overall, moving = [], []
        for index in range(min(self.recipe.validation_clips, len(self.validation))):
            frames = to_signal(self.validation.get(index)["video"])[None].to(self.recipe.loop.device)
            error = decode_sequence(self.vae, encode_moments(self.vae, frames).mode()).clamp(-1, 1) - frames
            mask = moving_pixels(frames).expand_as(error)
            overall.append(psnr(error))
            if mask.any():
                moving.append(psnr(error[mask]))
        return {"psnr": float(np.mean(overall)), "psnr_moving": float(np.mean(moving))}

    @torch.no_grad()
    def latent_statistics(self, clips: int = 96) -> tuple[list[float], list[float]]:
        """Per-channel mean and standard deviation of the latents over training clips."""
        sources = self.sources[max(self.sources)]
        rng = np.random.default_rng([self.recipe.seed, 2])
        values = []
        for pick in rng.permutation(len(sources))[:clips]:
            reader, index = sources[pick]
            video = reader.get(index)["video"]
            height, width = (side // 16 * 16 for side in video.shape[1:3])
            frames = to_signal(video[:, :height, :width])[None].to(self.recipe.loop.device)
            values.append(encode_moments(self.vae, frames).mode().flatten(2)[0])
        latents = torch.cat(values, dim=1)
        return latents.mean(1).tolist(), latents.std(1).tolist()


def run_video_codec(recipe: VideoCodecRecipe, run: Path) -> dict[str, float]:
    """Train (or go on training), then write the averaged codec with its latent statistics to `run/export/vae`."""
    objective = VideoCodecObjective(recipe)
    figures = train(objective, recipe.loop, run)
    from vivace.training.checkpoint import latest_checkpoint, load_weights

    checkpoint = latest_checkpoint(run / "checkpoints")
    assert checkpoint is not None
    objective.vae.load_state_dict(load_weights(checkpoint, "vae", ema=True))
    objective.vae.eval()
    mean, std = objective.latent_statistics()
    final = build_vae(recipe.model, mean, std)
    final.load_state_dict(objective.vae.state_dict())
    final.to(torch.bfloat16).save_pretrained(run / "export" / "vae")
    return figures
