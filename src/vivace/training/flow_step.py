"""One forward pass of joint flow matching, with every choice made: what training and validation share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from transformers import ByT5Tokenizer

from vivace.conditioning.prompts import speech_spans
from vivace.conditioning.text import encode_prompts
from vivace.models.alive import AliveTransformer
from vivace.models.alive_context import AliveContext, ClipConditions
from vivace.models.nava import NavaTransformer, grid_of
from vivace.models.nava_context import NavaContext
from vivace.pair import AV
from vivace.sampling.flow import Times, add_noise, sample_from_table, sample_logit_normal, velocity_target
from vivace.sampling.schedules import shifted, train_table
from vivace.timeline import Timeline, as_rate
from vivace.training.tasks import Stream, clean_mask, noisy_part, show_clean, stream, token_timesteps
from vivace.world import Scene, caption


class TimeSettings(BaseModel):
    """How the noise levels of training are drawn.

    "table" is NAVA's: uniform over its shifted table of 1000 levels, the loss weighted by a bell around timestep 500.
    "logit-normal" is Stable Diffusion 3's: sigmoid(mean + std * normal), shifted, all weights 1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["table", "logit-normal"] = "table"
    shift: float = Field(default=5.0, gt=0)
    mean: float = 0.0
    std: float = Field(default=1.0, gt=0)
    spread: bool = Field(default=False, description="logit-normal levels of a batch are spread evenly over their bell")
    independent: bool = Field(default=False, description="a level for each modality, instead of one for both (NAVA)")
    sound_lead: float = Field(
        default=1.0,
        ge=1,
        le=100,
        description="where both sides are generated, the odds of the picture's noise over those of the sound's; ours",
    )

    @model_validator(mode="after")
    def _levels_go_together(self) -> TimeSettings:
        if self.independent and self.sound_lead != 1:
            raise ValueError("levels drawn independently have no sound_lead; leave out one of the two")
        return self


def draw_times(settings: TimeSettings, count: int, seed: int, step: int, both: bool = True) -> AV[Times]:
    """Noise levels of a batch, [count] for each modality; `both` says whether both are generated."""

    def draw(side: int) -> Times:
        key = int(stream(seed, Stream.TIME, step, side).integers(2**62))
        generator = torch.Generator().manual_seed(key)
        if settings.kind == "table":
            return sample_from_table(count, train_table(settings.shift), generator)
        return sample_logit_normal(
            count, generator, settings.mean, settings.std, settings.shift, spread=settings.spread
        )

    video = draw(0)
    if both and settings.sound_lead != 1:
        ahead = torch.from_numpy(shifted(video.sigmas.numpy(), 1 / settings.sound_lead))
        return AV(video, Times(ahead, ahead * 1000, video.weights))
    return AV(video, draw(1) if settings.independent else video)


def draw_noise(like: AV[Tensor], seed: int, *key: int) -> AV[Tensor]:
    """Standard normal noise, a stream for each modality, drawn on the CPU."""

    def draw(latents: Tensor, side: int) -> Tensor:
        values = stream(seed, Stream.NOISE, *key, side).standard_normal(latents.shape, dtype=np.float32)
        return torch.from_numpy(values).to(latents.device)

    return like.map(draw, AV(0, 1))


def caption_of(row: dict[str, Any], rng: np.random.Generator) -> str:
    """A caption of a sample: drawn anew from its scene, or the text that curation gave it."""
    return caption(Scene.from_json(row["scene"]), rng) if row.get("scene") else str(row["caption"])


def encode_captions(
    transformer: NavaTransformer | AliveTransformer,
    text_encoder: nn.Module,
    tokenizer: ByT5Tokenizer,
    captions: Sequence[str],
    dropped: Sequence[bool] | np.ndarray,
    voices: Sequence[Tensor] | None = None,
    mute: Sequence[bool] | np.ndarray | None = None,
) -> NavaContext | AliveContext:
    """The context of a batch; a dropped sample has no text and no voices.

    Args:
        voices: of the speech spans, for NAVA.
        mute: which samples are not told by itself what is said, for Alive; None is none.
    """
    prompts = [None if drop else text for text, drop in zip(captions, dropped, strict=True)]
    encoded = encode_prompts(text_encoder, tokenizer, prompts, transformer.config.text_len)
    if isinstance(transformer, AliveTransformer):
        silent = [False] * len(prompts) if mute is None else mute
        said = [" ".join(speech_spans(p)) if p and not m else "" for p, m in zip(prompts, silent, strict=True)]
        words = encode_prompts(text_encoder, tokenizer, [text or None for text in said], transformer.config.text_len)
        return transformer.encode_context(encoded.features, words.features)
    assert isinstance(transformer, NavaTransformer)
    if voices is None:
        return transformer.encode_context(encoded.features)
    heard = [voice[:0] if drop else voice for voice, drop in zip(voices, dropped, strict=True)]
    return transformer.encode_context(encoded.features, heard, encoded.marker_positions)


def with_conditions(
    context: NavaContext | AliveContext, clean: AV[Tensor], known: AV[int], row: dict[str, Any]
) -> NavaContext | AliveContext:
    """An Alive context with the times of a batch's clips, and with their known pictures; NAVA's as it is.

    Args:
        clean, known: as in `flow_errors`. row: what the index says of a sample, all being of
            one rate ("fps") and length ("frames").
    """
    if isinstance(context, NavaContext):
        return context
    timeline = Timeline(frames=row["frames"], fps=as_rate(row["fps"]))
    seconds = AV(timeline.latent_frame_times(), timeline.audio_token_times())
    clip = ClipConditions(seconds.map(lambda s: torch.from_numpy(s).to(context.text.device)))
    if known.video and clean.video is not None:
        mask = clean_mask(known.video, clean.video).to(clean.video)[:, None, None].expand(1, 1, -1, 1, 1)
        clip = replace(clip, condition=clean.video, mask=mask)
    return context.with_clip(clip)


def with_references(context: AliveContext, pictures: Sequence[Tensor]) -> AliveContext:
    """An Alive context whose samples are shown references.

    Args:
        pictures: latents [R, C, h, w] of each sample's references, which may be none; all of one size.
    """
    most = max(map(len, pictures))
    if not most:
        return context
    padded = torch.stack([torch.cat((x, x.new_zeros(most - len(x), *x.shape[1:]))) for x in pictures])
    counts = torch.tensor([len(x) for x in pictures], device=padded.device)
    given = torch.arange(most, device=padded.device) < counts[:, None]
    return context.with_clip(replace(context.clip, references=padded, given=given))


def flow_errors(
    transformer: NavaTransformer | AliveTransformer,
    clean: AV[Tensor],
    noise: AV[Tensor],
    times: AV[Times],
    known: AV[int],
    context: NavaContext | AliveContext,
    exchange: bool,
    balance: float = 0.0,
) -> AV[Tensor]:
    """Each sample's mean squared velocity error in float32 over the positions that are generated.

    Args:
        balance: of the principal directions of the latents (`gaussian_skip`); for a transformer that has them. The
            others are those of `velocity_errors`.

    Returns:
        [B] for each modality of which something is generated.
    """
    made = velocity_errors(transformer, clean, noise, times, known, context, exchange)
    if balance:
        assert transformer.skips is not None
        made = transformer.skips.balanced(made, balance)
    return made.map(lambda errors: errors.square().flatten(1).mean(1))


def velocity_errors(
    transformer: NavaTransformer | AliveTransformer,
    clean: AV[Tensor],
    noise: AV[Tensor],
    times: AV[Times],
    known: AV[int],
    context: NavaContext | AliveContext,
    exchange: bool,
) -> AV[Tensor]:
    """Predicted minus true velocity in float32 at the positions that are generated.

    Args:
        clean: latents of both modalities.
        noise: of the same shapes.
        known: positions of each side that are shown clean, from its beginning on (`Task.known`); a side that is None
            here is left out.

    Returns:
        Of each modality of which something is generated, in the shape of its latents but for what is shown clean.
    """
    shown = known.map(lambda _, x: x, clean)
    masks = known.map(clean_mask, shown)

    def noised(x: Tensor, n: Tensor, t: Times, mask: Tensor) -> Tensor:
        return show_clean(add_noise(x, n, t.sigmas.to(x.device)), x, mask)

    def told(x: Tensor, t: Times, mask: Tensor) -> Tensor:
        per_position = int(np.prod(grid_of(x, transformer.config.patch_size)[1:])) if x.ndim == 5 else 1
        return token_timesteps(t.timesteps.to(x.device), mask, per_position)

    inputs = shown.map(noised, noise, times, masks)
    network: nn.Module = transformer
    output: AV[Tensor] = network(inputs, shown.map(told, times, masks), context, exchange=exchange)

    def wrong(v: Tensor, x: Tensor, n: Tensor, mask: Tensor) -> Tensor:
        return noisy_part(v.float() - velocity_target(x, n), mask)

    wanted = dict(masks.items())
    return AV(**{side: v for side, v in output.items() if not wanted[side].all()}).map(wrong, shown, noise, masks)
