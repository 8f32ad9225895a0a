"""Alive's audio tower: blocks over the sound that read its description and what is said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vivace.errors import VivaceError
from vivace.models.alive_layers import (
    GATE_1,
    GATE_2,
    SCALE_1,
    SCALE_2,
    SHIFT_1,
    SHIFT_2,
    Head,
    StreamLayers,
    TextEmbedding,
)
from vivace.models.alive_time import Time, TimeEmbedding
from vivace.models.attention import Attention, KeyValue
from vivace.models.layers import AffineLayerNorm, RMSNorm
from vivace.models.rotary import rotate


class ReadingLayers(nn.Module):
    """The token side of a cross-attention to words (the words' side is `WordLayers`)."""

    def __init__(self, dim: int, heads: int, eps: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm = AffineLayerNorm(dim, eps=eps)
        self.q, self.o = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.norm_q = RMSNorm(dim // heads, eps)
        self.attend = Attention()

    def forward(self, x: Tensor, words: KeyValue, bias: Tensor | None) -> Tensor:
        query = self.norm_q(self.q(self.norm(x)).unflatten(-1, (self.heads, -1)))
        return x + self.o(self.attend(query, words.key, words.value, bias).flatten(2))


class WordLayers(nn.Module):
    """The words' side of a cross-attention, computed once per clip."""

    def __init__(self, dim: int, heads: int, eps: float) -> None:
        super().__init__()
        self.heads = heads
        self.k, self.v = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.norm_k = RMSNorm(dim // heads, eps)

    def forward(self, words: Tensor) -> KeyValue:
        """[batch, words, dim] to keys and values [batch, words, heads, head_dim]."""
        key, value = (layer(words).unflatten(-1, (self.heads, -1)) for layer in (self.k, self.v))
        return KeyValue(self.norm_k(key), value)


class AudioBlock(nn.Module):
    """Self-attention over the sound, cross-attention to its description and to what is said, feed-forward."""

    def __init__(self, dim: int, heads: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.stream = StreamLayers(dim, heads, eps)
        self.attend = Attention()
        self.read_description, self.read_speech = ReadingLayers(dim, heads, eps), ReadingLayers(dim, heads, eps)

    def forward(
        self,
        x: Tensor,
        time: Time,
        rotation: Tensor,
        description: KeyValue,
        speech: KeyValue,
        biases: tuple[Tensor | None, Tensor | None],
    ) -> Tensor:
        """[batch, tokens, dim] to the same; biases [batch, words] hide the padding of the two texts."""
        layers, mod = self.stream, self.stream.modulation(time)
        query, key, value = layers.self_attn.project(mod.apply(x, SHIFT_1, SCALE_1, self.eps))
        seen = self.attend(rotate(query, rotation), rotate(key, rotation), value).flatten(2)
        x = mod.gate(x, layers.self_attn.o(seen), GATE_1)
        x = self.read_description(x, description, biases[0])
        x = self.read_speech(x, speech, biases[1])
        return mod.gate(x, layers.feed_forward(mod.apply(x, SHIFT_2, SCALE_2, self.eps)), GATE_2)


class AudioTower(nn.Module):
    """Blocks over the sound that read a description and what is said."""

    def __init__(self, config: Any, eps: float) -> None:
        super().__init__()
        dim, heads, count = config.audio_dim, config.audio_heads, config.num_audio_layers
        self.embedding = nn.Linear(config.audio_channels, dim)
        sizes = [config.audio_positions] if config.audio_positions else []
        self.positions = nn.ParameterList(torch.zeros(size, dim) for size in sizes)
        self.description_embedding = TextEmbedding(config.text_dims[:1], dim)
        self.speech_embedding = TextEmbedding([config.speech_dim or config.text_dims[0]], dim)
        self.time_embedding = TimeEmbedding(config.freq_dim, dim)
        self.description_words = nn.ModuleList(WordLayers(dim, heads, eps) for _ in range(count))
        self.speech_words = nn.ModuleList(WordLayers(dim, heads, eps) for _ in range(count))
        self.blocks = nn.ModuleList(AudioBlock(dim, heads, eps) for _ in range(count))
        self.head = Head(dim, config.audio_channels, eps)


def pairing(audio_blocks: int, stages: int, per_stage: Sequence[int] | None = None) -> tuple[int, ...]:
    """How many audio blocks run in each stage; what is left runs after the last one.

    Raises:
        VivaceError: not a number for each stage, or more blocks than there are.
    """
    if per_stage is None:
        return tuple(audio_blocks // stages + (stage < audio_blocks % stages) for stage in range(stages))
    if len(per_stage) != stages or min(per_stage, default=0) < 0 or sum(per_stage) > audio_blocks:
        raise VivaceError(
            f"audio_per_stage {list(per_stage)} does not divide {audio_blocks} audio blocks over {stages} stages; "
            "give one number for each stage, together no more than there are blocks."
        )
    return tuple(per_stage)
