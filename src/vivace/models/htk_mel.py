"""Mel filters on HTK's scale, 1127 ln(1 + f / 700), as several published networks were trained on."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=8)
def htk_filters(rate: int, n_fft: int, bands: int, low: float, high: float, *, straight_in_mel: bool = True) -> Tensor:
    """Triangles of height 1, [bands, n_fft // 2 + 1].

    Args:
        low, high: Hz, of the lowest triangle's lower and the highest one's upper corner.
        straight_in_mel: sides are straight over mel (HTK, Kaldi), else over Hz (torchaudio).
    """

    def mel(hertz: Tensor) -> Tensor:
        return 1127.0 * torch.log1p(hertz / 700.0)

    # Cached, so it must not be a tensor of inference mode where the first caller is in it.
    with torch.inference_mode(False):
        ends = mel(torch.tensor([low, high], dtype=torch.float64))
        corners = torch.linspace(float(ends[0]), float(ends[1]), bands + 2, dtype=torch.float64)
        bins = torch.linspace(0.0, rate / 2, n_fft // 2 + 1, dtype=torch.float64)
        if straight_in_mel:
            bins = mel(bins)
        else:
            corners = 700.0 * torch.expm1(corners / 1127.0)
        rise = (bins[None] - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
        fall = (corners[2:, None] - bins[None]) / (corners[2:] - corners[1:-1])[:, None]
        return torch.minimum(rise, fall).clamp(min=0.0).float()
