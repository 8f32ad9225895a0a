"""The log-mel spectrogram that the audio codec reads (16 kHz, 64 bands, 10 ms hop: LTX-2's audio front end)."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

FLOOR = 1e-5
# A frame listens to half a window (512 samples at 16 kHz) on either side of its centre.
LOOK_AHEAD = 0.032


def _hz_to_mel(hz: Tensor) -> Tensor:
    """Slaney's scale: linear below 1 kHz, logarithmic above."""
    return torch.where(
        hz < 1000.0, hz * 3 / 200, 15.0 + torch.log(hz.clamp(min=1e-9) / 1000.0) * 27 / 1.8562979903656263
    )


def _mel_to_hz(mel: Tensor) -> Tensor:
    return torch.where(mel < 15.0, mel * 200 / 3, 1000.0 * torch.exp((mel - 15.0) * 1.8562979903656263 / 27))


@lru_cache(maxsize=16)
def mel_filters(sample_rate: int, n_fft: int, bands: int, low: float = 0.0, high: float | None = None) -> Tensor:
    """Triangular filters of unit area over low .. high Hz (half the rate for None). [bands, n_fft // 2 + 1]"""
    # Cached, so it must not be a tensor of inference mode where the first caller is in it: training could not use that.
    with torch.inference_mode(False):
        return _triangles(sample_rate, n_fft, bands, low, sample_rate / 2.0 if high is None else high)


def _triangles(sample_rate: int, n_fft: int, bands: int, low: float, high: float) -> Tensor:
    lowest, highest = (float(_hz_to_mel(torch.tensor(hertz))) for hertz in (low, high))
    edges = _mel_to_hz(torch.linspace(lowest, highest, bands + 2))
    bins = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1)
    rise = (bins[None] - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins[None]) / (edges[2:] - edges[1:-1])[:, None]
    triangles = torch.minimum(rise, fall).clamp(min=0)
    return triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None]


def mel_spectrogram(
    waveform: Tensor, frames: int, *, sample_rate: int = 16000, hop: int = 160, n_fft: int = 1024, bands: int = 64
) -> Tensor:
    """Magnitude mel spectrogram; frame k is centred on sample k * hop, and nothing is mirrored at the ends.

    Args:
        waveform: [..., N]; samples that are missing for the last frames count as silence.
        frames: number of frames.

    Returns:
        [..., frames, bands]
    """
    length = (frames - 1) * hop + n_fft // 2
    padded = F.pad(waveform[..., :length], (n_fft // 2, max(0, length - waveform.shape[-1])))
    window = torch.hann_window(n_fft, dtype=padded.dtype, device=padded.device)
    spectrum = torch.stft(
        padded.reshape(-1, padded.shape[-1]), n_fft, hop, window=window, center=False, return_complex=True
    ).abs()
    mel = mel_filters(sample_rate, n_fft, bands).to(spectrum) @ spectrum
    return mel.transpose(-1, -2).reshape(*waveform.shape[:-1], frames, bands)


def log_mel(waveform: Tensor, frames: int, *, sample_rate: int = 16000, hop: int = 160, n_fft: int = 1024) -> Tensor:
    """ln(mel + 1e-5). waveform [B, C, N] -> [B, C, frames, 64]"""
    return torch.log(mel_spectrogram(waveform, frames, sample_rate=sample_rate, hop=hop, n_fft=n_fft) + FLOOR)
