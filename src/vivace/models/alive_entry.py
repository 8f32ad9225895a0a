"""How latents, and all that a clip is shown beside its text, enter Alive's towers as tokens."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from vivace.models.alive_audio import AudioTower
from vivace.models.alive_context import AliveContext
from vivace.models.alive_exchange import Clocks
from vivace.models.alive_layers import grid_of, hiding, with_positions
from vivace.models.alive_time import Time, embedded_time
from vivace.models.alive_video import VideoTower
from vivace.models.attention import KeyValue
from vivace.models.layers import Patch, PatchEmbedding, pad_to_patches
from vivace.models.rotary import Grid, time_rotation, video_rotation


class VideoSide(NamedTuple):
    """What the video tower's blocks need beside their text.

    Args:
        tokens: of the clip itself, [batch, grid, dim]. references: what follows them, [batch, tokens, dim].
        grid: of the clip's own tokens. words: tokens of the text, which goes before them.
        rotation, time: of text, clip and references together.
        now: embedded timestep [batch, dim] at which the clip is generated.
        bias: hides padded words and references that a sample lacks, [batch, words + tokens].
    """

    tokens: Tensor
    references: Tensor
    grid: Grid
    words: int
    rotation: Tensor
    time: Time
    now: Tensor
    bias: Tensor | None

    @property
    def places(self) -> int:
        """Tokens of the clip itself."""
        return math.prod(self.grid)

    @property
    def own_time(self) -> Time:
        """Of the clip's own tokens."""
        return self.time.part(self.words, self.words + self.places)


class AudioSide(NamedTuple):
    """What the audio tower's blocks need.

    Args:
        tokens: [batch, tokens, dim], with rotation and time.
        now: embedded timestep [batch, dim] at which the sound is generated.
        texts: keys and values of the description and of what is said, of each block.
        biases: hide the padding of the two, [batch, words].
    """

    tokens: Tensor
    rotation: Tensor
    time: Time
    now: Tensor
    texts: tuple[tuple[KeyValue, KeyValue], ...]
    biases: tuple[Tensor | None, Tensor | None]


class Entered(NamedTuple):
    """Both sides, one of which may be absent; the clocks are there where the two exchange what they know."""

    video: VideoSide | None
    audio: AudioSide | None
    clocks: Clocks | None


def enter_video(tower: VideoTower, config: Any, latents: Tensor, timesteps: Tensor, context: AliveContext) -> VideoSide:
    """Tokens of a clip and of its references.

    Args:
        tower: the video tower. config: of the transformer.
        latents: [batch, channels, T, H, W]. timesteps: [batch] (or [1]), or one for each token of the clip.
    """
    clip, grid = context.clip, grid_of(latents, config.patch_size)
    mask = latents.new_zeros(1) if clip.mask is None else clip.mask.to(latents)
    shape = (len(latents), config.mask_channels, *latents.shape[2:])
    condition = blank_like(latents, config)
    if clip.condition is not None:
        condition = torch.where(mask.amax(1, keepdim=True) > 0, clip.condition.to(latents), condition)
    tokens = patches(tower.embedding, config, latents, condition, mask.expand(shape))
    tokens = with_positions(tokens, [*tower.positions], grid)

    words, head_dim = context.text.shape[1], config.dim // config.num_heads
    rotations = [unturned(words, head_dim, tokens.device)]
    rotations.append(video_rotation(grid, head_dim, config.rope_theta, tokens.device))
    pictures = []
    for number in range(0 if clip.references is None else clip.references.shape[1]):
        picture = cast(Tensor, clip.references)[:, number, :, None].to(latents)
        given = torch.ones_like(picture[:, :1]).expand(-1, config.mask_channels, -1, -1, -1)
        pictures.append(patches(tower.embedding, config, picture, picture, given))
        start = grid[0] + config.reference_gap + number * config.reference_step
        small = grid_of(picture, config.patch_size)
        rotations.append(video_rotation(small, head_dim, config.rope_theta, tokens.device, start))
    references = torch.cat(pictures, dim=1) if pictures else tokens[:, :0]
    time, now = embedded_time(tower.time_embedding, timesteps, tokens, before=words, after=references.shape[1])
    bias = _padding(context, tokens.shape[1], references.shape[1])
    return VideoSide(tokens, references, grid, words, torch.cat(rotations), time, now, bias)


def enter_audio(tower: AudioTower, config: Any, latents: Tensor, timesteps: Tensor, context: AliveContext) -> AudioSide:
    """Tokens of a sound, and the texts that its blocks read.

    Args:
        config: of the transformer.
        latents: [batch, tokens, channels]. timesteps: [batch] (or [1]), or [batch, tokens].
    """
    tokens = tower.embedding(latents.to(tower.embedding.weight.dtype))
    tokens = with_positions(tokens, [*tower.positions], latents.shape[1:2])
    places = torch.arange(tokens.shape[1], device=tokens.device)
    rotation = time_rotation(places, config.audio_dim // config.audio_heads, config.rope_theta)
    time, now = embedded_time(tower.time_embedding, timesteps, tokens)
    described, said = context.description, context.speech
    texts = tuple(zip(described.keys_values, said.keys_values, strict=True))
    return AudioSide(tokens, rotation, time, now, texts, (hiding(described.shown), hiding(said.shown)))


def patches(embedding: PatchEmbedding, config: Any, noisy: Tensor, condition: Tensor, mask: Tensor) -> Tensor:
    """Tokens [batch, tokens, dim] of noisy latents, what is shown beside them, and where ([batch, ..., T, H, W])."""
    seen = torch.cat((noisy, condition, mask.to(noisy)), dim=1).to(embedding.weight.dtype)
    return embedding(pad_to_patches(seen, cast(Patch, tuple(config.patch_size))))


def blank_like(latents: Tensor, config: Any) -> Tensor:
    """What stands beside the noisy latents where no condition is given, in their shape: a black picture's."""
    black = latents.new_tensor(config.blank or [0.0] * config.video_channels)
    return black.view(1, -1, 1, 1, 1).expand_as(latents)


def unturned(words: int, head_dim: int, device: torch.device) -> Tensor:
    """The rotation of a text's tokens, which have no place, [words, head_dim / 2, 2]."""
    return torch.tensor([1.0, 0.0], device=device).expand(words, head_dim // 2, 2)


def _padding(context: AliveContext, places: int, pictured: int) -> Tensor | None:
    """Bias [batch, words + tokens] that hides padded words and references that a sample lacks."""
    given, batch = context.clip.given, len(context)
    if given is None:
        references = torch.ones(batch, pictured, dtype=torch.bool, device=context.text.device)
    else:
        references = given.expand(batch, -1).repeat_interleave(pictured // max(1, given.shape[1]), dim=1)
    own = torch.ones(batch, places, dtype=torch.bool, device=context.text.device)
    return hiding(torch.cat((context.shown, own, references.to(own.device)), dim=1))
