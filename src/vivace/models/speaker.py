"""Speaker encoders: from a recording to the vector by which the transformer knows a voice."""

from __future__ import annotations

import hashlib
from typing import Protocol, runtime_checkable

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from vivace.models.mel import FLOOR, mel_spectrogram
from vivace.models.vocoder import ConvNeXtBlock

# A long window and many bands (23 Hz wide below 1 kHz) show the harmonics of the lowest voices one by one.
HOP, N_FFT = 320, 2048
# Every recording is brought to this loudness, so that a voice has one vector however near the microphone was.
RMS = 0.05
# Of ln-mel at this loudness.
MEAN, DEVIATION = -5.0, 2.7


@runtime_checkable
class SpeakerEncoder(Protocol):
    """What may stand in a pipeline as its `speaker_encoder`.

    sample_rate: of the sound it takes (Hz). dim: values of a speaker vector. identity: a hash of all that decides its
    vectors, by which those of saved voices are kept.
    """

    @property
    def sample_rate(self) -> int: ...

    @property
    def dim(self) -> int: ...

    @property
    def identity(self) -> str: ...

    def __call__(self, waveform: Tensor) -> Tensor:
        """Mono sound [B, N] to speaker vectors [B, dim], none of which is all zeros."""
        ...


class AttentivePooling(nn.Module):
    """Weighted mean and deviation over time, with weights of its own for every channel (Okabe et al. 2018)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.enter = nn.Conv1d(width, hidden, 1)
        self.leave = nn.Conv1d(hidden, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, W, T] -> [B, 2 W]"""
        weights = self.leave(torch.tanh(self.enter(x))).softmax(-1)
        mean = (weights * x).sum(-1)
        variance = (weights * (x - mean[..., None]).square()).sum(-1)
        return torch.cat((mean, (variance + 1e-6).sqrt()), dim=1)


class NanoSpeakerEncoder(ModelMixin, ConfigMixin):
    """A small speaker encoder: log-mel, convolutions over half a second, attentive pooling, a unit vector.

    Args:
        dim: values of a speaker vector.
        width: channels of the network; num_layers: ConvNeXt blocks; expansion: width of their MLP over `width`.
        bands: of the spectrogram.
        sampling_rate: Hz.

    Source: ours (NAVA uses the published ReDimNet; see DEVIATIONS.md).
    """

    @register_to_config
    def __init__(
        self,
        dim: int = 128,
        width: int = 128,
        num_layers: int = 3,
        expansion: int = 2,
        bands: int = 128,
        sampling_rate: int = 16000,
    ) -> None:
        super().__init__()
        self.conv_in = nn.Conv1d(bands, width, 5, padding=2)
        self.norm_in = nn.LayerNorm(width)
        self.blocks = nn.ModuleList([ConvNeXtBlock(width, expansion) for _ in range(num_layers)])
        self.pooling = AttentivePooling(width, width // 2)
        self.norm_out = nn.LayerNorm(2 * width)
        self.head = nn.Linear(2 * width, dim)

    @property
    def sample_rate(self) -> int:
        return int(self.config.sampling_rate)

    @property
    def dim(self) -> int:
        return int(self.config.dim)

    @property
    def identity(self) -> str:
        """SHA-256 over configuration, names, types and bytes of the weights as they are now."""
        digest = hashlib.sha256(self.to_json_string().encode())
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(f"{name}{tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def forward(self, waveform: Tensor) -> Tensor:
        """waveform: mono [B, N] at `sample_rate` -> [B, dim] of length 1"""
        loudness = waveform.float().square().mean(-1, keepdim=True).sqrt()
        level = waveform.float() * (RMS / loudness.clamp(min=1e-6))
        frames = max(1, waveform.shape[-1] // HOP)
        mel = mel_spectrogram(
            level, frames, sample_rate=self.sample_rate, hop=HOP, n_fft=N_FFT, bands=self.config.bands
        )
        x = (torch.log(mel + FLOOR).transpose(1, 2) - MEAN) / DEVIATION
        x = self.conv_in(x.to(self.conv_in.weight.dtype))
        x = self.norm_in(x.transpose(1, 2)).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        vector = self.head(self.norm_out(self.pooling(x)))
        return nn.functional.normalize(vector.float(), dim=-1)


# Checkpoints name the class by the package, so its file may move.
NanoSpeakerEncoder.__module__ = "vivace"
