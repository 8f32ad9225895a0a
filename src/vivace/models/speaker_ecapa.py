"""The speaker encoder of Seed-TTS's similarity: WavLM's layers into ECAPA-TDNN (Desplanques et al. 2020).

Written from the paper; the names are those of the public weights (UniSpeech), so that only WavLM's are mapped.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import WavLMConfig, WavLMModel

from vivace.models.wavlm import layer_states, transformers_name


class _Unit(nn.Module):
    """Convolution, rectifier, batch norm, in this order."""

    def __init__(self, enter: int, leave: int, kernel: int, dilation: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(enter, leave, kernel, padding=dilation * (kernel // 2), dilation=dilation)
        self.bn = nn.BatchNorm1d(leave)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(F.relu(self.conv(x)))


class _Res2(nn.Module):
    """Groups of channels, each convolved together with the result of the group before; the last passes as it is."""

    def __init__(self, channels: int, kernel: int, dilation: int, groups: int) -> None:
        super().__init__()
        width = channels // groups
        self.convs = nn.ModuleList(
            [nn.Conv1d(width, width, kernel, padding=dilation, dilation=dilation) for _ in range(groups - 1)]
        )
        self.bns = nn.ModuleList([nn.BatchNorm1d(width) for _ in range(groups - 1)])

    def forward(self, x: Tensor) -> Tensor:
        *parts, last = x.chunk(len(self.convs) + 1, dim=1)
        done: list[Tensor] = []
        for part, conv, norm in zip(parts, self.convs, self.bns, strict=True):
            done.append(norm(F.relu(conv(part + done[-1] if done else part))))
        return torch.cat([*done, last], dim=1)


class _Squeeze(nn.Module):
    """Each channel weighted by what all channels' means say."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(channels, hidden), nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.linear2(F.relu(self.linear1(x.mean(2)))))[..., None]


class _Block(nn.Module):
    """SE-Res2Block; the module names are those of the public weights."""

    def __init__(self, channels: int, dilation: int, groups: int, hidden: int) -> None:
        super().__init__()
        self.Conv1dReluBn1 = _Unit(channels, channels, 1)
        self.Res2Conv1dReluBn = _Res2(channels, 3, dilation, groups)
        self.Conv1dReluBn2 = _Unit(channels, channels, 1)
        self.SE_Connect = _Squeeze(channels, hidden)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.SE_Connect(self.Conv1dReluBn2(self.Res2Conv1dReluBn(self.Conv1dReluBn1(x))))


class _Pooling(nn.Module):
    """Mean and deviation over time, weighted by attention of each channel."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.linear1, self.linear2 = nn.Conv1d(channels, hidden, 1), nn.Conv1d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        weights = self.linear2(torch.tanh(self.linear1(x))).softmax(2)
        mean = (weights * x).sum(2)
        variance = (weights * x.square()).sum(2) - mean.square()
        return torch.cat([mean, variance.clamp(min=1e-9).sqrt()], dim=1)


class EcapaSpeakerEncoder(nn.Module):
    """Voice to vector.

    Args:
        encoder: configuration of WavLM; None for the published one (Large: 24 layers of 1024).
        channels, pooled, hidden, groups, dim: of ECAPA-TDNN; the defaults are the published ones.
    """

    def __init__(
        self,
        encoder: WavLMConfig | None = None,
        channels: int = 512,
        pooled: int = 1536,
        hidden: int = 128,
        groups: int = 8,
        dim: int = 256,
    ) -> None:
        super().__init__()
        config = encoder or wavlm_large()
        self.wavlm = WavLMModel(config)
        self.feature_weight = nn.Parameter(torch.zeros(config.num_hidden_layers + 1))
        self.instance_norm = nn.InstanceNorm1d(config.hidden_size)
        self.layer1 = _Unit(config.hidden_size, channels, 5)
        self.layer2, self.layer3, self.layer4 = (_Block(channels, d, groups, hidden) for d in (2, 3, 4))
        self.conv = nn.Conv1d(3 * channels, pooled, 1)
        self.pooling = _Pooling(pooled, hidden)
        self.bn = nn.BatchNorm1d(2 * pooled)
        self.linear = nn.Linear(2 * pooled, dim)

    def forward(self, sound: Tensor) -> Tensor:
        """Mono sound [B, N] at 16 kHz -> vectors [B, dim], not of length 1."""
        # WavLM Large was trained on sound of mean 0 and variance 1.
        states, _ = layer_states(self.wavlm, F.layer_norm(sound, sound.shape[-1:]))
        mixed = torch.einsum("lbtd,l->bdt", states, self.feature_weight.softmax(-1)) + 1e-6
        first = self.layer1(self.instance_norm(mixed))
        second = self.layer2(first)
        third = self.layer3(second)
        fourth = self.layer4(third)
        x = F.relu(self.conv(torch.cat([second, third, fourth], dim=1)))
        return self.linear(self.bn(self.pooling(x)))


def wavlm_large() -> WavLMConfig:
    """WavLM Large: 24 layers of 1024 with the norm before each, layer norms in the feature extractor."""
    return WavLMConfig(
        hidden_size=1024,
        num_hidden_layers=24,
        num_attention_heads=16,
        intermediate_size=4096,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
    )


def own_name(name: str) -> str:
    """The name in `EcapaSpeakerEncoder` of a tensor of the public weights."""
    prefix = "feature_extract.model."
    return f"wavlm.{transformers_name(name.removeprefix(prefix))}" if name.startswith(prefix) else name
