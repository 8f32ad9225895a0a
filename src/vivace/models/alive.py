"""Alive's transformer: a video tower and an audio tower that exchange what they know (arXiv 2602.08682).

No code or weights of Alive are public. What its report and figures state is built as stated; the rest is chosen, and
`DEVIATIONS.md` says which is which. In the first stage dual-stream video blocks (with text) and audio blocks run side
by side, and after each the two streams read each other. Sound is then finished. Single-stream blocks refine the
picture, and read the sound's estimated clean latents.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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
from vivace.models.alive_context import AliveContext, ClipConditions, Words
from vivace.models.alive_time import AdaptiveNorm, Time, TimeEmbedding, embedded_time, estimated_clean
from vivace.models.attention import Attention, KeyValue
from vivace.models.layers import (
    AffineLayerNorm,
    Patch,
    PatchEmbedding,
    RMSNorm,
    pad_to_patches,
    unpatchify,
)
from vivace.models.reuse import BlockMemory
from vivace.models.rotary import Grid, rotate, time_rotation, video_rotation
from vivace.models.time_aligned import Adjust, Fusion, TimeAlignedCrossAttention
from vivace.models.windows import Windows, attend_in
from vivace.pair import AV

# Order of the six vectors that modulate a block (first the self-attention, then the feed-forward).
SHIFT_1, SCALE_1, GATE_1, SHIFT_2, SCALE_2, GATE_2 = range(6)


class SelfAttentionLayers(nn.Module):
    """Projections of one stream's self-attention; queries and keys are normalised by head."""

    def __init__(self, dim: int, heads: int, eps: float) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim) for _ in range(4))
        self.norm_q, self.norm_k = RMSNorm(dim // heads, eps), RMSNorm(dim // heads, eps)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value, each [batch, tokens, heads, head_dim]."""
        query, key, value = (layer(x).unflatten(-1, (self.heads, -1)) for layer in (self.q, self.k, self.v))
        return self.norm_q(query), self.norm_k(key), value


def feed_forward(dim: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(approximate="tanh"), nn.Linear(4 * dim, dim))


class StreamLayers(nn.Module):
    """The layers that a stream of tokens has in a block."""

    def __init__(self, dim: int, heads: int, eps: float) -> None:
        super().__init__()
        self.modulation = AdaptiveNorm(dim, 6)
        self.self_attn = SelfAttentionLayers(dim, heads, eps)
        self.feed_forward = feed_forward(dim)


class DualBlock(nn.Module):
    """Text and video have layers of their own and attend over both."""

    def __init__(self, dim: int, heads: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.text, self.video = StreamLayers(dim, heads, eps), StreamLayers(dim, heads, eps)
        self.attend = Attention()

    def forward(
        self,
        text: Tensor,
        video: Tensor,
        time: Time,
        rotation: Tensor,
        bias: Tensor | None,
        windows: Windows | None = None,
    ) -> tuple[Tensor, Tensor]:
        """[batch, words, dim] and [batch, tokens, dim] to the same; time, rotation and bias of both, text first."""
        words = text.shape[1]
        times = (time.part(0, words), time.part(words, None))
        streams = [self.text, self.video]
        mods = [s.modulation(t) for s, t in zip(streams, times, strict=True)]
        parts = [
            s.self_attn.project(m.apply(x, SHIFT_1, SCALE_1, self.eps))
            for x, s, m in zip((text, video), streams, mods, strict=True)
        ]
        query, key, value = (torch.cat(pair, dim=1) for pair in zip(*parts, strict=True))
        seen = attend_in(windows, self.attend, rotate(query, rotation), rotate(key, rotation), value, bias).flatten(2)
        out = []
        for x, a, s, m in zip((text, video), (seen[:, :words], seen[:, words:]), streams, mods, strict=True):
            x = m.gate(x, s.self_attn.o(a), GATE_1)
            out.append(m.gate(x, s.feed_forward(m.apply(x, SHIFT_2, SCALE_2, self.eps)), GATE_2))
        return out[0], out[1]


class SingleBlock(nn.Module):
    """One set of layers for text and video tokens; attention, then feed-forward."""

    def __init__(self, dim: int, heads: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.stream = StreamLayers(dim, heads, eps)
        self.attend = Attention()

    def forward(
        self, x: Tensor, time: Time, rotation: Tensor, bias: Tensor | None, windows: Windows | None = None
    ) -> Tensor:
        """[batch, words + tokens, dim] to the same."""
        layers, mod = self.stream, self.stream.modulation(time)
        query, key, value = layers.self_attn.project(mod.apply(x, SHIFT_1, SCALE_1, self.eps))
        seen = attend_in(windows, self.attend, rotate(query, rotation), rotate(key, rotation), value, bias).flatten(2)
        x = mod.gate(x, layers.self_attn.o(seen), GATE_1)
        return mod.gate(x, layers.feed_forward(mod.apply(x, SHIFT_2, SCALE_2, self.eps)), GATE_2)


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


class TextEmbedding(nn.Module):
    """Features of one or more encoders to tokens, behind a learned first token that is there without any text too."""

    def __init__(self, text_dims: Sequence[int], dim: int) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.zeros(1, dim))
        self.linears = nn.ModuleList(nn.Linear(width, dim) for width in text_dims)

    def forward(self, texts: Sequence[Sequence[Tensor]]) -> tuple[Tensor, Tensor]:
        """Per encoder and sample [n, text_dim] to tokens [batch, words, dim] and which are words, bool."""
        dtype = self.first.dtype
        tokens = []
        for sample in zip(*texts, strict=True):
            parts = [layer(x.to(dtype)) for layer, x in zip(self.linears, sample, strict=True)]
            tokens.append(torch.cat([self.first.to(parts[0].dtype), *parts]))
        counts = [len(x) for x in tokens]
        lengths = torch.tensor(counts, device=self.first.device)
        shown = torch.arange(max(counts), device=self.first.device)[None] < lengths[:, None]
        return pad_sequence(tokens, batch_first=True), shown


class Head(nn.Module):
    """Modulated LayerNorm and a linear map to a token's latent values; zeros at first."""

    def __init__(self, dim: int, out: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.modulation = AdaptiveNorm(dim, 2)
        self.linear = nn.Linear(dim, out)

    def modulated(self, x: Tensor, time: Time) -> Tensor:
        """Tokens [batch, tokens, dim], normalised and modulated."""
        return self.modulation(time).apply(x, 0, 1, self.eps)

    def forward(self, x: Tensor, time: Time) -> Tensor:
        return self.linear(self.modulated(x, time))


class VideoTower(nn.Module):
    """Dual-stream blocks over text and video, then single-stream blocks."""

    def __init__(self, config: Any, eps: float) -> None:
        super().__init__()
        dim, heads, patch = config.dim, config.num_heads, cast(Patch, tuple(config.patch_size))
        channels = 2 * config.video_channels + config.mask_channels
        self.embedding = PatchEmbedding(channels, dim, patch)
        sizes = config.learned_positions or ()
        self.positions = nn.ParameterList(torch.zeros(size, dim) for size in sizes)
        self.text_embedding = TextEmbedding(config.text_dims, dim)
        self.time_embedding = TimeEmbedding(config.freq_dim, dim)
        self.dual_blocks = nn.ModuleList(DualBlock(dim, heads, eps) for _ in range(config.num_dual_layers))
        self.single_blocks = nn.ModuleList(SingleBlock(dim, heads, eps) for _ in range(config.num_single_layers))
        self.head = Head(dim, config.video_channels * math.prod(patch), eps)


def with_positions(tokens: Tensor, tables: Sequence[Tensor], grid: Sequence[int]) -> Tensor:
    """Tokens of a grid in row-major order plus learned positions, whose tables are stretched where the grid is larger.

    Args:
        tables: one [length, dim] for each axis of the grid, or none at all.
    """
    for axis, table in enumerate(tables):
        rows = table[None, : grid[axis]].mT
        if grid[axis] > len(table):
            rows = F.interpolate(table[None].mT, size=grid[axis], mode="linear", align_corners=True)
        shape = [1] * len(grid) + [-1]
        shape[axis] = grid[axis]
        added = rows[0].mT.reshape(shape).expand(*grid, -1).flatten(0, -2)
        tokens = tokens + added.to(tokens.dtype)
    return tokens


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


class Exchange(nn.Module):
    """All that joins the towers: two-way fusions, then one-way reading of the estimated clean sound."""

    def __init__(self, config: Any, eps: float) -> None:
        super().__init__()
        inner, heads = config.exchange_dim, config.exchange_heads
        dims = AV(config.dim, config.audio_dim)
        self.fusions = nn.ModuleList(
            Fusion(dims, inner, heads, config.adjust_rank, eps) for _ in range(config.num_dual_layers)
        )
        self.estimate_embedding = nn.Linear(config.audio_channels, inner)
        self.estimate_norm = AffineLayerNorm(inner, eps=eps)
        self.hear = nn.ModuleList(
            TimeAlignedCrossAttention(config.dim, inner, inner, heads, eps) for _ in range(config.num_single_layers)
        )


class Side(NamedTuple):
    """One modality on its way through its tower.

    tokens [batch, tokens, dim] with rotation and time; now: embedded timestep [batch, dim] at which it is generated.
    """

    tokens: Tensor
    rotation: Tensor
    time: Time
    now: Tensor


class AliveTransformer(ModelMixin, ConfigMixin, PeftAdapterMixin, AttentionMixin):
    """Velocity of picture and sound given their noisy latents, timesteps and a context.

    Args:
        video_channels: channels z of a video latent; the network sees 2 z + mask_channels (noisy, condition, mask).
        mask_channels: pictures per latent frame, each of which the mask tells given or not.
        audio_channels: values of an audio token.
        patch_size: frames, rows and columns of the latent that make one video token.
        dim, num_heads, num_dual_layers, num_single_layers: the video tower.
        audio_dim, audio_heads, num_audio_layers: the audio tower.
        audio_per_stage: audio blocks that run in each stage, before its fusion; what remains runs after the last one.
            None spreads them evenly, earlier stages having the larger share.
        exchange_dim, exchange_heads: of the attention between the towers; adjust_rank: of its adjustment to time.
        text_dims: widths of the features of each text encoder; the audio tower's description comes from the first.
        text_len: most tokens of a text of one encoder. speech_dim: width of the features of what is said; 0 is the
            first encoder's.
        freq_dim: width of the time sinusoid; eps: of all norms.
        rope_theta: rotary base within the towers; time_theta, time_rate: base, and positions per second, of the rotary
            time between them.
        reference_gap, reference_step: latent frames from the clip's end to the first reference, and between references.
        learned_positions: lengths of learned tables for frames, rows and columns, or None for rotary positions alone.
        audio_positions: length of a learned table for audio tokens, or 0 for rotary positions alone, as is published
            (ours: of pure noise, relative positions tell no token whether it begins the clip).
        blank: value of each video channel where no condition is given (a black picture's latent); None is 0.
        estimate_gradient: whether the picture's loss reaches the audio tower through the estimated clean sound.
        trained_with: hashes of the codecs and the text encoder that it was trained with.

    Source: facts of the report and its figures; the defaults are the published 12 B + 2 B configuration.
    """

    _supports_gradient_checkpointing = True
    _no_split_modules = ["DualBlock", "SingleBlock", "AudioBlock", "Fusion"]  # noqa: RUF012 - what diffusers reads
    _repeated_blocks = ["DualBlock", "SingleBlock", "AudioBlock"]  # noqa: RUF012
    _skip_layerwise_casting_patterns = ["embedding", "norm", "head", "modulation", "adjust"]  # noqa: RUF012
    _group_offload_block_modules = ["video", "audio", "exchange"]  # noqa: RUF012

    @register_to_config
    def __init__(
        self,
        video_channels: int = 16,
        mask_channels: int = 4,
        audio_channels: int = 32,
        patch_size: Patch = (1, 2, 2),
        dim: int = 3072,
        num_heads: int = 24,
        num_dual_layers: int = 16,
        num_single_layers: int = 40,
        audio_dim: int = 1536,
        audio_heads: int = 24,
        num_audio_layers: int = 32,
        audio_per_stage: tuple[int, ...] | None = None,
        exchange_dim: int = 1536,
        exchange_heads: int = 24,
        adjust_rank: int = 256,
        text_dims: tuple[int, ...] = (4096, 5120),
        text_len: int = 512,
        speech_dim: int = 0,
        freq_dim: int = 256,
        eps: float = 1e-6,
        rope_theta: float = 10000.0,
        time_theta: float = 10000.0,
        time_rate: float = 25.0,
        reference_gap: int = 16,
        reference_step: int = 4,
        learned_positions: tuple[int, int, int] | None = (64, 64, 64),
        audio_positions: int = 0,
        blank: tuple[float, ...] | None = None,
        estimate_gradient: bool = False,
        trained_with: dict[str, str] | None = None,
    ) -> None:
        super().__init__()
        for width, heads in ((dim, num_heads), (audio_dim, audio_heads), (exchange_dim, exchange_heads)):
            if width % heads or (width // heads) % 2:
                raise VivaceError(
                    f"Width {width} does not give {heads} heads of even width; choose a multiple of 2 * heads."
                )
        self.pairing = pairing(num_audio_layers, num_dual_layers, audio_per_stage)
        if blank is not None and len(blank) != video_channels:
            raise VivaceError(f"blank has {len(blank)} values for {video_channels} video channels; give one for each.")
        self.video = VideoTower(self.config, eps)
        self.audio = AudioTower(self.config, eps)
        self.exchange = Exchange(self.config, eps)
        self.gradient_checkpointing = False
        self.initialise_weights()

    @torch.no_grad()
    def initialise_weights(self) -> None:
        """Xavier for linear layers; zeros where a stream must at first pass as if nothing were there."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.xavier_uniform_(self.video.embedding.weight.flatten(1))
        if self.video.embedding.bias is not None:
            nn.init.zeros_(self.video.embedding.bias)
        for module in self.modules():
            if isinstance(module, (AdaptiveNorm, Head)):
                nn.init.zeros_(module.linear.weight)
            elif isinstance(module, Adjust):
                nn.init.zeros_(module.shape_out.weight)
                nn.init.zeros_(module.gate_out.weight)
        for hear in cast("Sequence[TimeAlignedCrossAttention]", self.exchange.hear):
            nn.init.zeros_(cast(nn.Linear, hear.mlp[-1]).weight)

    def encode_context(
        self,
        text: Sequence[Tensor],
        speech: Sequence[Tensor] | None = None,
        *,
        more_text: Sequence[Sequence[Tensor]] = (),
        clip: ClipConditions | None = None,
    ) -> AliveContext:
        """Project the texts and compute every audio block's keys and values; once per clip, for all steps.

        Args:
            text: features [n_i, text_dims[0]] of each sample; an empty one (n_i = 0) is the null text.
            speech: features of what each sample's speakers say, likewise; None means that nobody speaks.
            more_text: for every further text encoder, features of each sample.
            clip: what is shown beside the text.

        Raises:
            VivaceError: texts that are too long, of another width, or not one for each sample and encoder.
        """
        config = self.config
        spoken = [x.new_zeros(0, config.speech_dim or config.text_dims[0]) for x in text] if speech is None else speech
        self._check_texts([text, *more_text], spoken)
        tokens, shown = self.video.text_embedding([text, *more_text])
        read = []
        for embedding, layers, features in (
            (self.audio.description_embedding, self.audio.description_words, text),
            (self.audio.speech_embedding, self.audio.speech_words, spoken),
        ):
            words, there = embedding([features])
            read.append(Words(tuple(layer(words) for layer in layers), there))
        return AliveContext(tokens, shown, read[0], read[1], clip or ClipConditions())

    def _check_texts(self, texts: Sequence[Sequence[Tensor]], speech: Sequence[Tensor]) -> None:
        widths = list(self.config.text_dims)
        if not texts[0]:
            raise VivaceError("No text was given; pass one feature tensor per sample (an empty one for no text).")
        if len(texts) != len(widths):
            raise VivaceError(f"Text of {len(texts)} encoders was given and this model reads {len(widths)}; give each.")
        for what, samples, width in (
            *(("Text", samples, width) for samples, width in zip(texts, widths, strict=True)),
            ("Speech", speech, self.config.speech_dim or widths[0]),
        ):
            if len(samples) != len(texts[0]):
                raise VivaceError(f"{len(samples)} and {len(texts[0])} texts do not make one batch; give one of each.")
            for i, x in enumerate(samples):
                if x.ndim != 2 or x.shape[1] != width:
                    raise VivaceError(f"{what} {i} has shape {tuple(x.shape)}; this model reads [tokens, {width}].")
                if len(x) > self.config.text_len:
                    raise VivaceError(f"{what} {i} has {len(x)} tokens; shorten it to at most {self.config.text_len}.")

    def forward(
        self,
        latents: AV[Tensor],
        timesteps: AV[Tensor],
        context: AliveContext,
        exchange: bool = True,
        memory: BlockMemory | None = None,
    ) -> AV[Tensor]:
        """Velocity (noise - data) of each present modality, in the shape and dtype of its latents.

        Args:
            latents: video [batch, channels, T, H, W] and audio [batch, tokens, channels]; either side may be None.
            timesteps: on the 0 to 1000 scale, [batch] (or [1]), or [batch, tokens] for a timestep per token.
            context: of `encode_context`.
            exchange: whether the towers read each other; False gives what two separate runs would.
            memory: of the same clip at earlier steps, by which the blocks may be left out.

        Raises:
            VivaceError: latents, timesteps and context that do not go together.
        """
        self._check_inputs(latents, timesteps, context, exchange)
        mutual = exchange and latents.video is not None and latents.audio is not None
        video = audio = None
        words, places, grid = context.text.shape[1], 0, (0, 0, 0)
        if latents.video is not None:
            grid = grid_of(latents.video, self.config.patch_size)
            places = math.prod(grid)  # the clip's own tokens; those of references follow them
            video = self._enter_video(latents.video, cast(Tensor, timesteps.video), context, grid)
            bias = self._padding(context, video.tokens.shape[1], places)
            pictured = video.tokens[:, places:]
        if latents.audio is not None:
            audio = self._enter_audio(latents.audio, cast(Tensor, timesteps.audio))
            described, said = context.description, context.speech
            biases = (hiding(described.shown), hiding(said.shown))
        clocks = self._clocks(context.clip, grid, context.text.device) if mutual else None

        def heard(tokens: Tensor, first: int, count: int) -> Tensor:
            assert audio is not None
            for number in range(first, first + count):
                pair = described.keys_values[number], said.keys_values[number]
                tokens = self._through(self.audio.blocks[number], tokens, audio.time, audio.rotation, *pair, biases)
            return tokens

        def through_blocks(x: AV[Tensor]) -> AV[Tensor]:
            """The clip's own tokens and those of the sound, to the same."""
            text, v, a, done = context.text, x.video, x.audio, 0
            if v is not None and pictured.shape[1]:
                v = torch.cat((v, pictured), dim=1)
            for stage, count in enumerate(self.pairing):
                if v is not None and video is not None:
                    text, v = self._through(self.video.dual_blocks[stage], text, v, video.time, video.rotation, bias)
                if a is not None:
                    a = heard(a, done, count)
                done += count
                if clocks is not None and v is not None and a is not None and video is not None and audio is not None:
                    # References are no moments of the clip: they neither hear nor are seen.
                    times = video.time.part(words, words + places), audio.time
                    now = AV(video.now, audio.now)
                    own, a = self._through(self.exchange.fusions[stage], v[:, :places], a, clocks, times, now)
                    v = own if v.shape[1] == places else torch.cat((own, v[:, places:]), dim=1)
            if a is not None:
                a = heard(a, done, len(self.audio.blocks) - done)
            if v is None or video is None:
                return AV(None, a)
            sound = None if clocks is None or a is None else estimated(a)
            s = torch.cat((text, v), dim=1)
            own_places = slice(words, words + places)
            for block, hear in zip(self.video.single_blocks, self.exchange.hear, strict=True):
                s = self._through(block, s, video.time, video.rotation, bias)
                if sound is not None and clocks is not None:
                    found = self._through(hear, s[:, own_places], sound, *clocks)
                    s = torch.cat((s[:, :words], s[:, own_places] + found, s[:, words + places :]), dim=1)
            return AV(s[:, own_places], a)

        def estimated(a: Tensor) -> Tensor:
            """The clean sound that its finished tokens tell of, as the single-stream blocks read it.

            The head, one small layer, runs here and once more at the end, so that blocks turn tokens into tokens alone.
            """
            assert audio is not None
            assert latents.audio is not None
            with torch.set_grad_enabled(torch.is_grad_enabled() and self.config.estimate_gradient):
                velocity = self.audio.head(a, audio.time).to(latents.audio.dtype)
                estimate = estimated_clean(latents.audio, velocity, cast(Tensor, timesteps.audio))
            embedding = self.exchange.estimate_embedding
            return self.exchange.estimate_norm(embedding(estimate.to(embedding.weight.dtype)))

        x = AV(None if video is None else video.tokens[:, :places], None if audio is None else audio.tokens)
        times = AV(
            None if video is None else video.time.part(words, words + places), None if audio is None else audio.time
        )
        heads: AV[Head] = AV(self.video.head, self.audio.head)
        if memory is None:
            x = through_blocks(x)
        else:
            entering = x.map(lambda tokens, head, time: head.modulated(tokens, time), heads, times)
            x = memory.through(x, entering, through_blocks)
        out = x.map(lambda tokens, head, time: head(tokens, time), heads, times)
        velocity_v = velocity_a = None
        if out.video is not None and latents.video is not None:
            t, h, w = latents.video.shape[-3:]
            pixels = unpatchify(out.video, grid, cast(Patch, tuple(self.config.patch_size)))
            velocity_v = pixels[:, :, :t, :h, :w].to(latents.video.dtype)
        if out.audio is not None and latents.audio is not None:
            velocity_a = out.audio.to(latents.audio.dtype)
        return AV(velocity_v, velocity_a)

    def outside_of_blocks(self) -> list[nn.Module]:
        """What is called by itself: group offloading moves it with its tower, whose own forward is never called."""
        towers = (self.video, self.audio, self.exchange)
        return [part for tower in towers for part in tower.children() if not isinstance(part, nn.ModuleList)]

    @torch.no_grad()
    def listen(self, latents: Tensor, context: AliveContext) -> tuple[tuple[Tensor, ...], Tensor]:
        """What the audio tower makes of finished sound that no picture changes; a refiner reads it.

        Args:
            latents: clean audio tokens [batch, tokens, channels]. context: of which the texts are read.

        Returns:
            its tokens [batch, tokens, dim] after each stage, and the embedded timestep 0, [batch, dim].
        """
        audio = self._enter_audio(latents, latents.new_zeros(1))
        described, said = context.description, context.speech
        biases = hiding(described.shown), hiding(said.shown)
        tokens, done, stages = audio.tokens, 0, []
        for count in self.pairing:
            for number in range(done, done + count):
                words = described.keys_values[number], said.keys_values[number]
                tokens = self.audio.blocks[number](tokens, audio.time, audio.rotation, *words, biases)
            done += count
            stages.append(tokens)
        return tuple(stages), audio.now

    def _through(self, block: nn.Module, *arguments: Any) -> Any:
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return self._gradient_checkpointing_func(block, *arguments)
        return block(*arguments)

    def _enter_video(self, latents: Tensor, timesteps: Tensor, context: AliveContext, grid: Grid) -> Side:
        """The clip's tokens, then those of its references; rotation and time have the text's before them."""
        config, clip, tower = self.config, context.clip, self.video
        blank = latents.new_tensor(config.blank or [0.0] * config.video_channels).view(1, -1, 1, 1, 1)
        mask = latents.new_zeros(1) if clip.mask is None else clip.mask.to(latents)
        shape = (len(latents), config.mask_channels, *latents.shape[2:])
        condition = blank.expand_as(latents)
        if clip.condition is not None:
            condition = torch.where(mask.amax(1, keepdim=True) > 0, clip.condition.to(latents), condition)
        tokens = with_positions(self._patches(latents, condition, mask.expand(shape)), [*tower.positions], grid)

        text = tokens.shape[0], context.text.shape[1]
        identity = torch.tensor([1.0, 0.0], device=tokens.device)
        head_dim = config.dim // config.num_heads
        rotations = [identity.expand(text[1], head_dim // 2, 2)]
        rotations.append(video_rotation(grid, head_dim, config.rope_theta, tokens.device))
        sequence = [tokens]
        for number in range(0 if clip.references is None else clip.references.shape[1]):
            picture = cast(Tensor, clip.references)[:, number, :, None].to(latents)
            small = grid_of(picture, config.patch_size)
            given = torch.ones_like(picture[:, :1]).expand(-1, config.mask_channels, -1, -1, -1)
            sequence.append(self._patches(picture, picture, given))
            start = grid[0] + config.reference_gap + number * config.reference_step
            rotations.append(video_rotation(small, head_dim, config.rope_theta, tokens.device, start))
        after = sum(part.shape[1] for part in sequence[1:])
        time, now = embedded_time(tower.time_embedding, timesteps, tokens, before=text[1], after=after)
        return Side(torch.cat(sequence, dim=1), torch.cat(rotations), time, now)

    def _patches(self, noisy: Tensor, condition: Tensor, mask: Tensor) -> Tensor:
        seen = torch.cat((noisy, condition, mask.to(noisy)), dim=1).to(self.video.embedding.weight.dtype)
        return self.video.embedding(pad_to_patches(seen, cast(Patch, tuple(self.config.patch_size))))

    def _enter_audio(self, latents: Tensor, timesteps: Tensor) -> Side:
        config, tower = self.config, self.audio
        tokens = tower.embedding(latents.to(tower.embedding.weight.dtype))
        tokens = with_positions(tokens, [*tower.positions], latents.shape[1:2])
        places = torch.arange(tokens.shape[1], device=tokens.device)
        rotation = time_rotation(places, config.audio_dim // config.audio_heads, config.rope_theta)
        time, now = embedded_time(tower.time_embedding, timesteps, tokens)
        return Side(tokens, rotation, time, now)

    def _padding(self, context: AliveContext, tokens: int, places: int) -> Tensor | None:
        """Bias [batch, words + tokens] that hides padded words and references that a sample lacks."""
        given, batch = context.clip.given, len(context)
        if given is None:
            references = torch.ones(batch, tokens - places, dtype=torch.bool, device=context.text.device)
        else:
            references = given.expand(batch, -1).repeat_interleave((tokens - places) // max(1, given.shape[1]), dim=1)
        own = torch.ones(batch, places, dtype=torch.bool, device=context.text.device)
        return hiding(torch.cat((context.shown, own, references.to(own.device)), dim=1))

    def _clocks(self, clip: ClipConditions, grid: Grid, device: torch.device) -> tuple[Tensor, Tensor]:
        """Rotations of video and audio tokens by the seconds at which they are (UniTemp-RoPE)."""
        config = self.config
        head_dim = config.exchange_dim // config.exchange_heads
        seconds = cast(Tensor, clip.times.video).to(device).repeat_interleave(grid[1] * grid[2])
        video, audio = (
            time_rotation(x.double() * config.time_rate, head_dim, config.time_theta).to(device)
            for x in (seconds, cast(Tensor, clip.times.audio).to(device))
        )
        return video, audio

    def _check_inputs(self, latents: AV[Tensor], timesteps: AV[Tensor], context: AliveContext, exchange: bool) -> None:
        config, clip = self.config, context.clip
        present = dict(latents.items())
        if not present:
            raise VivaceError("Neither video nor audio latents were given; pass at least one side of the pair.")
        forms = {
            "video": f"[batch, {config.video_channels}, T, H, W]",
            "audio": f"[batch, tokens, {config.audio_channels}]",
        }
        for modality, x in present.items():
            channels = x.ndim == 5 and x.shape[1] == config.video_channels
            if modality == "audio":
                channels = x.ndim == 3 and x.shape[2] == config.audio_channels
            if not channels or not x.numel():
                raise VivaceError(
                    f"The {modality} latents have shape {tuple(x.shape)}; this model takes {forms[modality]}, none 0."
                )
            if timesteps.get(modality) is None:
                raise VivaceError(f"The {modality} latents have no timesteps; give [batch] or [batch, tokens] of them.")
            if len(x) != len(context):
                raise VivaceError(f"{len(x)} {modality} latents do not match {len(context)} contexts; give one each.")
        if (
            clip.condition is not None
            and latents.video is not None
            and clip.condition.shape[1:] != latents.video.shape[1:]
        ):
            raise VivaceError("The condition's shape is not that of the video latents; encode it at the clip's size.")
        if not exchange or len(present) < 2:
            return
        assert latents.video is not None
        assert latents.audio is not None
        lengths = AV(grid_of(latents.video, config.patch_size)[0], latents.audio.shape[1])
        for modality, length in lengths.items():
            times = clip.times.get(modality)
            if times is None or times.shape != (length,):
                there = "none" if times is None else f"{tuple(times.shape)}"
                raise VivaceError(
                    f"Picture and sound meet by their times, and the {modality} has {there} for {length} places; "
                    "give the seconds of each (Timeline)."
                )


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


def hiding(shown: Tensor) -> Tensor | None:
    """Additive bias [batch, keys] that hides what is not shown; None when all is."""
    if shown.all().item():
        return None
    return torch.zeros(shown.shape, device=shown.device).masked_fill_(~shown, float("-inf"))


def grid_of(latents: Tensor, patch: Sequence[int]) -> Grid:
    """Tokens along frames, rows and columns of [..., T, H, W]."""
    t, h, w = (-(-size // p) for size, p in zip(latents.shape[-3:], patch, strict=True))
    return t, h, w


# Checkpoints name the class by the package (model_index.json: ["vivace", "AliveTransformer"]), so its file may move.
AliveTransformer.__module__ = "vivace"
