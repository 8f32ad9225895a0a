"""PANNs' CNN14 (Kong et al. 2020, arXiv 1912.10211): a sound to the 527 classes of AudioSet and to a vector.

Written from the paper's description of the network; `own_name` maps the names of the public weights, which also hold
the windowed Fourier rows and the mel filters.
"""

from __future__ import annotations

import re

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RATE = 16000
FFT, HOP, BANDS, CLASSES = 512, 160, 64, 527
SHORTEST = 32 * HOP  # samples: five times the time is halved, and something must be left
_FLOOR = 1e-10


class _Block(nn.Module):
    """Two convolutions of 3 x 3 with batch norm and rectifier, then a mean over `pool` x `pool`."""

    def __init__(self, enter: int, leave: int, pool: int) -> None:
        super().__init__()
        self.pool = pool
        self.convs = nn.ModuleList([nn.Conv2d(n, leave, 3, padding=1, bias=False) for n in (enter, leave)])
        self.norms = nn.ModuleList([nn.BatchNorm2d(leave) for _ in range(2)])

    def forward(self, x: Tensor) -> Tensor:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.relu(norm(conv(x)))
        return F.avg_pool2d(x, self.pool)


class Cnn14(nn.Module):
    """The network for 16 kHz.

    Args:
        width: multiplies the channels; 1 is the published network, whose vector has 2048 values.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        channels = [1, *(max(1, round(64 * 2**n * width)) for n in range(6))]
        self.real = nn.Conv1d(1, FFT // 2 + 1, FFT, HOP, bias=False)
        self.imaginary = nn.Conv1d(1, FFT // 2 + 1, FFT, HOP, bias=False)
        self.mel = nn.Parameter(torch.rand(FFT // 2 + 1, BANDS))
        self.norm = nn.BatchNorm2d(BANDS)
        self.blocks = nn.ModuleList(
            [_Block(channels[n], channels[n + 1], 2 if n < 5 else 1) for n in range(len(channels) - 1)]
        )
        self.embed = nn.Linear(channels[-1], channels[-1])
        self.classify = nn.Linear(channels[-1], CLASSES)

    def forward(self, sound: Tensor) -> tuple[Tensor, Tensor]:
        """Sound [B, N] at 16 kHz, N at least `SHORTEST`, to logits [B, 527] and vectors [B, 2048]."""
        padded = F.pad(sound[:, None], (FFT // 2, FFT // 2), mode="reflect")
        power = self.real(padded) ** 2 + self.imaginary(padded) ** 2
        bands = 10.0 * torch.log10((power.transpose(1, 2) @ self.mel).clamp(min=_FLOOR))
        # The norm is over bands: they are its channels for once.
        x = self.norm(bands.transpose(1, 2)[..., None]).squeeze(-1).transpose(1, 2)[:, None]
        for block in self.blocks:
            x = block(x)
        over_time = x.mean(dim=3)
        vector = F.relu(self.embed(over_time.amax(dim=2) + over_time.mean(dim=2)))
        return self.classify(vector), vector


_NAMES = {
    "spectrogram_extractor.stft.conv_real.": "real.",
    "spectrogram_extractor.stft.conv_imag.": "imaginary.",
    "logmel_extractor.melW": "mel",
    "bn0.": "norm.",
    "fc1.": "embed.",
    "fc_audioset.": "classify.",
}


def own_name(name: str) -> str:
    """The name in `Cnn14` of a tensor of the public weights."""
    match = re.fullmatch(r"conv_block(\d)\.(conv|bn)(\d)\.(\w+)", name)
    if match:
        part = "convs" if match[2] == "conv" else "norms"
        return f"blocks.{int(match[1]) - 1}.{part}.{int(match[3]) - 1}.{match[4]}"
    for public, own in _NAMES.items():
        if name.startswith(public):
            return own + name.removeprefix(public)
    return name
