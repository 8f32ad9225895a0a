"""NAVA's blocks: self-attention over picture and sound together, cross-attention to the context, feed-forward (§2).

Video and audio stay two arguments. Inside a block they become one sequence for self-attention, and for layers that
serve both: one large matrix product costs less than a large and a small one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import NamedTuple, TypeVar, cast

import torch
from torch import Tensor, nn

from vivace.models.attention import Attention, KeyValue, padding_bias
from vivace.models.layers import AffineLayerNorm, Modulation, PerModality, RMSNorm, join, split
from vivace.models.rotary import rotate
from vivace.pair import AV, Modality

T = TypeVar("T")

# Order of the six vectors that modulate a block (first the self-attention, then the feed-forward).
SHIFT_1, SCALE_1, GATE_1, SHIFT_2, SCALE_2, GATE_2 = range(6)


class QueryKeyValue(NamedTuple):
    """Of one sequence, each [batch, tokens, heads, head_dim]."""

    query: Tensor
    key: Tensor
    value: Tensor


@dataclass(frozen=True)
class AttentionGroup:
    """Modalities that see each other, with the rotation of their joined sequence and the bias that hides padding."""

    modalities: tuple[Modality, ...]
    rotation: Tensor
    bias: Tensor | None

    def of(self, x: AV[T]) -> AV[T]:
        """The sides of a pair that are in this group."""
        return AV(**{modality: x.get(modality) for modality in self.modalities})

    def alone(self, modality: Modality) -> AttentionGroup:
        """The same sequence as that of one modality."""
        return replace(self, modalities=(modality,))


class Embedded(NamedTuple):
    """One modality's tokens [batch, tokens, dim], the rotation of each place, and the true lengths."""

    tokens: Tensor
    rotation: Tensor
    lengths: list[int]


def attention_groups(embedded: AV[Embedded], exchange: bool) -> list[AttentionGroup]:
    """One joint sequence of the present modalities, or one for each when they exchange nothing."""
    present = dict(embedded.items())
    groups = [tuple(present)] if exchange else [(modality,) for modality in present]
    return [_attention_group(names, [present[name] for name in names]) for names in groups]


def _attention_group(names: tuple[Modality, ...], members: list[Embedded]) -> AttentionGroup:
    rotations = [member.rotation for member in members]
    batch = len(members[0].lengths)
    if any(rotation.ndim == 4 for rotation in rotations):
        rotations = [r if r.ndim == 4 else r.expand(batch, *r.shape) for r in rotations]
    biases = [padding_bias(m.lengths, m.tokens.shape[1], m.tokens.device) for m in members]
    if any(bias is not None for bias in biases):
        shown = [torch.zeros(m.tokens.shape[:2], device=m.tokens.device) for m in members]
        joined = torch.cat([s if b is None else b for s, b in zip(shown, biases, strict=True)], dim=1)
    else:
        joined = None
    return AttentionGroup(names, torch.cat(rotations, dim=-3), joined)


class SelfAttentionLayers(nn.Module):
    """Projections of one stream's self-attention; queries and keys are normalised over the full width."""

    def __init__(self, dim: int, heads: int, qk_norm: bool, eps: float) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim) for _ in range(4))
        self.norm_q, self.norm_k = (RMSNorm(dim, eps) if qk_norm else nn.Identity() for _ in range(2))

    def project(self, x: Tensor) -> QueryKeyValue:
        parts = (self.norm_q(self.q(x)), self.norm_k(self.k(x)), self.v(x))
        return QueryKeyValue(*(part.unflatten(-1, (self.heads, -1)) for part in parts))


class CrossAttentionLayers(nn.Module):
    """The token side of one stream's cross-attention (the context side is `ContextLayers`)."""

    def __init__(self, dim: int, heads: int, qk_norm: bool, eps: float) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.o = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.norm_q = RMSNorm(dim, eps) if qk_norm else nn.Identity()

    def query(self, x: Tensor) -> Tensor:
        return self.norm_q(self.q(x)).unflatten(-1, (self.heads, -1))


class ContextLayers(nn.Module):
    """The context side of one stream's cross-attention: computed once per clip, so a module of its own that the
    hooks of offloading and sharding can fire on."""

    def __init__(self, dim: int, heads: int, qk_norm: bool, eps: float) -> None:
        super().__init__()
        self.heads = heads
        self.k, self.v = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.norm_k = RMSNorm(dim, eps) if qk_norm else nn.Identity()

    def forward(self, context: Tensor) -> KeyValue:
        """[batch, keys, dim] to keys and values [batch, keys, heads, head_dim]."""
        key, value = self.norm_k(self.k(context)), self.v(context)
        return KeyValue(key.unflatten(-1, (self.heads, -1)), value.unflatten(-1, (self.heads, -1)))


class BlockContext(PerModality):
    """`ContextLayers` of one block."""

    def forward(self, context: Tensor) -> AV[KeyValue]:
        if "both" in self:
            return AV.of(self["both"](context))
        return self.pair().map(lambda layers: layers(context))


class StreamLayers(nn.Module):
    """The layers of a block that a double block holds for each modality."""

    def __init__(self, dim: int, heads: int, qk_norm: bool, eps: float) -> None:
        super().__init__()
        self.modulation = nn.Parameter(torch.randn(1, 6, dim) / dim**0.5)
        self.self_attn = SelfAttentionLayers(dim, heads, qk_norm, eps)
        self.cross_attn = CrossAttentionLayers(dim, heads, qk_norm, eps)


class Block(nn.Module):
    """Self-attention over both modalities, cross-attention to the context, feed-forward.

    Args:
        shared: one set of stream layers for both modalities (single block) or one for each (double block).
        shared_ffn: the same for the cross-attention's norm and the feed-forward (shared in the released model).
    """

    def __init__(
        self,
        dim: int,
        ffn_dim: int,
        heads: int,
        *,
        shared: bool,
        shared_ffn: bool,
        qk_norm: bool,
        cross_attn_norm: bool,
        eps: float,
    ) -> None:
        super().__init__()
        self.eps = eps
        self.shares_all = shared and shared_ffn
        self.streams = PerModality(lambda: StreamLayers(dim, heads, qk_norm, eps), shared)
        self.cross_norm = PerModality(
            lambda: AffineLayerNorm(dim, eps=eps) if cross_attn_norm else nn.Identity(), shared_ffn
        )
        self.feed_forward = PerModality(
            lambda: nn.Sequential(nn.Linear(dim, ffn_dim), nn.GELU(approximate="tanh"), nn.Linear(ffn_dim, dim)),
            shared_ffn,
        )
        # Two, because sharding a sequence over devices concerns the self-attention only.
        self.attend, self.read = Attention(), Attention()

    def forward(
        self,
        x: AV[Tensor],
        time: AV[Modulation],
        groups: Sequence[AttentionGroup],
        context: AV[KeyValue],
        context_bias: Tensor | None,
    ) -> AV[Tensor]:
        """Tokens [batch, tokens, dim] of each modality to the same.

        Args:
            time: the projected timestep, six vectors per distinct timestep.
            groups: which modalities attend to each other.
            context: this block's keys and values of the context; context_bias [1, keys].
        """
        if self.shares_all and len(groups) == 1 and x.audio is not None and time.video is time.audio:
            # One sequence of both sides is to such a block what one side is, in fewer and larger operations.
            sides = AV(video=join(x)), AV(video=time.video), [groups[0].alone("video")], AV(video=context.video)
            return split(cast(Tensor, self._through(*sides, context_bias).video), x)
        return self._through(x, time, groups, context, context_bias)

    def _through(
        self,
        x: AV[Tensor],
        time: AV[Modulation],
        groups: Sequence[AttentionGroup],
        context: AV[KeyValue],
        context_bias: Tensor | None,
    ) -> AV[Tensor]:
        mod = time.map(lambda t, s: t.plus(s.modulation), self.streams.pair())

        # No name is kept for what enters a layer, so that it is gone before the next needs memory.
        qkv = self.project(x.map(lambda h, m: m.apply(h, SHIFT_1, SCALE_1, self.eps), mod), groups)
        seen = self.self_attention(qkv, x, groups)
        del qkv
        x = x.map(lambda h, a, m: m.gate(h, a, GATE_1), seen, mod)
        x = x.map(torch.add, self.cross_attention(x, context, context_bias))
        made = self.feed_forward.tokenwise(x.map(lambda h, m: m.apply(h, SHIFT_2, SCALE_2, self.eps), mod))
        return x.map(lambda h, a, m: m.gate(h, a, GATE_2), made, mod)

    def project(self, x: AV[Tensor], groups: Sequence[AttentionGroup]) -> list[QueryKeyValue]:
        """Queries, keys and values of each group's joined sequence."""
        if "both" in self.streams:
            layers = cast(StreamLayers, self.streams["both"]).self_attn
            return [layers.project(join(group.of(x))) for group in groups]
        each = x.map(lambda h, s: s.self_attn.project(h), self.streams.pair())
        return [QueryKeyValue(*(join(group.of(each).map(itemgetter(place))) for place in range(3))) for group in groups]

    def self_attention(
        self, qkv: Sequence[QueryKeyValue], like: AV[Tensor], groups: Sequence[AttentionGroup]
    ) -> AV[Tensor]:
        """What each group's tokens find in each other, [batch, tokens, dim] of each modality, as long as `like`'s."""
        found: dict[Modality, Tensor] = {}
        for joined, group in zip(qkv, groups, strict=True):
            seen, members = self._seen(joined, group), group.of(like)
            if "both" in self.streams:
                made = split(cast(StreamLayers, self.streams["both"]).self_attn.o(seen), members)
            else:
                made = split(seen, members).map(lambda h, s: s.self_attn.o(h), self.streams.pair())
            found.update(made.items())
        return AV(**found)

    def _seen(self, joined: QueryKeyValue, group: AttentionGroup) -> Tensor:
        """What the tokens of a group find in each other, [batch, tokens, dim]."""
        query, key = rotate(joined.query, group.rotation), rotate(joined.key, group.rotation)
        return self.attend(query, key, joined.value, group.bias).flatten(2)

    def cross_attention(self, x: AV[Tensor], context: AV[KeyValue], bias: Tensor | None) -> AV[Tensor]:
        """What each token finds in the context, [batch, tokens, dim] of each modality."""

        def found(h: Tensor, norm: nn.Module, stream: nn.Module, context: KeyValue) -> Tensor:
            layers = cast(StreamLayers, stream).cross_attn
            return layers.o(self.read(layers.query(norm(h)), context.key, context.value, bias).flatten(2))

        if "both" in self.streams and context.video is not None:  # the sound's is the same one
            return split(found(join(x), self.cross_norm["both"], self.streams["both"], context.video), x)
        return x.map(found, self.cross_norm.pair(), self.streams.pair(), context)


class DoubleBlock(Block):
    """A block with layers for each modality (alignment)."""


class SingleBlock(Block):
    """A block whose layers serve both modalities (fusion)."""


class Head(nn.Module):
    """Modulated LayerNorm and a linear map to a token's latent values."""

    def __init__(self, dim: int, out: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.modulation = nn.Parameter(torch.randn(1, 2, dim) / dim**0.5)
        self.linear = nn.Linear(dim, out)

    def forward(self, x: Tensor, time: Modulation) -> Tensor:
        """[batch, tokens, dim] to [batch, tokens, out]; `time` holds the unprojected time embedding as one vector."""
        return self.linear(time.plus(self.modulation).apply(x, 0, 1, self.eps))
