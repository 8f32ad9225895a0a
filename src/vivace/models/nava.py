"""NAVA's transformer: one network that denoises picture and sound together (arXiv 2605.30073 and its program).

Double blocks hold layers for each modality, single blocks share them; both attend over the two sequences together and
read their context (text, with speakers written over their markers) by cross-attention only. Video and audio stay two
arguments throughout; they become one sequence only inside a `Block`. The parts: `nava_embedding`,
`nava_context`, `nava_blocks`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.loaders import PeftAdapterMixin
from diffusers.models.attention import AttentionMixin
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from vivace.errors import VivaceError
from vivace.models.attention import padding_bias
from vivace.models.gaussian_skip import GaussianSkips
from vivace.models.layers import Modulation, Patch, PatchEmbedding, pad_to_patches, sinusoid, unpatchify
from vivace.models.nava_blocks import (
    SCALE_1,
    SHIFT_1,
    Block,
    BlockContext,
    ContextLayers,
    DoubleBlock,
    Embedded,
    Head,
    SingleBlock,
    StreamLayers,
    attention_groups,
)
from vivace.models.nava_context import NavaContext, pad_bias
from vivace.models.nava_embedding import AudioEmbedding, SpeakerEmbedding
from vivace.models.places import PlaceEmbedding
from vivace.models.reuse import BlockMemory
from vivace.models.rotary import Grid, audio_rotation, stack_rotations, video_rotation
from vivace.pair import AV, Modality

__all__ = ["Latents", "NavaContext", "NavaTransformer", "grid_of"]

Latents = Tensor | Sequence[Tensor]


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
        hide_pads: no pad after a text is attended to (ours, not in the release, where all text_len positions are: of a
            short text's, most are pads, and a small model learns to look at those alone).
        gaussian_skip: the velocity that the latents' mean and covariance tell is added to what the network says
            (`models.gaussian_skip`; ours, not in the release).
        still_skip: with gaussian_skip, that tells what stays the same over a clip from what does not (ours).
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
        hide_pads: bool = False,
        gaussian_skip: bool = False,
        still_skip: bool = False,
        trained_with: dict[str, str] | None = None,
    ) -> None:
        super().__init__()
        if dim % num_heads or (dim // num_heads) % 2:
            raise VivaceError(
                f"dim {dim} does not give {num_heads} heads of even width; choose a multiple of 2 * heads."
            )
        attention: dict[str, Any] = {"qk_norm": qk_norm, "eps": eps}
        block = {**attention, "cross_attn_norm": cross_attn_norm}

        patch = cast(Patch, tuple(patch_size))
        self.video_embedding = PatchEmbedding(video_channels, dim, patch)
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
        self.skips = GaussianSkips(video_channels, audio_channels, patch, still_skip) if gaussian_skip else None
        self.gradient_checkpointing = False
        self.initialise_weights()

    @torch.no_grad()
    def initialise_weights(self) -> None:
        """As NAVA trains from: Xavier for linear layers, small text and time embeddings, a video head of zeros.

        NAVA draws both embeddings with a standard deviation of 0.02, which is of the right size for its widths. A
        narrower model's would be much smaller (of a text, 0.05 where the released model begins with 0.8), so the
        deviation grows as the layers narrow (ours). What cross-attention adds begins as zero (ours): as long as it is
        not understood, a text is noise that a model learns to look away from, and some never look back.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for embedding, entering in ((self.text_embedding, 4096), (self.time_embedding, 256)):
            for place, released in ((0, entering), (2, 3072)):
                layer = cast(nn.Linear, embedding[place])
                nn.init.normal_(layer.weight, std=0.02 * math.sqrt(released / layer.in_features))
        nn.init.xavier_uniform_(self.video_embedding.weight.flatten(1))
        if self.video_embedding.bias is not None:
            nn.init.zeros_(self.video_embedding.bias)
        for block in self.blocks():
            for stream in block.streams.values():
                nn.init.zeros_(cast(StreamLayers, stream).cross_attn.o.weight)
        nn.init.zeros_(self.video_head.linear.weight)
        if self.skips is not None:
            nn.init.zeros_(self.audio_head.linear.weight)
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

        least = int(config.hide_pads)  # one pad is seen where there is nothing else
        own = [max(len(x), *(p + 1 for p in places), least) for x, places in zip(text, positions, strict=True)]
        length = max(own)
        pads = 0 if config.hide_pads else config.text_len - length
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
        device = tokens.device
        bias = padding_bias(own, length, device) if config.hide_pads else pad_bias(pads, length, device)
        return NavaContext(tokens, bias, keys_values, length, config.text_len, config.hide_pads)

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
            timesteps: on the 0 to 1000 scale, [batch] (or [1]), or [batch, tokens] for a timestep per token. One tensor
                for both sides, where they have the same, saves work.
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
        groups = attention_groups(embedded, exchange)
        time, mod = self._times(x, timesteps)

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
        if self.skips is not None:
            out = out.map(torch.add, self.skips(latents, timesteps))
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
            tokens.append(embedded if told is None else embedded + told.of_video(grids[-1], embedded.device))
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
            told = [self.place_embedding.of_audio(length, config.audio_rope_scale, tokens.device) for length in lengths]
            tokens = tokens + (told[0] if hidden is None else pad_sequence(told, batch_first=True))
        return Embedded(tokens, rotation, lengths)

    def _times(self, x: AV[Tensor], timesteps: AV[Tensor]) -> tuple[AV[Modulation], AV[Modulation]]:
        """Time embeddings of the sides, and what they are to the blocks; the same object for sides of one timestep."""
        one = timesteps.video
        if x.video is not None and x.audio is not None and one is not None and one is timesteps.audio and one.ndim == 1:
            time = self._embed_time(one, x.video)
            return AV.of(time), AV.of(self._projected(time))
        each = x.map(lambda h, t: self._embed_time(t, h), timesteps)
        return each, each.map(self._projected)

    def _projected(self, time: Modulation) -> Modulation:
        return Modulation(self.time_projection(time.values[:, 0]).unflatten(-1, (6, -1)), time.index)

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
