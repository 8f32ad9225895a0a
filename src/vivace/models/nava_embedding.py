"""How sound and voices enter NAVA's transformer (§2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vivace.models.layers import AffineLayerNorm

# A speaker vector whose sum of squares is at most this is "no speaker given".
NO_SPEAKER = 1e-6


class AudioEmbedding(nn.Module):
    """Audio latents to tokens: a convolution, then a gated convolutional layer, all of kernel 7 over time."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        hidden = -(-int(2 * (4 * dim) / 3) // 256) * 256
        self.enter = nn.Conv1d(channels, dim, 7, padding=3)
        self.gate = nn.Conv1d(dim, hidden, 7, padding=3, bias=False)
        self.value = nn.Conv1d(dim, hidden, 7, padding=3, bias=False)
        self.leave = nn.Conv1d(hidden, dim, 7, padding=3, bias=False)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """[batch, tokens, channels] to [batch, tokens, dim]; `valid` [batch, 1, tokens] is 0 after a sample's end."""
        x = F.silu(self.enter(x.transpose(1, 2)))
        x = x if valid is None else x * valid.to(x.dtype)
        x = F.silu(self.gate(x)) * self.value(x)
        x = x if valid is None else x * valid.to(x.dtype)
        return self.leave(x).transpose(1, 2)


class SpeakerEmbedding(nn.Module):
    """Speaker vectors [n, speaker_dim] to context tokens [n, dim]; a vector of zeros gives the learned null token."""

    def __init__(self, speaker_dim: int, dim: int) -> None:
        super().__init__()
        self.norm_in = AffineLayerNorm(speaker_dim)
        self.linear_in = nn.Linear(speaker_dim, dim)
        self.linear_out = nn.Linear(dim, dim)
        self.norm_out = AffineLayerNorm(dim)
        self.null_token = nn.Parameter(torch.zeros(1, dim))

    def forward(self, speakers: Tensor) -> Tensor:
        tokens = self.norm_out(self.linear_out(F.silu(self.linear_in(self.norm_in(speakers)))))
        given = speakers.float().square().sum(-1, keepdim=True) > NO_SPEAKER
        return torch.where(given, tokens, self.null_token.to(tokens.dtype))
