"""NAVA's transformer: one network that denoises picture and sound together (arXiv 2605.30073 and its program).

Double blocks hold layers for each modality, single blocks share them; both attend over the two sequences together and
read their context (text, with speakers written over their markers) by cross-attention only. Video and audio stay two
arguments throughout; they become one sequence only inside `Block.forward`'s self-attention.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.loaders import PeftAdapterMixin
from diffusers.models.attention import AttentionMixin
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from vivace.errors import VivaceError
from vivace.models.attention import Attention, KeyValue, padding_bias
from vivace.models.layers import (
    AffineLayerNorm,
    Modulation,
    Patch,
    PatchEmbedding,
    PerModality,
    RMSNorm,
    pad_to_patches,
    sinusoid,
    unpatchify,
)
from vivace.models.places import PlaceEmbedding
from vivace.models.reuse import BlockMemory
from vivace.models.rotary import Grid, audio_rotation, rotate, stack_rotations, video_rotation
from vivace.pair import AV, Modality

# Order of the six vectors that modulate a block (first the self-attention, then the feed-forward).
SHIFT_1, SCALE_1, GATE_1, SHIFT_2, SCALE_2, GATE_2 = range(6)
# A speaker vector whose sum of squares is at most this is "no speaker given".
NO_SPEAKER = 1e-6

Latents = Tensor | Sequence[Tensor]


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


class Embedded(NamedTuple):
    """One modality's tokens [batch, tokens, dim], the rotation of each place, and the true lengths."""

    tokens: Tensor
    rotation: Tensor
    lengths: list[int]


@dataclass(frozen=True)
class NavaContext:
    """What a batch of clips is conditioned on, ready for every step: made by `NavaTransformer.encode_context`.

    The model attends to `text_len` positions of which those after the text are all the same "pad" vector. Up to the
    longest text of the batch they are kept as they are; the remaining `text_len - length` ones are represented by two
    keys with biases whose exponentials sum to that number, which is the same mathematics. (Two, because the first
    bias is a bfloat16 number: rounding a single log(n) to bfloat16 would weigh the pads wrongly by up to 1.5 %.)

    Args:
        tokens: projected context [batch, keys, dim]: `length` positions, then two pad keys unless length = text_len.
        bias: added to the attention scores, [1, keys] float32, or None when there are no pad keys.
        keys_values: for every block in order, the keys and values of each modality.
        length: positions kept one by one.
        text_len: positions that the model attends to.
    """

    tokens: Tensor
    bias: Tensor | None
    keys_values: tuple[AV[KeyValue], ...]
    length: int
    text_len: int

    def __len__(self) -> int:
        return self.tokens.shape[0]

    def select(self, samples: Sequence[int] | Tensor) -> NavaContext:
        """The context of the given samples, in that order, repeats allowed."""
        index = torch.as_tensor(samples, dtype=torch.long, device=self.tokens.device)
        return map_contexts(lambda x: x.index_select(0, index), self)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> NavaContext:
        """Moved to a device; tokens, keys and values also to a dtype."""
        moved = map_contexts(lambda x: x.to(device=device, dtype=dtype), self)
        return replace(moved, bias=None if self.bias is None else self.bias.to(device))

    def widened(self, length: int) -> NavaContext:
        """The same context with `length` positions (from its own up to text_len) kept one by one.

        At text_len there is no bias, which suits attention kernels that take none.
        """
        if length == self.length:
            return self
        pads = 0 if length == self.text_len else 2

        def widen(x: Tensor) -> Tensor:
            kept, pad = x[:, : self.length], x[:, self.length : self.length + 1]
            return torch.cat((kept, pad.expand(-1, length - self.length + pads, *pad.shape[2:])), dim=1)

        bias = pad_bias(self.text_len - length, length, self.tokens.device)
        return replace(map_contexts(widen, self), bias=bias, length=length)

    @staticmethod
    def concat(contexts: Sequence[NavaContext]) -> NavaContext:
        """One batch of several contexts of the same model, in order."""
        length = max(context.length for context in contexts)
        return map_contexts(lambda *parts: torch.cat(parts), *(context.widened(length) for context in contexts))


def map_contexts(function: Callable[..., Tensor], first: NavaContext, *others: NavaContext) -> NavaContext:
    """Apply a function to the [batch, keys, ...] tensors of contexts of one layout, once where they are shared."""

    def join(mine: KeyValue, *theirs: KeyValue) -> KeyValue:
        return KeyValue(*(function(*parts) for parts in zip(mine, *theirs, strict=True)))

    def pair(mine: AV[KeyValue], *theirs: AV[KeyValue]) -> AV[KeyValue]:
        if mine.video is not None and mine.video is mine.audio:
            return AV.of(join(mine.video, *(cast(KeyValue, other.video) for other in theirs)))
        return mine.map(join, *theirs)

    every = (first, *others)
    keys_values = tuple(pair(*block) for block in zip(*(c.keys_values for c in every), strict=True))
    return replace(first, tokens=function(*(c.tokens for c in every)), keys_values=keys_values)


def pad_bias(pads: int, length: int, device: torch.device) -> Tensor | None:
    """Bias [1, length + 2] under which two equal keys after `length` others weigh as much as `pads` of them."""
    if not pads:
        return None
    first = torch.tensor(math.log(pads)).bfloat16().float().item()
    while math.exp(first) > pads:
        first = torch.nextafter(torch.tensor(first).bfloat16(), torch.tensor(-1.0).bfloat16()).item()
    rest = pads - math.exp(first)
    bias = torch.zeros(1, length + 2)
    bias[0, length], bias[0, length + 1] = first, math.log(rest) if rest > 0 else -math.inf
    return bias.to(device)


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
        layers, ffn, cross_norm = self.streams.pair(), self.feed_forward.pair(), self.cross_norm.pair()
        mod = time.map(lambda t, s: t.plus(s.modulation), layers)

        qkv = x.map(lambda h, m, s: s.self_attn.project(m.apply(h, SHIFT_1, SCALE_1, self.eps)), mod, layers)
        seen = self.self_attention(qkv, groups)
        x = x.map(lambda h, a, m, s: m.gate(h, s.self_attn.o(a), GATE_1), seen, mod, layers)

        query = x.map(lambda h, n, s: s.cross_attn.query(n(h)), cross_norm, layers)
        found = query.map(lambda q, kv: self.read(q, kv.key, kv.value, context_bias).flatten(2), context)
        x = x.map(lambda h, a, s: h + s.cross_attn.o(a), found, layers)

        return x.map(lambda h, m, f: m.gate(h, f(m.apply(h, SHIFT_2, SCALE_2, self.eps)), GATE_2), mod, ffn)

    def self_attention(self, qkv: AV[QueryKeyValue], groups: Sequence[AttentionGroup]) -> AV[Tensor]:
        """Each group of modalities attends over its joined sequence; [batch, tokens, dim] of each modality."""
        seen: dict[Modality, Tensor] = {}
        for group in groups:
            members = [cast(QueryKeyValue, qkv.get(modality)) for modality in group.modalities]
            query, key, value = (torch.cat(p, 1) if len(p) > 1 else p[0] for p in zip(*members, strict=True))
            out = self.attend(rotate(query, group.rotation), rotate(key, group.rotation), value, group.bias).flatten(2)
            parts = out.split([member.query.shape[1] for member in members], dim=1)
            seen.update(zip(group.modalities, parts, strict=True))
        return AV(**seen)


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


class NavaTransformer(ModelMixin, ConfigMixin, PeftAdapterMixin, AttentionMixin):
    """Velocity of picture and sound given their noisy latents, timesteps and a context.

    Args:
        video_channels: channels of a video latent; audio_channels: values of an audio token.
        patch_size: frames, rows and columns of the latent that make one video token.
        dim: width; ffn_dim: width of the feed-forward; freq_dim: width of the time sinusoid.
        num_heads: attention heads (dim / num_heads must be even).
        num_double_layers, num_single_layers, num_double_final_layers: blocks, in this order.
        text_dim: width of the text features; text_len: context positions, those after the text being pads.
        qk_norm: RMS norm of queries and keys over the full width; cross_attn_norm: affine norm before cross-attention.
        eps: of all norms but the speaker's.
        audio_rope_scale: video latent frames per audio token (`Timeline.audio_rope_scale`); rope_theta: rotary base.
        speaker_dim: width of a speaker vector, or None for a model without speakers.
        speakers_keep_text: a speaker's token is added to the text's at its place, which tells whose words it goes with,
            instead of replacing it (ours; in the release two speakers could change places without any effect, because
            cross-attention knows no positions).
        split_norm_ffn: double blocks hold a cross-attention norm and a feed-forward per modality (not in the release).
        places: tokens are told where in the clip they lie (`PlaceEmbedding`; ours, not in the release).
        trained_with: hashes of the codecs and the text encoder that it was trained with.

    Source: NAVA §2; defaults are the released 6.3 B model.
    """

    _supports_gradient_checkpointing = True
    _no_split_modules = ["DoubleBlock", "SingleBlock"]  # noqa: RUF012 - names and types that diffusers reads
    _repeated_blocks = ["DoubleBlock", "SingleBlock"]  # noqa: RUF012
    _skip_layerwise_casting_patterns = ["embedding", "time_projection", "norm", "head"]  # noqa: RUF012
    _group_offload_block_modules = ["speaker_embedding"]  # noqa: RUF012

    @register_to_config
    def __init__(
        self,
        video_channels: int = 48,
        audio_channels: int = 128,
        patch_size: Patch = (1, 2, 2),
        dim: int = 3072,
        ffn_dim: int = 14336,
        freq_dim: int = 256,
        num_heads: int = 24,
        num_double_layers: int = 10,
        num_single_layers: int = 20,
        num_double_final_layers: int = 0,
        text_dim: int = 4096,
        text_len: int = 512,
        qk_norm: bool = True,
        cross_attn_norm: bool = True,
        eps: float = 1e-6,
        audio_rope_scale: float = 0.24,
        rope_theta: float = 10000.0,
        speaker_dim: int | None = 192,
        split_norm_ffn: bool = False,
        speakers_keep_text: bool = False,
        places: bool = False,
        trained_with: dict[str, str] | None = None,
    ) -> None:
        super().__init__()
        if dim % num_heads or (dim // num_heads) % 2:
            raise VivaceError(
                f"dim {dim} does not give {num_heads} heads of even width; choose a multiple of 2 * heads."
            )
        attention: dict[str, Any] = {"qk_norm": qk_norm, "eps": eps}
        block = {**attention, "cross_attn_norm": cross_attn_norm}

        self.video_embedding = PatchEmbedding(video_channels, dim, cast(Patch, tuple(patch_size)))
        self.audio_embedding = AudioEmbedding(audio_channels, dim)
        self.place_embedding = PlaceEmbedding(dim) if places else None
        self.text_embedding = nn.Sequential(nn.Linear(text_dim, dim), nn.GELU(approximate="tanh"), nn.Linear(dim, dim))
        self.speaker_embedding = SpeakerEmbedding(speaker_dim, dim) if speaker_dim else None
        self.time_embedding = nn.Sequential(nn.Linear(freq_dim, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(dim, 6 * dim))

        def double() -> DoubleBlock:
            return DoubleBlock(dim, ffn_dim, num_heads, shared=False, shared_ffn=not split_norm_ffn, **block)

        def contexts(count: int, shared: bool) -> nn.ModuleList:
            make = [BlockContext(lambda: ContextLayers(dim, num_heads, **attention), shared) for _ in range(count)]
            return nn.ModuleList(make)

        self.double_contexts = contexts(num_double_layers, shared=False)
        self.single_contexts = contexts(num_single_layers, shared=True)
        self.double_final_contexts = contexts(num_double_final_layers, shared=False)
        self.double_blocks = nn.ModuleList(double() for _ in range(num_double_layers))
        self.single_blocks = nn.ModuleList(
            SingleBlock(dim, ffn_dim, num_heads, shared=True, shared_ffn=True, **block)
            for _ in range(num_single_layers)
        )
        self.double_final_blocks = nn.ModuleList(double() for _ in range(num_double_final_layers))
        self.video_head = Head(dim, video_channels * math.prod(patch_size), eps)
        self.audio_head = Head(dim, audio_channels, eps)
        self.gradient_checkpointing = False
        self.initialise_weights()

    @torch.no_grad()
    def initialise_weights(self) -> None:
        """As NAVA trains from: Xavier for linear layers, small text and time embeddings, a video head of zeros."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for layer in (*self.text_embedding, *self.time_embedding):
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=0.02)
        nn.init.xavier_uniform_(self.video_embedding.weight.flatten(1))
        if self.video_embedding.bias is not None:
            nn.init.zeros_(self.video_embedding.bias)
        nn.init.zeros_(self.video_head.linear.weight)
        if self.place_embedding is not None:
            nn.init.zeros_(self.place_embedding.video.weight)
            nn.init.zeros_(self.place_embedding.audio.weight)

    def encode_context(
        self,
        text: Sequence[Tensor],
        speaker_embeddings: Sequence[Tensor] | None = None,
        speaker_positions: Sequence[Sequence[int]] | None = None,
    ) -> NavaContext:
        """Project text and speakers and compute every block's keys and values; once per clip, for all steps.

        Args:
            text: features [n_i, text_dim] of each sample; an empty one (n_i = 0) is the null text.
            speaker_embeddings: [k_i, speaker_dim] of each sample; a row of zeros stands for "no voice given".
            speaker_positions: where in sample i's context its k_i speakers are written, one position each.

        Raises:
            VivaceError: a text longer than text_len or of another width; speakers that do not match their positions;
                speakers for a model without them.
        """
        config = self.config
        none = [x.new_zeros(0, config.speaker_dim or 0) for x in text]
        speakers = none if speaker_embeddings is None else speaker_embeddings
        positions = [[] for _ in text] if speaker_positions is None else [list(p) for p in speaker_positions]
        self._check_context(text, speakers, positions)

        length = max(max(len(x), *(p + 1 for p in places), 0) for x, places in zip(text, positions, strict=True))
        pads = config.text_len - length
        features = pad_sequence(list(text), batch_first=True).to(self.video_embedding.weight.dtype)
        features = F.pad(features, (0, 0, 0, length + (2 if pads else 0) - features.shape[1]))
        tokens = self.text_embedding(features)
        if self.speaker_embedding is not None and any(positions):
            spoken = self.speaker_embedding(torch.cat(list(speakers)).to(features))
            samples = [sample for sample, places in enumerate(positions) for _ in places]
            places = torch.tensor([p for places in positions for p in places], device=tokens.device)
            where = (torch.tensor(samples, device=tokens.device), places)
            if config.speakers_keep_text:
                spoken = spoken + F.layer_norm(tokens[where], tokens.shape[-1:])
            tokens = tokens.index_put(where, spoken.to(tokens.dtype))

        contexts = (*self.double_contexts, *self.single_contexts, *self.double_final_contexts)
        keys_values = tuple(layers(tokens) for layers in contexts)
        return NavaContext(tokens, pad_bias(pads, length, tokens.device), keys_values, length, config.text_len)

    def _check_context(self, text: Sequence[Tensor], speakers: Sequence[Tensor], positions: list[list[int]]) -> None:
        config = self.config
        if not text:
            raise VivaceError("No text was given; pass one feature tensor per sample (an empty one for no text).")
        if not len(text) == len(speakers) == len(positions):
            counts = f"{len(text)} texts, {len(speakers)} speaker lists, {len(positions)} position lists"
            raise VivaceError(f"{counts} do not make one batch; give one of each per sample.")
        for i, (x, voices, places) in enumerate(zip(text, speakers, positions, strict=True)):
            if x.ndim != 2 or x.shape[1] != config.text_dim:
                raise VivaceError(f"Text {i} has shape {tuple(x.shape)}; this model reads [tokens, {config.text_dim}].")
            if len(x) > config.text_len:
                raise VivaceError(f"Text {i} has {len(x)} tokens; shorten it to at most {config.text_len}.")
            if len(voices) != len(places):
                raise VivaceError(
                    f"Sample {i} has {len(voices)} speakers for {len(places)} positions; give one for each."
                )
            if places and self.speaker_embedding is None:
                raise VivaceError("Speakers were given to a model without speaker layers; leave them out.")
            if places and voices.shape[1] != config.speaker_dim:
                raise VivaceError(f"Speaker vectors of sample {i} must have {config.speaker_dim} values.")
            if any(not 0 <= place < config.text_len for place in places):
                raise VivaceError(f"Speaker positions {places} of sample {i} must lie from 0 to {config.text_len - 1}.")

    def forward(
        self,
        latents: AV[Latents],
        timesteps: AV[Tensor],
        context: NavaContext,
        exchange: bool = True,
        memory: BlockMemory | None = None,
    ) -> AV[Latents]:
        """Velocity (noise - data) of each present modality, in the shape, dtype and form of its latents.

        Args:
            latents: video [batch, channels, T, H, W] and audio [batch, tokens, channels], or for samples of different
                size a list of [channels, T, H, W] and of [tokens, channels]; either side may be None.
            timesteps: on the 0 to 1000 scale, [batch] (or [1]), or [batch, tokens] for a timestep per token.
            context: of `encode_context`.
            exchange: whether the modalities attend to each other; False gives what two separate runs would.
            memory: of the same clip at earlier steps, by which the blocks may be left out.
        """
        self._check_inputs(latents, timesteps, context)
        embedded = AV(
            video=None if latents.video is None else self._embed_video(latents.video),
            audio=None if latents.audio is None else self._embed_audio(latents.audio),
        )
        x = embedded.map(lambda e: e.tokens)
        groups = self._attention_groups(embedded, exchange)
        time = x.map(lambda h, t: self._embed_time(t, h), timesteps)
        mod = time.map(lambda t: Modulation(self.time_projection(t.values[:, 0]).unflatten(-1, (6, -1)), t.index))

        def through_blocks(x: AV[Tensor]) -> AV[Tensor]:
            for block, keys_values in zip(self.blocks(), context.keys_values, strict=True):
                if self.gradient_checkpointing and torch.is_grad_enabled():
                    x = self._gradient_checkpointing_func(block, x, mod, groups, keys_values, context.bias)
                else:
                    x = block(x, mod, groups, keys_values, context.bias)
            return x

        if memory is None:
            x = through_blocks(x)
        else:
            entering = x.map(lambda h, m: m.apply(h, SHIFT_1, SCALE_1, self.config.eps), mod)
            x = memory.through(x, entering, through_blocks)

        heads: AV[nn.Module] = AV(self.video_head, self.audio_head)
        out = x.map(lambda h, head, t: head(h, t), heads, time)
        return AV(
            video=None if latents.video is None or out.video is None else self._to_video(out.video, latents.video),
            audio=None if latents.audio is None or out.audio is None else self._to_audio(out.audio, latents.audio),
        )

    def blocks(self) -> tuple[Block, ...]:
        """All blocks in the order of the forward pass."""
        return cast(tuple[Block, ...], (*self.double_blocks, *self.single_blocks, *self.double_final_blocks))

    def _check_inputs(self, latents: AV[Latents], timesteps: AV[Tensor], context: NavaContext) -> None:
        present = dict(latents.items())
        if not present:
            raise VivaceError("Neither video nor audio latents were given; pass at least one side of the pair.")
        for modality, value in present.items():
            self._check_latents(modality, value)
            if timesteps.get(modality) is None:
                raise VivaceError(f"The {modality} latents have no timesteps; give [batch] or [batch, tokens] of them.")
            if len(value) != len(context):
                raise VivaceError(
                    f"{len(value)} {modality} latents do not match {len(context)} contexts; give one each."
                )

    def _check_latents(self, modality: Modality, latents: Latents) -> None:
        axes, channels = (4, self.config.video_channels) if modality == "video" else (2, self.config.audio_channels)
        for sample in latents:
            if sample.ndim != axes or sample.shape[0 if modality == "video" else 1] != channels or not sample.numel():
                form = f"[{channels}, T, H, W]" if modality == "video" else f"[tokens, {channels}]"
                raise VivaceError(
                    f"A {modality} sample has shape {tuple(sample.shape)}; this model takes {form}, none of them 0."
                )

    def _embed_video(self, latents: Latents) -> Embedded:
        """Patches to tokens, each sample padded on the right to the longest."""
        patch: Patch = tuple(self.config.patch_size)
        dtype, config = self.video_embedding.weight.dtype, self.config
        head_dim = config.dim // config.num_heads
        batches = [latents] if isinstance(latents, Tensor) else [x[None] for x in latents]
        grids, tokens, told = [], [], self.place_embedding
        for batch in batches:
            whole = pad_to_patches(batch.to(dtype), patch)
            grids.append(grid_of(batch, patch))
            embedded = self.video_embedding(whole)
            tokens.append(embedded if told is None else embedded + told.of_video(grids[-1]))
        rotations = [video_rotation(grid, head_dim, config.rope_theta, tokens[0].device) for grid in grids]
        if isinstance(latents, Tensor):
            return Embedded(tokens[0], rotations[0], [math.prod(grids[0])] * len(latents))
        joined = pad_sequence([t[0] for t in tokens], batch_first=True)
        return Embedded(joined, stack_rotations(rotations), [math.prod(grid) for grid in grids])

    def _embed_audio(self, latents: Latents) -> Embedded:
        """Convolutions to tokens; a padded sample is convolved as if it ended where it ends."""
        dtype, config = self.audio_embedding.enter.weight.dtype, self.config
        lengths = [len(x) for x in latents]
        batch = latents if isinstance(latents, Tensor) else pad_sequence(list(latents), batch_first=True)
        hidden = padding_bias(lengths, batch.shape[1], batch.device)
        valid = None if hidden is None else (hidden == 0)[:, None, :]
        head_dim = config.dim // config.num_heads
        rotation = audio_rotation(batch.shape[1], head_dim, config.audio_rope_scale, config.rope_theta, batch.device)
        tokens = self.audio_embedding(batch.to(dtype), valid)
        if self.place_embedding is not None:
            told = [self.place_embedding.of_audio(length, config.audio_rope_scale) for length in lengths]
            tokens = tokens + (told[0] if hidden is None else pad_sequence(told, batch_first=True))
        return Embedded(tokens, rotation, lengths)

    def _attention_groups(self, embedded: AV[Embedded], exchange: bool) -> list[AttentionGroup]:
        """One joint sequence of the present modalities, or one for each when they exchange nothing."""
        present = dict(embedded.items())
        groups = [tuple(present)] if exchange else [(modality,) for modality in present]
        return [self._attention_group(names, [present[name] for name in names]) for names in groups]

    def _attention_group(self, names: tuple[Modality, ...], members: list[Embedded]) -> AttentionGroup:
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

    def _embed_time(self, timesteps: Tensor, tokens: Tensor) -> Modulation:
        """Time embedding, one vector per distinct timestep (per sample when each has one)."""
        index = None
        if timesteps.ndim == 2:
            if timesteps.shape[1] != tokens.shape[1] or len(timesteps) not in (1, len(tokens)):
                given = f"Timesteps {tuple(timesteps.shape)} for tokens {tuple(tokens.shape[:2])}"
                raise VivaceError(f"{given} do not match; give one per sample or one per token.")
            timesteps, index = torch.unique(timesteps, return_inverse=True)
        elif timesteps.ndim != 1 or len(timesteps) not in (1, len(tokens)):
            raise VivaceError(
                f"Timesteps of shape {tuple(timesteps.shape)} do not fit; give [batch] or [batch, tokens]."
            )
        waves = sinusoid(timesteps.to(tokens.device), self.config.freq_dim).to(tokens.dtype)
        waves = waves.to(cast(nn.Linear, self.time_embedding[0]).weight.dtype)
        return Modulation(self.time_embedding(waves).unsqueeze(1), index)

    def _to_video(self, out: Tensor, latents: Latents) -> Latents:
        patch: Patch = tuple(self.config.patch_size)

        def restore(tokens: Tensor, like: Tensor) -> Tensor:
            grid = grid_of(like, patch)
            t, h, w = like.shape[-3:]
            return unpatchify(tokens[:, : math.prod(grid)], grid, patch)[:, :, :t, :h, :w].to(like.dtype)

        if isinstance(latents, Tensor):
            return restore(out, latents)
        return [restore(row[None], like[None])[0] for row, like in zip(out.unbind(0), latents, strict=True)]

    def _to_audio(self, out: Tensor, latents: Latents) -> Latents:
        if isinstance(latents, Tensor):
            return out.to(latents.dtype)
        return [row[: len(like)].to(like.dtype) for row, like in zip(out.unbind(0), latents, strict=True)]


def grid_of(latents: Tensor, patch: Patch) -> Grid:
    """Tokens along frames, rows and columns of [..., T, H, W]."""
    t, h, w = (-(-size // p) for size, p in zip(latents.shape[-3:], patch, strict=True))
    return t, h, w


# Checkpoints name the class by the package (model_index.json: ["vivace", "NavaTransformer"]), so its file may move.
NavaTransformer.__module__ = "vivace"
