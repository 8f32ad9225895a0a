"""Training of the video codec: an `AutoencoderKLWan` of any size, in full-sequence causal passes over world clips."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from vivace.data.shards import ShardReader
from vivace.errors import VivaceError
from vivace.evaluation.codecs import round_trip_video
from vivace.evaluation.fidelity import MOVING, psnr, square_errors
from vivace.models.codecs import decode_sequence, encode_moments
from vivace.training.codec_files import keep_encoder, start_from
from vivace.training.codec_start import start_near_linear
from vivace.training.latent_scale import channel_statistics
from vivace.training.loop import LoopSettings, train
from vivace.training.muon import Muon, split_parameters
from vivace.training.network_files import save_network
from vivace.training.run_folder import Begun, unrecorded


class VideoCodecRecipe(BaseModel):
    """One training of the video codec."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: Literal["video-codec"]
    seed: int = 0
    clips: list[Path] = Field(description="folders of rendered clip shards")
    validation: Path = Field(description="a folder of held-out clip shards")
    validation_clips: int = Field(16, gt=0)
    start_from: Path | None = Field(None, description="the folder of a codec of the same configuration to begin with")
    decoder_only: bool = Field(False, description="train only what decodes; models of the latents go on fitting")
    model: dict[str, Any] = Field(description="configuration of AutoencoderKLWan, without latent statistics")
    batches: list[tuple[int, int, int]] = Field(
        [(4, 17, 64)], min_length=1, description="(clips, frames, side of the square crop in pixels), taken in turn"
    )
    muon_rate: float = Field(2e-3, gt=0)
    adamw_rate: float = Field(2e-3, gt=0)
    charbonnier: float = Field(0.03, gt=0, description="error (of a range of 2) below which the loss is quadratic")
    moving_weight: float = Field(3.0, ge=0, description="extra weight of pixels that move")
    moving_crops: float = Field(0.0, ge=0, le=1, description="share of crops that are placed where something moves")
    change_weight: float = Field(
        0.0,
        ge=0,
        description="weight of the error's change between pictures, such as a smear over a latent",
    )
    kl_weight: float = Field(2e-4, ge=0)
    loop: LoopSettings

    @model_validator(mode="after")
    def _a_kept_encoder_is_given(self) -> VideoCodecRecipe:
        if self.decoder_only and self.start_from is None:
            raise ValueError("decoder_only keeps an encoder; name the codec in start_from")
        return self


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
    return ((frames - median).abs() > 2 * MOVING / 255).any(dim=-4, keepdim=True)


def moving_place(video: Tensor, crop: int, rng: np.random.Generator) -> tuple[int, int]:
    """Top left corner of a square crop about a point drawn where a clip moves most. uint8 [T, H, W, 3]"""
    height, width = video.shape[1:3]
    sample = video[::2, ::4, ::4].float()
    change = (sample.amax(0) - sample.amin(0)).sum(-1).double()
    activity = torch.where(change > 3 * MOVING, change, 0.0).numpy()
    if not activity.any():
        return int(rng.integers(height - crop + 1)), int(rng.integers(width - crop + 1))
    place = int(rng.choice(activity.size, p=activity.ravel() / activity.sum()))
    row, column = divmod(place, activity.shape[1])
    shift = rng.integers(-crop // 3, crop // 3 + 1, size=2)
    y, x = (int(4 * at + by - crop // 2) for at, by in zip((row, column), shift, strict=True))
    return min(max(y, 0), height - crop), min(max(x, 0), width - crop)


class VideoCodecObjective:
    """Weighted Charbonnier reconstruction plus KL; moving pixels weigh more, because they carry the events.

    Ours throughout: what is published of such codecs trains them with perceptual and adversarial losses, whose networks
    this project does not have.
    """

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
        if recipe.start_from:
            start_from(self.vae, recipe.start_from)
        else:
            start_near_linear(self.vae)
        if recipe.decoder_only:
            keep_encoder(self.vae)

    def modules(self) -> dict[str, nn.Module]:
        return {"vae": self.vae}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        matrices, rest = split_parameters(self.vae.named_parameters(), ("conv_in", "encoder.conv_out", "quant_conv"))
        return {
            "muon": Muon(matrices, lr=self.recipe.muon_rate, dtype=self.recipe.loop.dtype),
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
            y, x = int(rng.integers(height - crop + 1)), int(rng.integers(width - crop + 1))
            if length > 1 and rng.random() < self.recipe.moving_crops:
                y, x = moving_place(video[t : t + length], crop, rng)
            part = video[t : t + length, y : y + crop, x : x + crop]
            crops.append(part.flip(2) if rng.random() < 0.5 else part)
        return to_signal(torch.stack(crops))

    def charbonnier(self, error: Tensor) -> Tensor:
        scale = self.recipe.charbonnier
        return torch.sqrt(error.square() + scale**2) - scale

    def loss(self, step: int) -> dict[str, Tensor]:
        frames = self.batch(step).to(self.recipe.loop.device)
        posterior = encode_moments(self.vae, frames)
        generator = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + step)
        noise = torch.randn(posterior.mean.shape, generator=generator).to(frames.device)
        latents = posterior.mean + posterior.std * noise
        error = decode_sequence(self.vae, latents).float() - frames
        weight = 1 + self.recipe.moving_weight * moving_pixels(frames)
        reconstruction = (weight * self.charbonnier(error)).mean()
        change = error.new_zeros(())
        if frames.shape[2] > 1:
            change = (weight[:, :, 1:] * self.charbonnier(error.diff(dim=2))).mean()
        kl = 0.5 * (posterior.mean.square() + posterior.var - 1 - posterior.logvar).mean()
        return {
            "loss": reconstruction + self.recipe.change_weight * change + self.recipe.kl_weight * kl,
            "reconstruction": reconstruction,
            "change": change,
            "kl_per_dimension": kl,
        }

    def validate(self, step: int) -> dict[str, float]:
        """PSNR over whole held-out clips, overall and where pixels move (mean over clips, dB)."""
        overall, moving = [], []
        for index in range(min(self.recipe.validation_clips, len(self.validation))):
            frames = self.validation.get(index)["video"].numpy()
            error, moving_error = square_errors(frames, round_trip_video(self.vae, frames))
            overall.append(psnr(error))
            if moving_error is not None:
                moving.append(psnr(moving_error))
        return {"psnr": float(np.mean(overall)), "psnr_moving": float(np.mean(moving))}

    @torch.no_grad()
    def latent_statistics(self, clips: int = 96) -> tuple[list[float], list[float]]:
        """Per-channel mean and standard deviation of the latents over training clips."""
        sources = self.sources[max(self.sources)]
        rng = np.random.default_rng([self.recipe.seed, 2])
        values: list[Tensor] = []
        for pick in rng.permutation(len(sources))[:clips]:
            reader, index = sources[pick]
            video = reader.get(index)["video"]
            height, width = (side // 16 * 16 for side in video.shape[1:3])
            values.append(to_signal(video[:, :height, :width])[None].to(self.recipe.loop.device))
        mean, std = channel_statistics(self.vae, values)
        return mean.tolist(), std.tolist()


def run_video_codec(recipe: VideoCodecRecipe, run: Path, begun: Begun = unrecorded) -> dict[str, float]:
    """Train (or go on training), then write the averaged codec with its latent statistics to `run/export/vae`.

    A kept encoder keeps its statistics.
    """
    objective = VideoCodecObjective(recipe)
    figures = train(objective, recipe.loop, run, begun)
    from vivace.training.checkpoint import latest_checkpoint, load_weights

    checkpoint = latest_checkpoint(run / "checkpoints")
    assert checkpoint is not None
    objective.vae.load_state_dict(load_weights(checkpoint, "vae", ema=True))
    objective.vae.eval()
    if recipe.decoder_only:
        stored = AutoencoderKLWan.load_config(recipe.start_from)
        mean, std = stored["latents_mean"], stored["latents_std"]
    else:
        mean, std = objective.latent_statistics()
    final = build_vae(recipe.model, mean, std)
    final.load_state_dict(objective.vae.state_dict())
    save_network(final, run / "export" / "vae")
    return figures
