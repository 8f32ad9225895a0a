"""Training of the audio codec: mel autoencoder and vocoder together, from waveform to waveform."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from diffusers import AutoencoderKLLTX2Audio
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from vivace.data.shards import ShardReader
from vivace.models.codecs import audio_tokens, decode_mel, encode_audio
from vivace.models.mel import log_mel
from vivace.models.vocoder import IstftVocoder
from vivace.training.checkpoint import latest_checkpoint, load_weights
from vivace.training.codec_files import keep_encoder, start_from
from vivace.training.loop import LoopSettings, train
from vivace.training.muon import Muon, split_parameters
from vivace.training.network_files import save_network
from vivace.training.run_folder import Begun, unrecorded

SAMPLE_RATE = 16000
HOP = 160
TOKEN_SAMPLES = 4 * HOP
MEL_MEAN, MEL_SCALE = -8.0, 3.0
INITIAL_LOG_VARIANCE = -4.0


class AudioCodecRecipe(BaseModel):
    """One training of the audio codec."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: Literal["audio-codec"]
    seed: int = 0
    clips: list[Path] = Field(description="folders of rendered clip shards")
    validation: Path = Field(description="a folder of held-out clip shards")
    validation_clips: int = Field(32, gt=0)
    start_from: Path | None = Field(None, description="a folder with an `audio_vae` and a `vocoder` to begin with")
    decoder_only: bool = Field(False, description="train only what decodes; models of the latents go on fitting")
    model: dict[str, Any] = Field(description="configuration of AutoencoderKLLTX2Audio")
    vocoder: dict[str, Any] = Field(default_factory=dict, description="configuration of IstftVocoder")
    batch: int = Field(4, gt=0)
    tokens: int = Field(33, gt=1, description="audio tokens of a training crop (25 a second)")
    muon_rate: float = Field(1e-3, gt=0)
    adamw_rate: float = Field(1e-3, gt=0)
    kl_weight: float = Field(1e-3, ge=0)
    mel_weight: float = Field(1.0, ge=0, description="of the decoded spectrogram")
    wave_mel_weight: float = Field(1.0, ge=0, description="of the spectrogram of the decoded waveform")
    stft_weight: float = Field(0.5, ge=0, description="of the multi-resolution magnitude spectra of the waveform")
    loop: LoopSettings

    @model_validator(mode="after")
    def _a_kept_encoder_is_given(self) -> AudioCodecRecipe:
        if self.decoder_only and self.start_from is None:
            raise ValueError("decoder_only keeps an encoder; name the codec in start_from")
        return self


def stft_loss(ours: Tensor, truth: Tensor, sizes: tuple[int, ...] = (128, 512, 1024, 2048)) -> Tensor:
    """Mean distance of log magnitudes plus spectral convergence over several resolutions. Waveforms [B, C, N]

    Short windows judge onsets, long ones pitch and decay. The floor of the logarithm (1e-3 of a full-scale window's
    sum, about -60 dB) keeps inaudible bins from deciding.
    """
    total = ours.new_zeros(())
    a, b = ours.flatten(0, 1), truth.flatten(0, 1)
    for size in sizes:
        window = torch.hann_window(size, device=a.device)
        floor = 1e-3 * window.sum()
        spectra = [torch.stft(x, size, size // 4, window=window, center=False, return_complex=True) for x in (a, b)]
        # |X| has no gradient at zero, and clips begin in silence.
        mine, true = (torch.sqrt(s.real.square() + s.imag.square() + 1e-9) for s in spectra)
        convergence = (mine - true).square().sum((1, 2)) / (true.square().sum((1, 2)) + floor**2)
        total = total + (torch.log(mine + floor) - torch.log(true + floor)).abs().mean() + convergence.sqrt().mean()
    return total / len(sizes)


@torch.no_grad()
def _start_at_scale(vae: AutoencoderKLLTX2Audio) -> None:
    """Fold the spectrogram's mean and scale into the outer convolutions, and begin with little latent noise.

    A log-mel spectrogram lies about -8 with a deviation of 3; weights that start around zero need thousands of steps
    to get there.
    """
    first, last = vae.encoder.conv_in.conv, vae.decoder.conv_out.conv
    first.weight.div_(MEL_SCALE)
    first.bias.sub_(MEL_MEAN * first.weight.sum((1, 2, 3)))
    last.weight.mul_(MEL_SCALE)
    last.bias.fill_(MEL_MEAN)
    latents = vae.encoder.conv_out.conv
    channels = vae.config.latent_channels
    latents.weight[channels:].zero_()
    latents.bias[channels:].fill_(INITIAL_LOG_VARIANCE)


@torch.no_grad()
def rescale_latents(vae: AutoencoderKLLTX2Audio, factor: float) -> None:
    """Divide the latents by `factor`, in the weights on both sides of them; decoding is unchanged.

    The class keeps latent statistics only at the released width (`models.codecs`), so a small codec's own layers carry
    its scale. A power of two changes no digit of any weight.
    """
    channels = vae.config.latent_channels
    enter, leave = vae.encoder.conv_out.conv, vae.decoder.conv_in.conv
    enter.weight[:channels] /= factor
    enter.bias[:channels] /= factor
    # The log-variance is of the scaled latents too.
    enter.bias[channels:] -= 2 * float(np.log(factor))
    leave.weight *= factor


class AudioCodecObjective:
    """Spectrogram and waveform reconstruction with a KL term on the tokens."""

    def __init__(self, recipe: AudioCodecRecipe) -> None:
        self.recipe = recipe
        self.readers = [ShardReader(folder) for folder in recipe.clips]
        self.sources = [(reader, index) for reader in self.readers for index in range(len(reader))]
        self.validation = ShardReader(recipe.validation)
        torch.manual_seed(recipe.seed)
        self.audio_vae = AutoencoderKLLTX2Audio(**recipe.model)
        self.vocoder = IstftVocoder(**recipe.vocoder)
        if recipe.start_from:
            start_from(self.audio_vae, recipe.start_from / "audio_vae")
            start_from(self.vocoder, recipe.start_from / "vocoder")
        else:
            _start_at_scale(self.audio_vae)
        if recipe.decoder_only:
            keep_encoder(self.audio_vae)

    def modules(self) -> dict[str, nn.Module]:
        return {"audio_vae": self.audio_vae, "vocoder": self.vocoder}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        named = [*self.audio_vae.named_parameters(), *self.vocoder.named_parameters()]
        matrices, rest = split_parameters(named, ("conv_in", "conv_out", "depthwise", "head"))
        return {
            "muon": Muon(matrices, lr=self.recipe.muon_rate, dtype=self.recipe.loop.dtype),
            "adamw": torch.optim.AdamW(rest, lr=self.recipe.adamw_rate, betas=(0.8, 0.99), weight_decay=0.0),
        }

    def batch(self, step: int) -> Tensor:
        """Waveform crops with half a window of context behind their end. [B, 2, N]"""
        length = (self.recipe.tokens - 1) * TOKEN_SAMPLES + 512
        rng = np.random.default_rng([self.recipe.seed, 1, step])
        crops = []
        for _ in range(self.recipe.batch):
            reader, index = self.sources[rng.integers(len(self.sources))]
            audio = reader.get(index)["audio"].float() / 32768
            room = max(0, audio.shape[1] - length)
            # Half of the crops begin where the clip begins, as every use of the codec does.
            start = rng.integers(room + 1) if rng.random() < 0.5 else 0
            part = audio[:, start : start + length]
            part = nn.functional.pad(part, (0, length - part.shape[1]))
            part = part.flip(0) if rng.random() < 0.5 else part
            # Within 12 dB, never louder than full scale.
            gain = 10 ** (rng.uniform(-9, 3) / 20)
            crops.append(part * min(gain, 0.99 / max(float(part.abs().max()), 1e-4)))
        return torch.stack(crops)

    def loss(self, step: int) -> dict[str, Tensor]:
        waveform = self.batch(step).to(self.recipe.loop.device)
        frames = (self.recipe.tokens - 1) * 4 + 1
        mel = log_mel(waveform, frames)
        posterior = self.audio_vae.encode(mel).latent_dist
        generator = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + step)
        noise = torch.randn(posterior.mean.shape, generator=generator).to(mel.device)
        tokens = audio_tokens(self.audio_vae, posterior.mean + posterior.std * noise)
        decoded = decode_mel(self.audio_vae, tokens)
        ours = self.vocoder(decoded)
        length = frames * HOP - HOP // 2
        truth = nn.functional.pad(waveform, (0, max(0, length - waveform.shape[-1])))[..., :length]
        ours = ours[..., :length]
        kl = 0.5 * (posterior.mean.square() + posterior.var - 1 - posterior.logvar).mean()
        parts = {
            "mel": (decoded.float() - mel).abs().mean(),
            "wave_mel": (log_mel(ours, frames - 4) - mel[:, :, :-4]).abs().mean(),
            "stft": stft_loss(ours, truth),
            "kl_per_dimension": kl,
        }
        total = (
            self.recipe.mel_weight * parts["mel"]
            + self.recipe.wave_mel_weight * parts["wave_mel"]
            + self.recipe.stft_weight * parts["stft"]
            + self.recipe.kl_weight * kl
        )
        return {"loss": total, **parts}

    @torch.no_grad()
    def validate(self, step: int) -> dict[str, float]:
        """Log-mel distance of spectrogram and of waveform over whole held-out clips (nepers)."""
        mel_errors, wave_errors, spectra = [], [], []
        for index in range(min(self.recipe.validation_clips, len(self.validation))):
            waveform = (self.validation.get(index)["audio"].float() / 32768)[None].to(self.recipe.loop.device)
            tokens_count = waveform.shape[-1] // TOKEN_SAMPLES + 1
            frames = (tokens_count - 1) * 4 + 1
            mel = log_mel(waveform, frames)
            tokens = audio_tokens(self.audio_vae, self.audio_vae.encode(mel).latent_dist.mode())
            decoded = decode_mel(self.audio_vae, tokens)
            ours = self.vocoder(decoded)
            length = min(waveform.shape[-1], ours.shape[-1])
            mel_errors.append(float((decoded - mel).abs().mean()))
            wave_errors.append(float((log_mel(ours[..., :length], frames - 1) - mel[:, :, :-1]).abs().mean()))
            spectra.append(float(stft_loss(ours[..., :length], waveform[..., :length])))
        return {
            "mel": float(np.mean(mel_errors)),
            "log_mel_distance": float(np.mean(wave_errors)),
            "stft": float(np.mean(spectra)),
        }

    @torch.no_grad()
    def latent_deviation(self, clips: int = 64) -> float:
        """Standard deviation of all token values over training clips."""
        rng = np.random.default_rng([self.recipe.seed, 2])
        values = []
        for pick in rng.permutation(len(self.sources))[:clips]:
            reader, index = self.sources[pick]
            waveform = (reader.get(index)["audio"].float() / 32768)[None].to(self.recipe.loop.device)
            values.append(encode_audio(self.audio_vae, waveform, waveform.shape[-1] // TOKEN_SAMPLES + 1).flatten())
        return float(torch.cat(values).std())


def run_audio_codec(recipe: AudioCodecRecipe, run: Path, begun: Begun = unrecorded) -> dict[str, float]:
    """Train (or go on training), then write the averaged parts to `run/export/{audio_vae,vocoder}`.

    The exported latents have unit scale to within a factor of 1.5; a kept encoder's are as they were.
    """
    objective = AudioCodecObjective(recipe)
    figures = train(objective, recipe.loop, run, begun)
    checkpoint = latest_checkpoint(run / "checkpoints")
    assert checkpoint is not None
    for name, module in objective.modules().items():
        module.load_state_dict(load_weights(checkpoint, name, ema=True))
    if not recipe.decoder_only:
        rescale_latents(objective.audio_vae, 2.0 ** round(float(np.log2(objective.latent_deviation()))))
    for name, module in (("audio_vae", objective.audio_vae), ("vocoder", objective.vocoder)):
        save_network(module, run / "export" / name)
    return figures
