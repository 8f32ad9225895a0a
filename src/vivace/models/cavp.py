"""CAVP of Diff-Foley (Luo et al. 2023, arXiv 2306.17203): pictures and sound to vectors of one space, four a second.

Pictures go through a SlowOnly ResNet-50 (Feichtenhofer et al. 2019, arXiv 1812.03982), whose later half looks along
time too, sound through a CNN14 that keeps time. Modules have the public weights' names, so that no names are mapped.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vivace.models.mel import mel_filters

FPS, SIDE = 4, 224
RATE, FFT, HOP, BANDS = 16000, 1024, 250, 128
LOWEST, HIGHEST = 125.0, 7600.0
_STAGES = ((3, False), (4, False), (6, True), (3, True))  # blocks, and whether they look along time
_POOLS = ((2, 2), (2, 2), (2, 2), (2, 2), (1, 2), (1, 1))  # time and bands


class _Unit(nn.Module):
    """Convolution and batch norm, and a rectifier where one is wanted."""

    def __init__(
        self, enter: int, leave: int, kernel: tuple[int, int, int], stride: int = 1, *, rectified: bool = True
    ) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
        self.conv = nn.Conv3d(enter, leave, kernel, (1, stride, stride), padding, bias=False)
        self.bn = nn.BatchNorm3d(leave)
        self.rectified = rectified

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(self.conv(x))
        return F.relu(x) if self.rectified else x


class _Bottleneck(nn.Module):
    def __init__(self, enter: int, inside: int, stride: int, *, over_time: bool, first: bool) -> None:
        super().__init__()
        self.conv1 = _Unit(enter, inside, (3 if over_time else 1, 1, 1))
        self.conv2 = _Unit(inside, inside, (1, 3, 3), stride)
        self.conv3 = _Unit(inside, 4 * inside, (1, 1, 1), rectified=False)
        self.downsample: nn.Module = nn.Identity()
        if first:
            self.downsample = _Unit(enter, 4 * inside, (1, 1, 1), stride, rectified=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv3(self.conv2(self.conv1(x))) + self.downsample(x))


class _SlowOnly(nn.Module):
    """Pictures [B, 3, T, H, W] to [B, T, 32 width]; nothing is left out along time."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = _Unit(3, width, (1, 7, 7), 2)
        enter = width
        for number, (blocks, over_time) in enumerate(_STAGES):
            inside, stride = width * 2**number, 2 if number else 1
            layers = []
            for block in range(blocks):
                layers.append(
                    _Bottleneck(enter, inside, stride if block == 0 else 1, over_time=over_time, first=block == 0)
                )
                enter = 4 * inside
            self.add_module(f"layer{number + 1}", nn.Sequential(*layers))

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool3d(self.conv1(x), (1, 3, 3), (1, 2, 2), (0, 1, 1))
        for number in range(len(_STAGES)):
            x = self.get_submodule(f"layer{number + 1}")(x)
        return x.mean(dim=(3, 4)).transpose(1, 2)


class _Block(nn.Module):
    """Two convolutions of 3 x 3 with batch norm and rectifier, then a mean."""

    def __init__(self, enter: int, leave: int, pool: tuple[int, int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(enter, leave, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(leave, leave, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(leave), nn.BatchNorm2d(leave)
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))), self.pool)


class _SoundEncoder(nn.Module):
    """Spectrograms [B, L, 128] to [B, L // 16, D]."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(BANDS)
        channels = [1, *(width * 2**n for n in range(len(_POOLS)))]
        for number, pool in enumerate(_POOLS):
            self.add_module(f"conv_block{number + 1}", _Block(channels[number], channels[number + 1], pool))
        self.fc1 = nn.Linear(channels[-1], channels[-1])
        self.final_project = nn.Linear(channels[-1], dim)

    def forward(self, bands: Tensor) -> Tensor:
        # The norm is over bands: they are its channels for once.
        x = self.bn(bands.transpose(1, 2)[..., None]).squeeze(-1).transpose(1, 2)[:, None]
        for number in range(len(_POOLS)):
            x = self.get_submodule(f"conv_block{number + 1}")(x)
        x = x.mean(dim=3)
        around = F.max_pool1d(x, 3, 1, 1) + F.avg_pool1d(x, 3, 1, 1)
        # Twice through the same layer, as the published network has it.
        return self.final_project(F.relu(self.fc1(F.relu(self.fc1(around.transpose(1, 2))))))


class Cavp(nn.Module):
    """Both encoders.

    Args:
        width: of the first layers; 64 is the published network. dim: of the vectors.
    """

    def __init__(self, width: int = 64, dim: int = 512) -> None:
        super().__init__()
        self.video_encoder = _SlowOnly(width)
        self.video_project_head = nn.Linear(32 * width, dim)
        self.spec_encoder = _SoundEncoder(width, dim)
        self.logit_scale = nn.Parameter(torch.zeros(()))  # of training; of no use here

    def see(self, pictures: Tensor) -> Tensor:
        """Pictures [B, 3, T, 224, 224] from 0 to 1, four a second, to vectors of length 1 [B, T, D]."""
        return F.normalize(self.video_project_head(self.video_encoder(pictures)), dim=-1)

    def hear(self, bands: Tensor) -> Tensor:
        """`spectrogram`s [B, L, 128] to vectors of length 1 [B, L // 16, D]."""
        return F.normalize(self.spec_encoder(bands), dim=-1)


def spectrogram(sound: Tensor) -> Tensor:
    """Sound [B, N] at 16 kHz to bands [B, 1 + N // 250, 128] between 0 (-80 dB) and 1 (20 dB).

    A step of 250 samples: with it sixteen steps are a quarter of a second, as the training's 256 steps for 4 s say.
    """
    window = torch.hann_window(FFT, dtype=sound.dtype)
    size = torch.stft(sound, FFT, HOP, window=window, center=True, pad_mode="constant", return_complex=True).abs()
    bands = size.transpose(1, 2) @ mel_filters(RATE, FFT, BANDS, LOWEST, HIGHEST).T.to(sound)
    return ((20.0 * torch.log10(bands.clamp(min=1e-5)) + 80.0) / 100.0).clamp(0.0, 1.0)
