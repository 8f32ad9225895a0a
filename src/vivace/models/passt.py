"""PaSST (Koutini et al. 2022, arXiv 2110.05069): ten seconds of sound to the 527 classes of AudioSet and a vector.

Written from the paper and its release's settings; names are those of the public weights (passt-s, patches of 16 every
10). Patches are left out in training alone.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vivace.models.htk_mel import htk_filters
from vivace.models.vision_block import VisionBlock

RATE = 32000
SECONDS = 10
BANDS, CLASSES = 128, 527
_WINDOW, _HOP, _FFT, _HIGH, _PREEMPHASIS = 800, 320, 1024, 15000.0, 0.97
_PATCH, _STRIDE = 16, 10


def spectrogram(sound: Tensor) -> Tensor:
    """Normalised log-mel spectrogram, [B, N] at 32 kHz to [B, 128, T]; ten seconds have 1000 frames."""
    sharp = sound[:, 1:] - _PREEMPHASIS * sound[:, :-1]
    window = torch.hann_window(_WINDOW, periodic=False)
    spectrum = torch.stft(sharp, _FFT, _HOP, _WINDOW, window, center=True, return_complex=True)
    mel = htk_filters(RATE, _FFT, BANDS, 0.0, _HIGH) @ spectrum.abs().square()
    return (torch.log(mel + 1e-5) + 4.5) / 5.0


class Passt(nn.Module):
    """The transformer.

    Args:
        dim, depth, heads: the published network by default.
    """

    def __init__(self, dim: int = 768, depth: int = 12, heads: int = 12) -> None:
        super().__init__()
        rows, columns = ((length - _PATCH) // _STRIDE + 1 for length in (BANDS, SECONDS * RATE // _HOP))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(1, dim, _PATCH, _STRIDE)})
        self.cls_token, self.dist_token = (nn.Parameter(torch.zeros(1, 1, dim)) for _ in range(2))
        self.new_pos_embed = nn.Parameter(torch.zeros(1, 2, dim))
        self.freq_new_pos_embed = nn.Parameter(torch.zeros(1, dim, rows, 1))
        self.time_new_pos_embed = nn.Parameter(torch.zeros(1, dim, 1, columns))
        self.blocks = nn.ModuleList([VisionBlock(dim, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, CLASSES))

    def forward(self, bands: Tensor) -> tuple[Tensor, Tensor]:
        """`spectrogram`s [B, 128, T] of ten seconds at most to logits [B, 527] and vectors [B, 768]."""
        patches = self.patch_embed["proj"](bands[:, None])
        patches = patches + self.time_new_pos_embed[..., : patches.shape[-1]] + self.freq_new_pos_embed
        special = torch.cat([self.cls_token, self.dist_token], dim=1) + self.new_pos_embed
        x = torch.cat([special.expand(len(bands), -1, -1), patches.flatten(2).transpose(1, 2)], dim=1)
        for block in self.blocks:
            x = block(x)
        vector = self.norm(x)[:, :2].mean(dim=1)
        return self.head(vector), vector


def ten_seconds(sound: Tensor) -> Tensor:
    """The first ten seconds of [N] at 32 kHz, filled with zeros where it is shorter, [320000]."""
    kept = sound[: SECONDS * RATE]
    return F.pad(kept, (0, SECONDS * RATE - len(kept)))
