"""VGGish (Hershey et al. 2017, arXiv 1609.09430): windows of 0.96 s of sound to vectors of 128.

Written from the paper and its release's settings; names are those of the public PyTorch weights (torchvggish).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vivace.models.htk_mel import htk_filters

RATE = 16000
FRAMES, BANDS = 96, 64  # of a window, 10 ms each
WINDOW, HOP, FFT = 400, 160, 512
SHORTEST = (FRAMES - 1) * HOP + WINDOW  # samples of one window
_LOW, _HIGH, _OFFSET = 125.0, 7500.0, 0.01


def examples(sound: Tensor) -> Tensor:
    """Log-mel windows without overlap, what does not fill one left out: [N] at 16 kHz to [windows, 96, 64].

    Magnitudes under a periodic Hann window of 25 ms every 10 ms, 64 triangles from 125 to 7500 Hz, ln(mel + 0.01).
    """
    frames = sound.unfold(0, WINDOW, HOP) * torch.hann_window(WINDOW)
    mel = torch.fft.rfft(frames, FFT).abs() @ htk_filters(RATE, FFT, BANDS, _LOW, _HIGH).T
    whole = len(mel) // FRAMES
    return torch.log(mel + _OFFSET)[: whole * FRAMES].reshape(whole, FRAMES, BANDS)


class VGGish(nn.Module):
    """The network without its last rectifier and without PCA, as FAD reads it (audioldm_eval, av-benchmark).

    Args:
        width: multiplies the channels and hidden values; 1 is the published network.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        enter = 1
        for group in ((64,), (128,), (256, 256), (512, 512)):
            for channels in group:
                leave = max(1, round(channels * width))
                layers += [nn.Conv2d(enter, leave, 3, padding=1), nn.ReLU()]
                enter = leave
            layers.append(nn.MaxPool2d(2))
        hidden = max(1, round(4096 * width))
        self.features = nn.Sequential(*layers)
        self.embeddings = nn.Sequential(
            nn.Linear(enter * (FRAMES // 16) * (BANDS // 16), hidden), nn.ReLU(),
            nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 128),
        )  # fmt: skip

    def forward(self, windows: Tensor) -> Tensor:
        """Log-mel windows [B, 96, 64] to vectors [B, 128]."""
        # The weights come from a network whose channels are last.
        return self.embeddings(self.features(windows[:, None]).permute(0, 2, 3, 1).flatten(1))
