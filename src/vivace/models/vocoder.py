"""A small vocoder that predicts a short-time Fourier transform and inverts it (ours, after the Vocos idea).

It stands behind the same call as LTX-2's vocoder, [B, 2, T, 64] log-mel to [B, 2, N] waveform, and is there because it
learns with spectral losses alone, in less than an hour on a CPU (DEVIATIONS.md).
"""

from __future__ import annotations

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution over time, then a pointwise MLP, with a learned residual scale. [B, D, T]"""

    def __init__(self, dim: int, expansion: int, kernel_size: int = 7, scale: float = 0.2) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(dim, dim, kernel_size, padding=kernel_size // 2, groups=dim)
        self.norm = nn.LayerNorm(dim)
        self.up = nn.Linear(dim, dim * expansion)
        self.act = nn.GELU(approximate="tanh")
        self.down = nn.Linear(dim * expansion, dim)
        self.scale = nn.Parameter(torch.full((dim,), scale))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).transpose(1, 2))
        y = self.down(self.act(self.up(y)))
        return x + (y * self.scale).transpose(1, 2)


class IstftVocoder(ModelMixin, ConfigMixin):
    """Log-mel to waveform through a predicted complex spectrum.

    Args:
        mel_bins: bands of the input spectrogram.
        channels: audio channels, predicted together from their stacked spectrograms.
        dim: width of the network.
        num_layers: ConvNeXt blocks.
        expansion: width of a block's MLP over `dim`.
        n_fft: length of the inverse transform in samples.
        hop_length: samples per mel frame.
        output_sampling_rate: Hz.
    """

    @register_to_config
    def __init__(
        self,
        mel_bins: int = 64,
        channels: int = 2,
        dim: int = 256,
        num_layers: int = 6,
        expansion: int = 3,
        n_fft: int = 640,
        hop_length: int = 160,
        output_sampling_rate: int = 16000,
    ) -> None:
        super().__init__()
        self.conv_in = nn.Conv1d(channels * mel_bins, dim, 7, padding=3)
        self.norm_in = nn.LayerNorm(dim)
        self.blocks = nn.ModuleList([ConvNeXtBlock(dim, expansion) for _ in range(num_layers)])
        self.norm_out = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, channels * 3 * (n_fft // 2 + 1))
        # Begin quiet: most of a spectrogram is near silence, and a loud start takes long to unlearn.
        with torch.no_grad():
            self.head.bias.view(channels, 3, -1)[:, 0] = -3.0
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """hidden_states: ln-mel [B, C, T, M], frame k centred on sample k * hop -> waveform [B, C, T * hop]"""
        batch, channels, frames, _ = hidden_states.shape
        # The last samples lie under the rims of the last windows, which alone would be heard as a click. The sound
        # therefore goes on, as its mirror image, until every sample that is kept has all its windows.
        beyond = min(self.config.n_fft // self.config.hop_length, frames - 1)
        mirrored = hidden_states[:, :, frames - 1 - beyond : frames - 1].flip(2)
        hidden_states = torch.cat([hidden_states, mirrored], dim=2)
        # ln-mel lies between ln(1e-5) and about 2; this brings it to unit scale.
        x = (hidden_states + 5.0) / 4.0
        x = self.conv_in(x.transpose(2, 3).flatten(1, 2))
        x = self.norm_in(x.transpose(1, 2)).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        x = self.head(self.norm_out(x.transpose(1, 2)))
        log_magnitude, real, imaginary = x.float().unflatten(2, (channels, 3, -1)).permute(3, 0, 2, 4, 1).unbind(0)
        magnitude = torch.exp(log_magnitude.clamp(max=6.0))
        # A direction in the plane, instead of an angle, keeps the gradient finite at every phase.
        length = torch.sqrt(real.square() + imaginary.square() + 1e-8)
        spectrum = torch.complex(magnitude * real / length, magnitude * imaginary / length)
        waveform = self._invert(spectrum.flatten(0, 1), frames + beyond)
        return waveform[:, : frames * self.config.hop_length].unflatten(0, (batch, channels))

    def _invert(self, spectrum: Tensor, frames: int) -> Tensor:
        """[B, F, T] -> [B, T * hop] by overlap-add with the squared window divided out."""
        n_fft, hop = self.config.n_fft, self.config.hop_length
        window = self.window.to(spectrum.real.dtype)
        pieces = torch.fft.irfft(spectrum, n_fft, dim=1) * window[None, :, None]
        length = (frames - 1) * hop + n_fft

        def overlap_add(columns: Tensor) -> Tensor:
            return nn.functional.fold(columns, (1, length), (1, n_fft), stride=(1, hop))[:, 0, 0]

        weight = overlap_add(window.square()[None, :, None].expand(1, n_fft, frames))
        # Under 1 % of full weight only the outermost samples of the last window remain: faded, not blown up.
        waveform = overlap_add(pieces) / weight.clamp(min=0.01 * float(weight.max()))
        return waveform[:, n_fft // 2 : n_fft // 2 + frames * hop]


# Checkpoints name the class by the package, so its file may move.
IstftVocoder.__module__ = "vivace"
