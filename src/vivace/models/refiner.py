"""Alive's refiner: the picture of a finished clip made larger and cleaner, its sound read and left alone.

The report states a second stage that takes a small picture, degraded in the latent space, and clean sound through a
frozen audio tower. Ours is the video side of an Alive transformer with weights of its own, and only that: at timestep 0
and with no picture reaching it the audio tower's tokens are the same at every step, so they are computed once
(`AliveTransformer.listen`) and read like a text. No audio tower is part of a refiner, and none can be changed by it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.loaders import PeftAdapterMixin
from diffusers.models.attention import AttentionMixin
from torch import Tensor, nn

from vivace.errors import VivaceError
from vivace.models.alive import AliveTransformer
from vivace.models.alive_entry import blank_like, patches, unturned
from vivace.models.alive_exchange import clocks
from vivace.models.alive_layers import grid_of, hiding, with_positions
from vivace.models.alive_time import Time, embedded_time
from vivace.models.alive_video import VideoTower
from vivace.models.layers import AffineLayerNorm, Patch, unpatchify
from vivace.models.rotary import Grid, video_rotation
from vivace.models.time_aligned import Adjust, TimeAlignedCrossAttention
from vivace.models.windows import Windows, windows_of
from vivace.pair import AV


@dataclass(frozen=True)
class Sound:
    """Finished sound as a refiner reads it.

    Args:
        stages: the audio tower's tokens after each stage, each [batch, tokens, audio_dim].
        now: embedded timestep 0 of the audio tower, [batch, audio_dim].
        clean: the latents, [batch, tokens, audio_channels].
    """

    stages: tuple[Tensor, ...]
    now: Tensor
    clean: Tensor

    def map(self, function: Callable[..., Tensor], *others: Sound) -> Sound:
        """A function applied to the tensors of several sounds, part by part."""
        stages = tuple(function(*parts) for parts in zip(self.stages, *(o.stages for o in others), strict=True))
        return Sound(
            stages, function(self.now, *(o.now for o in others)), function(self.clean, *(o.clean for o in others))
        )


@dataclass(frozen=True)
class RefinerContext:
    """What a batch of clips is refined by: made once for all steps.

    Args:
        text: tokens [batch, words, dim]. shown: bool [batch, words], False at padding.
        sound: None for clips without.
        times: seconds at the centre of each latent frame [T] and audio token [L]; needed with sound.
    """

    text: Tensor
    shown: Tensor
    sound: Sound | None = None
    times: AV[Tensor] = field(default_factory=AV)

    def __len__(self) -> int:
        return self.text.shape[0]

    def select(self, samples: Sequence[int] | Tensor) -> RefinerContext:
        """The context of the given samples, in that order, repeats allowed."""
        index = torch.as_tensor(samples, dtype=torch.long, device=self.text.device)

        def chosen(x: Tensor) -> Tensor:
            return x.index_select(0, index)

        sound = None if self.sound is None else self.sound.map(chosen)
        return replace(self, text=chosen(self.text), shown=chosen(self.shown), sound=sound)

    @staticmethod
    def concat(contexts: Sequence[RefinerContext]) -> RefinerContext:
        """One batch of several contexts of one clip's length, in order; shorter texts are padded."""
        longest = max(context.text.shape[1] for context in contexts)

        def padded(x: Tensor) -> Tensor:
            return F.pad(x, (0, 0) * (x.ndim - 2) + (0, longest - x.shape[1]))

        sounds = [context.sound for context in contexts if context.sound is not None]
        return replace(
            contexts[0],
            text=torch.cat([padded(context.text) for context in contexts]),
            shown=torch.cat([padded(context.shown) for context in contexts]),
            sound=sounds[0].map(lambda *parts: torch.cat(parts), *sounds[1:]) if sounds else None,
        )


class Hearing(nn.Module):
    """The half of a fusion in which the picture reads the sound; names are those of `Fusion`."""

    def __init__(self, config: Any, eps: float) -> None:
        super().__init__()
        dim, audio = config.dim, config.audio_dim
        self.hear = TimeAlignedCrossAttention(dim, audio, config.exchange_dim, config.exchange_heads, eps)
        self.adjust_video = Adjust(dim, audio, config.adjust_rank, eps)

    def forward(self, video: Tensor, audio: Tensor, clocks: tuple[Tensor, Tensor], time: Time, now: Tensor) -> Tensor:
        """[batch, tokens, dim] to the same; clocks are rotations by physical time, of video and audio tokens."""
        return self.adjust_video(video, self.hear(video, audio, *clocks), time, now)


class OneWayExchange(nn.Module):
    """All by which the picture reads the sound; names are those of `Exchange`."""

    def __init__(self, config: Any, eps: float) -> None:
        super().__init__()
        inner, heads = config.exchange_dim, config.exchange_heads
        self.fusions = nn.ModuleList(Hearing(config, eps) for _ in range(config.num_dual_layers))
        self.estimate_embedding = nn.Linear(config.audio_channels, inner)
        self.estimate_norm = AffineLayerNorm(inner, eps=eps)
        self.hear = nn.ModuleList(
            TimeAlignedCrossAttention(config.dim, inner, inner, heads, eps) for _ in range(config.num_single_layers)
        )

    def embedded(self, clean: Tensor) -> Tensor:
        """As `Exchange.embedded`."""
        return self.estimate_norm(self.estimate_embedding(clean.to(self.estimate_embedding.weight.dtype)))


class AliveRefinerTransformer(ModelMixin, ConfigMixin, PeftAdapterMixin, AttentionMixin):
    """Velocity from a clean picture to its degraded source, given a picture between them, text and finished sound.

    Args:
        window: most frames, rows and columns of tokens that attend to each other, or None for all. Every second block's
            windows begin half a window earlier.
        trained_with: hashes of the codecs, the text encoder and the audio tower that it was trained with.

    All others are those of `AliveTransformer`; the first stages of both have to be as many.
    """

    _supports_gradient_checkpointing = True
    _no_split_modules = ["DualBlock", "SingleBlock", "Hearing"]  # noqa: RUF012 - what diffusers reads
    _repeated_blocks = ["DualBlock", "SingleBlock"]  # noqa: RUF012
    _skip_layerwise_casting_patterns = ["embedding", "norm", "head", "modulation", "adjust"]  # noqa: RUF012

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
        exchange_dim: int = 1536,
        exchange_heads: int = 24,
        adjust_rank: int = 256,
        text_dims: tuple[int, ...] = (4096, 5120),
        text_len: int = 512,
        freq_dim: int = 256,
        eps: float = 1e-6,
        rope_theta: float = 10000.0,
        time_theta: float = 10000.0,
        time_rate: float = 25.0,
        learned_positions: tuple[int, int, int] | None = (64, 64, 64),
        blank: tuple[float, ...] | None = None,
        window: Grid | None = None,
        trained_with: dict[str, str] | None = None,
    ) -> None:
        super().__init__()
        if window is not None and (len(window) != 3 or min(window) < 1):
            raise VivaceError(f"Window {window!r} is none; give frames, rows and columns, such as [13, 5, 5].")
        self.video = VideoTower(self.config, eps)
        self.exchange = OneWayExchange(self.config, eps)
        self.gradient_checkpointing = False

    @classmethod
    def of(cls, base: AliveTransformer, **changes: Any) -> AliveRefinerTransformer:
        """A refiner for a model, that begins with its weights.

        The head of a base with Gaussian skips says only what these leave unsaid of noise, and a refiner's path begins
        at pictures instead: from such a base it takes all but the head's last map, which begins at zero.

        Args:
            changes: of the configuration; fewer single-stream blocks than the base's are its first ones.

        Raises:
            VivaceError: an unknown name, or a size that the base's weights do not have.
        """
        names = list(inspect.signature(cls.__init__).parameters)[1:]
        unknown = sorted(set(changes) - set(names))
        if unknown:
            raise VivaceError(f"{unknown[0]!r} is no part of a refiner; use some of {', '.join(names)}.")
        config = {name: base.config[name] for name in names if name in base.config and name != "trained_with"}
        refiner = cls(**(config | changes))
        theirs, own = base.state_dict(), refiner.state_dict()
        for name, tensor in own.items():
            if name not in theirs or theirs[name].shape != tensor.shape:
                raise VivaceError(f"The base has no weights {tuple(tensor.shape)} for {name}; keep its sizes.")
        if refiner.config.num_dual_layers != base.config.num_dual_layers:
            raise VivaceError(f"The base has {base.config.num_dual_layers} dual-stream blocks; give as many.")
        refiner.load_state_dict({name: theirs[name] for name in own})
        if base.skips is not None:
            nn.init.zeros_(refiner.video.head.linear.weight)
            nn.init.zeros_(refiner.video.head.linear.bias)
        return refiner

    def encode_context(self, text: Sequence[Tensor], sound: Sound | None, times: AV[Tensor]) -> RefinerContext:
        """Project the texts; once per clip.

        Args:
            text: features [n_i, text_dims[0]] of each sample; an empty one is the null text.
            sound, times: of `RefinerContext`.
        """
        tokens, shown = self.video.text_embedding([text])
        return RefinerContext(tokens, shown, sound, times)

    def forward(
        self, latents: AV[Tensor], timesteps: AV[Tensor], context: RefinerContext, exchange: bool = True
    ) -> AV[Tensor]:
        """Velocity (source - data) of the picture, in the shape and dtype of its latents.

        Args:
            latents: video [batch, channels, T, H, W]; the sound is in the context.
            timesteps: of the video, on the 0 to 1000 scale, [batch] (or [1]).
            exchange: whether the sound is read.

        Raises:
            VivaceError: latents, timesteps and context that do not go together.
        """
        config, tower = self.config, self.video
        x, grid = self._checked(latents, timesteps, context)
        words = context.text.shape[1]
        mask = x.new_zeros(1).expand(len(x), config.mask_channels, *x.shape[2:])
        v = patches(tower.embedding, config, x, blank_like(x, config), mask)
        v = with_positions(v, [*tower.positions], grid)
        time, _ = embedded_time(tower.time_embedding, cast(Tensor, timesteps.video), v, before=words)

        head_dim = config.dim // config.num_heads
        turned = video_rotation(grid, head_dim, config.rope_theta, v.device)
        rotation = torch.cat((unturned(words, head_dim, v.device), turned))
        bias = hiding(torch.cat((context.shown, context.shown.new_ones(len(x), v.shape[1])), dim=1))
        sound = context.sound if exchange else None
        met = None if sound is None else clocks(config, context.times, grid, v.device)

        text, blocks = context.text, len(tower.dual_blocks)
        for number, (block, fusion) in enumerate(zip(tower.dual_blocks, self.exchange.fusions, strict=True)):
            text, v = self._through(block, text, v, time, rotation, bias, self._windows(grid, number, v.device))
            if sound is not None:
                own = time.part(words, None)
                v = self._through(fusion, v, sound.stages[number].to(v.dtype), met, own, sound.now.to(v.dtype))
        heard = None if sound is None else self.exchange.embedded(sound.clean)
        s = torch.cat((text, v), dim=1)
        for number, (block, hear) in enumerate(zip(tower.single_blocks, self.exchange.hear, strict=True), blocks):
            s = self._through(block, s, time, rotation, bias, self._windows(grid, number, v.device))
            if met is not None:
                found = self._through(hear, s[:, words:], heard, *met)
                s = torch.cat((s[:, :words], s[:, words:] + found), dim=1)
        out = tower.head(s[:, words:], time.part(words, None))
        t, h, w = x.shape[-3:]
        pixels = unpatchify(out, grid, cast(Patch, tuple(config.patch_size)))
        return AV(pixels[:, :, :t, :h, :w].to(x.dtype), None)

    def _through(self, block: nn.Module, *arguments: Any) -> Any:
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return self._gradient_checkpointing_func(block, *arguments)
        return block(*arguments)

    def _windows(self, grid: Grid, block: int, device: torch.device) -> Windows | None:
        size = self.config.window
        if size is None or all(most >= length for most, length in zip(size, grid, strict=True)):
            return None
        return windows_of(grid, cast(Grid, tuple(size)), block % 2 == 1, device)

    def _checked(self, latents: AV[Tensor], timesteps: AV[Tensor], context: RefinerContext) -> tuple[Tensor, Grid]:
        x, channels = latents.video, self.config.video_channels
        if latents.audio is not None or x is None or x.ndim != 5 or x.shape[1] != channels or not x.numel():
            raise VivaceError(
                f"A refiner takes video latents [batch, {channels}, T, H, W] alone; sound is in its context."
            )
        if timesteps.video is None or timesteps.video.ndim != 1:
            raise VivaceError("A refiner's timesteps are one per sample; give them as [batch].")
        if len(x) != len(context):
            raise VivaceError(f"{len(x)} video latents do not match {len(context)} contexts; give one each.")
        grid = grid_of(x, self.config.patch_size)
        if context.sound is not None:
            wanted = AV(grid[0], context.sound.clean.shape[1])
            there = context.times.map(len)
            if len(context.sound.stages) != self.config.num_dual_layers or (there.video, there.audio) != (
                wanted.video,
                wanted.audio,
            ):
                raise VivaceError(
                    f"Picture and sound have {grid[0]} and {wanted.audio} places and times for {there.video} and "
                    f"{there.audio}; give the seconds of each (Timeline), and the sound of the refiner's own base."
                )
        return x, grid


@torch.no_grad()
def heard_by(base: AliveTransformer, text: Sequence[Tensor], speech: Sequence[Tensor], audio: Tensor) -> Sound:
    """Finished sound as a base's audio tower hears it, which is not trained by it.

    Args:
        text, speech: features [n_i, text_dim] of each sample's prompt and of what is said in it.
        audio: clean tokens [batch, tokens, channels].
    """
    stages, now = base.listen(audio, base.encode_context(text, speech))
    return Sound(stages, now, audio)


# Checkpoints name the class by the package (model_index.json: ["vivace", "AliveRefinerTransformer"]).
AliveRefinerTransformer.__module__ = "vivace"
