"""NAVA's published procedure, written out plainly from its description: what `benchmarks/step.py` compares ours with.

One call is one full forward pass of one clip, as the public program makes it: every token carries its own six
modulation vectors, the context is projected to keys and values anew in every block of every pass and attended to in
all its `text_len` positions, and each branch of guidance is a pass of its own. Nothing is kept from one pass to the
next but the table of rotations. Computed in the weights' dtype throughout (the public program mixes two).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vivace.models.nava import NavaTransformer
from vivace.models.nava_names import PREFIX, to_official
from vivace.pair import AV
from vivace.sampling.presets import Preset


@dataclass(frozen=True)
class Shown:
    """What a pass is conditioned on: text features [n, text_dim], and the speakers [k, 192] written over `places`."""

    text: Tensor
    speakers: Tensor | None = None
    places: Sequence[int] = ()


class Transcription:
    """The forward pass of the public program on the weights of one of our transformers (shared, not copied).

    Args:
        rotation: dtype of the rotary product, complex128 as published; complex64 is what ours computes in.
        reading: dtype in which the context is attended to, by default the weights'. Most of its positions are equal
            pads, whose shares of a sum are all rounded the same way and so add up to an error that others do not have.

    Raises:
        ValueError: a configuration that no release has.
    """

    def __init__(
        self, model: NavaTransformer, rotation: torch.dtype = torch.complex128, reading: torch.dtype | None = None
    ) -> None:
        config: Any = model.config
        ours = config.speakers_keep_text or config.places or config.hide_pads or config.gaussian_skip
        if ours or config.split_norm_ffn or not (config.qk_norm and config.cross_attn_norm):
            raise ValueError("the transcription covers the released architecture only")
        self.config, self.rotation, self.reading = config, rotation, reading
        self.weights = {k.removeprefix(PREFIX): v for k, v in to_official(model.state_dict(), config).items()}
        self._turns: dict[tuple[int, ...], Tensor] = {}

    @torch.no_grad()
    def __call__(self, latents: AV[Tensor], timestep: Tensor, shown: Shown, masked: bool = False) -> AV[Tensor]:
        """Velocity of one clip: video [1, C, T, H, W] with even H and W, and audio [1, L, D].

        Args:
            timestep: [1], 0 to 1000.
            masked: picture and sound attend to themselves only.
        """
        assert latents.video is not None
        assert latents.audio is not None
        video, audio = self._video_tokens(latents.video), self._audio_tokens(latents.audio)
        e_video, e_audio = (self._time(timestep.expand(1, x.shape[1])) for x in (video, audio))
        e0_video, e0_audio = (
            self._linear("time_projection.1", F.silu(e)).unflatten(2, (6, -1)) for e in (e_video, e_audio)
        )
        context = self._context(shown)
        grid = (latents.video.shape[2], latents.video.shape[3] // 2, latents.video.shape[4] // 2)
        turn = self._turn(grid, audio.shape[1], video.device)

        count = video.shape[1]
        for number in range(self.config.num_double_layers):
            video, audio = self._double(
                f"double_blocks.{number}", video, audio, e0_video, e0_audio, turn, context, masked
            )
        x, e0 = torch.cat((video, audio), dim=1), torch.cat((e0_video, e0_audio), dim=1)
        for number in range(self.config.num_single_layers):
            x = self._single(f"single_blocks.{number}", x, count, e0, turn, context, masked)
        video, audio = x[:, :count], x[:, count:]
        return AV(
            self._unpatchified(self._head("head", video, e_video), grid), self._head("head_audio", audio, e_audio)
        )

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return F.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def _video_tokens(self, video: Tensor) -> Tensor:
        weight, bias = (self.weights[f"patch_embedding.{part}"] for part in ("weight", "bias"))
        return F.conv3d(video.to(weight.dtype), weight, bias, stride=weight.shape[2:]).flatten(2).transpose(1, 2)

    def _audio_tokens(self, audio: Tensor) -> Tensor:
        weights, name = self.weights, "patch_embedding_audio"
        x = audio.to(weights[f"{name}.0.weight"].dtype).transpose(1, 2)
        x = F.silu(F.conv1d(x, weights[f"{name}.0.weight"], weights[f"{name}.0.bias"], padding=3))
        gate, value = (F.conv1d(x, weights[f"{name}.2.{part}.weight"], padding=3) for part in ("w1", "w3"))
        return F.conv1d(F.silu(gate) * value, weights[f"{name}.2.w2.weight"], padding=3).transpose(1, 2)

    def _time(self, timesteps: Tensor) -> Tensor:
        """The time embedding of every token, [1, tokens, dim]."""
        half = self.config.freq_dim // 2
        slow = torch.pow(10000.0, -torch.arange(half, dtype=torch.float64, device=timesteps.device) / half)
        angles = timesteps.double()[..., None] * slow
        waves = torch.cat((angles.cos(), angles.sin()), dim=-1).to(self.weights["time_embedding.0.weight"].dtype)
        return self._linear("time_embedding.2", F.silu(self._linear("time_embedding.0", waves)))

    def _context(self, shown: Shown) -> Tensor:
        """All `text_len` positions, [1, text_len, dim]; those after the text are the projection of zeros."""
        weight = self.weights["text_embedding.0.weight"]
        text = F.pad(shown.text.to(weight.dtype), (0, 0, 0, self.config.text_len - len(shown.text)))
        context = self._linear("text_embedding.2", F.gelu(self._linear("text_embedding.0", text), approximate="tanh"))
        if shown.speakers is not None:
            context = context.clone()
            context[list(shown.places)] = self._speakers(shown.speakers.to(context.dtype))
        return context[None]

    def _speakers(self, vectors: Tensor) -> Tensor:
        name = "speaker_embedding"
        x = self._affine_norm(f"{name}.net.0", vectors, 1e-5)
        x = self._linear(f"{name}.net.3", F.silu(self._linear(f"{name}.net.1", x)))
        given = (vectors.square().sum(-1, keepdim=True) > 1e-6).to(x.dtype)
        return self._affine_norm(f"{name}.out_norm", x, 1e-5) * given + self.weights[f"{name}.null_token"] * (1 - given)

    def _affine_norm(self, name: str, x: Tensor, eps: float) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], eps)

    def _plain_norm(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], eps=self.config.eps)

    def _rms_norm(self, name: str, x: Tensor) -> Tensor:
        return F.rms_norm(x, x.shape[-1:], eps=self.config.eps) * self.weights[f"{name}.weight"]

    def _turn(self, grid: tuple[int, int, int], sounds: int, device: torch.device) -> Tensor:
        """Rotations of picture and sound, complex [tokens, 1, head_dim / 2], kept for the next pass."""
        key = (*grid, sounds)
        if key not in self._turns:
            width = self.config.dim // self.config.num_heads
            space = 2 * (width // 6)
            sizes = (width - 2 * space, space, space)
            slow = [self.config.rope_theta ** -(torch.arange(0, n, 2, dtype=torch.float64) / n) for n in sizes]
            angles = []
            for axis, (length, frequencies) in enumerate(zip(grid, slow, strict=True)):
                shape = [1, 1, 1, len(frequencies)]
                shape[axis] = length
                angles.append(torch.outer(torch.arange(length).double(), frequencies).view(shape).expand(*grid, -1))
            heard = torch.zeros(sounds, width // 2, dtype=torch.float64)
            scaled = slow[0] * self.config.audio_rope_scale
            heard[:, : len(scaled)] = torch.outer(torch.arange(sounds).double(), scaled)
            joined = torch.cat((torch.cat(angles, dim=-1).flatten(0, 2), heard))
            self._turns[key] = torch.polar(torch.ones_like(joined), joined).to(self.rotation).to(device)[:, None]
        return self._turns[key]

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.config.num_heads, -1))

    def _projected(self, name: str, x: Tensor, suffix: str = "") -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value of the self-attention, each [1, tokens, heads, head_dim]."""
        q = self._rms_norm(f"{name}.norm_q{suffix}", self._linear(f"{name}.q{suffix}", x))
        k = self._rms_norm(f"{name}.norm_k{suffix}", self._linear(f"{name}.k{suffix}", x))
        return self._heads(q), self._heads(k), self._heads(self._linear(f"{name}.v{suffix}", x))

    def _turned(self, x: Tensor, turn: Tensor) -> Tensor:
        wide = x.to(torch.float64 if self.rotation == torch.complex128 else torch.float32)
        return torch.view_as_real(torch.view_as_complex(wide.unflatten(-1, (-1, 2))) * turn).flatten(-2).to(x.dtype)

    def _seen(self, q: Tensor, k: Tensor, v: Tensor, turn: Tensor, count: int, masked: bool) -> Tensor:
        """Self-attention of picture (the first `count` tokens) and sound, [1, tokens, dim]."""
        q, k = self._turned(q, turn), self._turned(k, turn)
        parts = [slice(0, count), slice(count, None)] if masked else [slice(None)]
        return torch.cat([_attention(q[:, part], k[:, part], v[:, part]) for part in parts], dim=1)

    def _read(self, name: str, x: Tensor, context: Tensor, suffix: str = "") -> Tensor:
        """Cross-attention to the context."""
        q = self._heads(self._rms_norm(f"{name}.norm_q{suffix}", self._linear(f"{name}.q{suffix}", x)))
        k = self._heads(self._rms_norm(f"{name}.norm_k{suffix}", self._linear(f"{name}.k{suffix}", context)))
        v = self._heads(self._linear(f"{name}.v{suffix}", context))
        found = _attention(*(part.to(self.reading or x.dtype) for part in (q, k, v)))
        return self._linear(f"{name}.o{suffix}", found.to(x.dtype))

    def _feed_forward(self, name: str, x: Tensor) -> Tensor:
        return self._linear(f"{name}.2", F.gelu(self._linear(f"{name}.0", x), approximate="tanh"))

    def _vectors(self, name: str, e0: Tensor) -> list[Tensor]:
        """Shift, scale and gate of both halves, each [1, tokens, dim]."""
        return [part.squeeze(2) for part in (self.weights[f"{name}.modulation"] + e0).chunk(6, dim=2)]

    def _double(
        self,
        name: str,
        video: Tensor,
        audio: Tensor,
        e0_video: Tensor,
        e0_audio: Tensor,
        turn: Tensor,
        context: Tensor,
        masked: bool,
    ) -> tuple[Tensor, Tensor]:
        count, streams = video.shape[1], []
        for x, e0, suffix in ((video, e0_video, ""), (audio, e0_audio, "_audio")):
            vectors = self._vectors(f"{name}.modulation{suffix}", e0)
            entering = self._plain_norm(x) * (1 + vectors[1]) + vectors[0]
            streams.append((x, vectors, suffix, self._projected(f"{name}.self_attn", entering, suffix)))
        q, k, v = (torch.cat(parts, dim=1) for parts in zip(*(stream[3] for stream in streams), strict=True))
        seen = self._seen(q, k, v, turn, count, masked).split((count, audio.shape[1]), dim=1)
        out = []
        for (x, vectors, suffix, _), found in zip(streams, seen, strict=True):
            x = x + self._linear(f"{name}.self_attn.o{suffix}", found) * vectors[2]
            x = x + self._read(
                f"{name}.cross_attn", self._affine_norm(f"{name}.norm3", x, self.config.eps), context, suffix
            )
            entering = self._plain_norm(x) * (1 + vectors[4]) + vectors[3]
            out.append(x + self._feed_forward(f"{name}.ffn", entering) * vectors[5])
        return out[0], out[1]

    def _single(
        self, name: str, x: Tensor, count: int, e0: Tensor, turn: Tensor, context: Tensor, masked: bool
    ) -> Tensor:
        vectors = self._vectors(f"{name}.modulation", e0)
        entering = self._plain_norm(x) * (1 + vectors[1]) + vectors[0]
        seen = self._seen(*self._projected(f"{name}.self_attn", entering), turn, count, masked)
        x = x + self._linear(f"{name}.self_attn.o", seen) * vectors[2]
        x = x + self._read(f"{name}.cross_attn", self._affine_norm(f"{name}.norm3", x, self.config.eps), context)
        entering = self._plain_norm(x) * (1 + vectors[4]) + vectors[3]
        return x + self._feed_forward(f"{name}.ffn", entering) * vectors[5]

    def _head(self, name: str, x: Tensor, e: Tensor) -> Tensor:
        shift, scale = (
            part.squeeze(2) for part in (self.weights[f"{name}.modulation"] + e[:, :, None]).chunk(2, dim=2)
        )
        return self._linear(f"{name}.head", self._plain_norm(x) * (1 + scale) + shift)

    def _unpatchified(self, tokens: Tensor, grid: tuple[int, int, int]) -> Tensor:
        t, h, w = self.config.patch_size
        x = tokens.view(*grid, t, h, w, -1)
        return torch.einsum("fhwpqrc->cfphqwr", x).reshape(1, -1, grid[0] * t, grid[1] * h, grid[2] * w)


def _attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """[1, tokens, heads, head_dim] each to [1, tokens, dim]."""
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def guided(
    program: Transcription, latents: AV[Tensor], timestep: Tensor, shown: Mapping[str, Shown], preset: Preset
) -> AV[Tensor]:
    """The guided velocity, in float32 at least, from four full passes one after another.

    Args:
        shown: "conditional", "unconditional", "masked" and "timbre_free".
        preset: with alignment and timbre, its scales in the published convention.
    """
    assert preset.official
    assert preset.align is not None
    full = program(latents, timestep, shown["conditional"]).map(_wide)
    negative = program(latents, timestep, shown["unconditional"]).map(_wide)
    apart = program(latents, timestep, shown["masked"], masked=True).map(_wide)
    timbreless = program(latents, timestep, shown["timbre_free"]).map(_wide)

    def mixed(p: Tensor, n: Tensor, m: Tensor, t: Tensor, s: float, a: float, c: float) -> Tensor:
        out = p + s * (p - n) + a * (p - m)
        return out + c * (p - t) if c else out

    text, align = (AV(scale.video, scale.audio) for scale in (preset.text, preset.align))
    return full.map(mixed, negative, apart, timbreless, text, align, AV(0.0, preset.timbre))


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def tokens_of(latents: AV[Tensor]) -> int:
    """Tokens of picture and sound together."""
    assert latents.video is not None
    assert latents.audio is not None
    return math.prod(latents.video.shape[-3:]) // 4 + latents.audio.shape[1]
