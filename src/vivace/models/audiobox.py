"""Audiobox Aesthetics (Tjandra et al. 2025): four judgements of a sound on WavLM's layers.

Written from the paper and the public configuration; the encoder is transformers' WavLM.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import WavLMConfig, WavLMModel

from vivace.models.wavlm import layer_states, transformers_name

AXES = ("CE", "CU", "PC", "PQ")  # content enjoyment, content usefulness, production complexity, production quality


class AudioboxAesthetics(nn.Module):
    """For each axis a weighted sum of WavLM's layers, its mean over time, and a perceptron.

    Args:
        encoder: configuration of WavLM; None for the published one (Base: 12 layers of 768).
        proj_num_layer, proj_ln, normalize_embed: as the public config.json names them: linear layers of a perceptron,
            layer norms between them, and whether the mean is brought to length 1.
    """

    def __init__(
        self,
        encoder: WavLMConfig | None = None,
        proj_num_layer: int = 1,
        proj_ln: bool = False,
        normalize_embed: bool = True,
    ) -> None:
        super().__init__()
        config = encoder or WavLMConfig()
        self.normalize_embed = normalize_embed
        self.wavlm = WavLMModel(config)
        layers = config.num_hidden_layers + 1
        self.layer_weights = nn.ParameterDict({axis: nn.Parameter(torch.full((layers,), 1 / layers)) for axis in AXES})
        self.heads = nn.ModuleDict({axis: _perceptron(config.hidden_size, proj_num_layer, proj_ln) for axis in AXES})

    def forward(self, sound: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
        """sound [B, N] at 16 kHz, mask bool [B, N] -> raw judgement of each axis, [B]."""
        states, frames = layer_states(self.wavlm, sound, mask)
        share = frames / frames.sum(1, keepdim=True).clamp(min=1)
        scores = {}
        for axis in AXES:
            mixed = torch.einsum("lbtd,l->btd", states, self.layer_weights[axis].softmax(-1))
            mean = torch.einsum("btd,bt->bd", mixed, share.to(mixed.dtype))
            if self.normalize_embed:
                mean = F.normalize(mean, dim=-1)
            scores[axis] = self.heads[axis](mean).squeeze(-1)
        return scores


def own_name(name: str) -> str:
    """The name in `AudioboxAesthetics` of a tensor of the public weights."""
    if name.startswith("wavlm_model."):
        return f"wavlm.{transformers_name(name.removeprefix('wavlm_model.'))}"
    return name.replace("proj_layer.", "heads.", 1)


def _perceptron(width: int, layers: int, norms: bool) -> nn.Sequential:
    parts: list[Any] = []
    for _ in range(layers - 1):
        parts += [nn.Linear(width, width), *([nn.LayerNorm(width)] if norms else []), nn.GELU()]
    return nn.Sequential(*parts, nn.Linear(width, 1))
