"""A vocoder's training for `benchmarks.vocoders`: ours or LTX-2's, with or without a discriminator."""

from __future__ import annotations

import json
import math
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from vivace.errors import VivaceError
from vivace.models.mel import log_mel
from vivace.models.vocoder import IstftVocoder
from vivace.training.audio_codec import HOP, SAMPLE_RATE, AudioCodecObjective, stft_loss
from vivace.training.loop import LoopSettings, learning_rate_factor
from vivace.training.muon import Muon, split_parameters

ISTFT = {"dim": 256, "num_layers": 6}
LTX2 = {
    "in_channels": 128,
    "hidden_channels": 128,
    "upsample_kernel_sizes": [15, 8, 8, 4],
    "upsample_factors": [5, 4, 4, 2],
    "output_sampling_rate": SAMPLE_RATE,
}
# The loss is told about so often (seconds of CPU time).
TOLD_EVERY = 30.0
WINDOWS = (256, 512, 1024)
DISCRIMINATOR_CHANNELS = 8
DISCRIMINATOR_RATE = 5e-4
# Of the discriminator's two terms beside a log-mel distance of weight 1; about HiFi-GAN's proportions (1 and 2 to 45).
ADVERSARIAL_WEIGHT, FEATURE_WEIGHT = 0.03, 0.06


@dataclass(frozen=True)
class Rates:
    """An optimiser of a vocoder: "muon" (AdamW for vectors, the first and the last layer) or "adamw" for all."""

    kind: str
    rate: float


class SpectrumDiscriminator(nn.Module):
    """Scores of parts of a sound's short-time spectrum: high for true ones.

    Args:
        size: window in samples; the hop is a quarter of it.
        channels: width of the first layers.
    """

    def __init__(self, size: int, channels: int = DISCRIMINATOR_CHANNELS) -> None:
        super().__init__()
        self.size = size
        self.layers = nn.ModuleList(
            [
                weight_norm(nn.Conv2d(2, channels, (9, 3), stride=(2, 1), padding=(4, 1))),
                weight_norm(nn.Conv2d(channels, channels, (9, 3), stride=(4, 1), padding=(4, 1))),
                weight_norm(nn.Conv2d(channels, 2 * channels, (5, 3), stride=(4, 2), padding=(2, 1))),
            ]
        )
        self.score = weight_norm(nn.Conv2d(2 * channels, 1, 3, padding=1))
        self.window: Tensor
        self.register_buffer("window", torch.hann_window(size), persistent=False)

    def forward(self, sound: Tensor) -> tuple[Tensor, list[Tensor]]:
        """[B, N] -> scores [B, 1, F, T] and the features of each layer."""
        spectrum = torch.stft(
            sound, self.size, self.size // 4, window=self.window, center=False, return_complex=True
        ) / float(self.window.sum())
        # Quiet parts are heard too, so amplitudes are compressed to a power of 0.3; the floor is about -80 dB.
        power = spectrum.real.square() + spectrum.imag.square() + 1e-8
        x = torch.stack([spectrum.real, spectrum.imag], dim=1) * power.pow(-0.35)[:, None]
        features = []
        for layer in self.layers:
            x = nn.functional.leaky_relu(layer(x), 0.2)
            features.append(x)
        return self.score(x), features


def against(judges: Sequence[nn.Module], truth: Tensor, made: Tensor) -> dict[str, Tensor]:
    """What the discriminators say of true and made waveforms, both [B, C, N].

    Returns:
        "judge": the hinge loss by which they learn; "adversarial" and "features": the vocoder's two terms. Each is a
        mean over the discriminators.
    """
    found: dict[str, list[Tensor]] = {"judge": [], "adversarial": [], "features": []}
    both = torch.cat([truth.flatten(0, 1), made.flatten(0, 1)])
    for judge in judges:
        scores, features = judge(both)
        true, false = scores.chunk(2)
        found["judge"].append((torch.relu(1 - true) + torch.relu(1 + false)).mean())
        found["adversarial"].append(-false.mean())
        pairs = [feature.chunk(2) for feature in features]
        gaps = [(mine - aim.detach()).abs().mean() / (aim.detach().abs().mean() + 1e-6) for aim, mine in pairs]
        found["features"].append(torch.stack(gaps).mean())
    return {name: torch.stack(each).mean() for name, each in found.items()}


def new_vocoder(family: str, seed: int) -> nn.Module:
    """ "istft" or "ltx2", with random weights that depend on the seed alone."""
    torch.manual_seed(seed)
    if family == "istft":
        return IstftVocoder(**ISTFT)
    vocoder = LTX2Vocoder(**LTX2)
    # Ours brings the spectrogram to unit scale, (x + 5) / 4; LTX-2's is helped to the same start by its first layer.
    with torch.no_grad():
        vocoder.conv_in.weight.div_(4)
        vocoder.conv_in.bias.add_(5 * vocoder.conv_in.weight.sum((1, 2)))
    made: nn.Module = vocoder
    return made


class Training:
    """One vocoder on its way.

    Args:
        family: "istft" or "ltx2".
        rates: its optimiser.
        data: where crops come from.
        seed: of the first weights.
    """

    def __init__(self, family: str, rates: Rates, data: AudioCodecObjective, seed: int) -> None:
        self.data = data
        self.vocoder = new_vocoder(family, seed)
        self.parameters: list[Tensor] = list(self.vocoder.parameters())
        matrices, rest = split_parameters(self.vocoder.named_parameters(), ("conv_in", "conv_out", "depthwise", "head"))
        if rates.kind == "adamw":
            matrices, rest = [], list(self.parameters)
        adamw = torch.optim.AdamW(rest, lr=rates.rate, betas=(0.8, 0.99), weight_decay=0.0)
        self.optimizers: list[torch.optim.Optimizer] = [adamw]
        if matrices:
            self.optimizers.append(Muon(matrices, lr=rates.rate))
        self.rate = rates.rate
        torch.manual_seed(seed + 1)
        self.judges = nn.ModuleList([SpectrumDiscriminator(size) for size in WINDOWS])
        self.judges_optimizer = torch.optim.AdamW(
            self.judges.parameters(), lr=DISCRIMINATOR_RATE, betas=(0.8, 0.99), weight_decay=0.0
        )

    def step(self, number: int, factor: float, adversarial: bool) -> dict[str, float]:
        """One step on the crops of that number, at `factor` of the learning rate; returns its losses."""
        waveform = self.data.batch(number)
        frames = (self.data.recipe.tokens - 1) * 4 + 1
        mel = log_mel(waveform, frames)
        length = min(frames * HOP - HOP // 2, waveform.shape[-1])
        made, truth = self.vocoder(mel)[..., :length], waveform[..., :length]
        parts = {
            "wave_mel": (log_mel(made, frames - 4) - mel[:, :, :-4]).abs().mean(),
            "stft": stft_loss(made, truth),
        }
        recipe = self.data.recipe
        spectral = recipe.wave_mel_weight * parts["wave_mel"] + recipe.stft_weight * parts["stft"]
        total = spectral
        if adversarial:
            parts |= against(list(self.judges), truth, made)
            total = total + ADVERSARIAL_WEIGHT * parts["adversarial"] + FEATURE_WEIGHT * parts["features"]
        for optimizer in (*self.optimizers, self.judges_optimizer):
            optimizer.zero_grad(set_to_none=True)
        # One pass of the discriminators serves both sides, each of which is moved by its own loss alone.
        total.backward(inputs=self.parameters, retain_graph=adversarial)
        if adversarial:
            parts["judge"].backward(inputs=list(self.judges.parameters()))
            self.judges_optimizer.step()
        torch.nn.utils.clip_grad_norm_(self.parameters, recipe.loop.grad_clip)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.rate * factor
            optimizer.step()
        return {"spectral": spectral.item(), **{name: part.item() for name, part in parts.items()}}


@dataclass(frozen=True)
class Plan:
    """Steps of a variant: so many without the discriminator, then so many with it."""

    spectral: int
    adversarial: int = 0

    @classmethod
    def of(cls, seconds: float, spectral: float, adversarial: float | None = None) -> Plan:
        """What `seconds` buy, of steps that take `spectral` and `adversarial` seconds (None: there is no such step)."""
        if adversarial is None:
            return cls(max(1, round(seconds / spectral)))
        return cls(max(1, round(seconds / 3 / spectral)), max(1, round(seconds * 2 / 3 / adversarial)))

    @property
    def steps(self) -> int:
        return self.spectral + self.adversarial


def trained(training: Training, plan: Plan) -> list[dict[str, float]]:
    """Train by the plan. Returns the losses of every step, with the CPU seconds at its end ("cpu_seconds").

    Raises:
        VivaceError: the loss is not finite.
    """
    shape = {"steps": plan.steps, "warmup_steps": min(50, plan.steps // 4), "decay_steps": max(1, plan.steps // 3)}
    schedule = LoopSettings.model_validate(shape)
    history: list[dict[str, float]] = []
    begun = time.process_time()
    for number in range(plan.steps):
        losses = training.step(number, learning_rate_factor(number, schedule), number >= plan.spectral)
        if not math.isfinite(losses["spectral"]):
            raise VivaceError(f"The loss is {losses['spectral']} at step {number}; take a lower learning rate.")
        history.append({"cpu_seconds": time.process_time() - begun, **losses})
        if number % 50 == 49:
            print(number + 1, json.dumps({name: round(x, 3) for name, x in history[-1].items()}), file=sys.stderr)
    return history


def over_time(history: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """Mean losses over each part of about `TOLD_EVERY` seconds, with steps and CPU seconds at its end; no part has
    steps without the discriminator and steps with it."""
    parts: dict[tuple[int, int], list[int]] = {}
    for number, line in enumerate(history):
        parts.setdefault((int(line["cpu_seconds"] // TOLD_EVERY), len(line)), []).append(number)
    lines = []
    for numbers in parts.values():
        last = history[numbers[-1]]
        means = {name: statistics.fmean(history[k][name] for k in numbers) for name in last}
        lines.append({"steps": numbers[-1] + 1, **means, "cpu_seconds": last["cpu_seconds"]})
    return lines
