"""What Alive's transformer refuses: texts, latents, timesteps and times that do not go together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from vivace.errors import VivaceError
from vivace.models.alive_context import AliveContext
from vivace.models.alive_layers import grid_of
from vivace.pair import AV


def check_texts(config: Any, texts: Sequence[Sequence[Tensor]], speech: Sequence[Tensor]) -> None:
    """Raises VivaceError for features that are not one [words, text_dim] for each sample and encoder, or too long."""
    widths = list(config.text_dims)
    if not texts[0]:
        raise VivaceError("No text was given; pass one feature tensor per sample (an empty one for no text).")
    if len(texts) != len(widths):
        raise VivaceError(f"Text of {len(texts)} encoders was given and this model reads {len(widths)}; give each.")
    for what, samples, width in (
        *(("Text", samples, width) for samples, width in zip(texts, widths, strict=True)),
        ("Speech", speech, config.speech_dim or widths[0]),
    ):
        if len(samples) != len(texts[0]):
            raise VivaceError(f"{len(samples)} and {len(texts[0])} texts do not make one batch; give one of each.")
        for i, x in enumerate(samples):
            if x.ndim != 2 or x.shape[1] != width:
                raise VivaceError(f"{what} {i} has shape {tuple(x.shape)}; this model reads [tokens, {width}].")
            if len(x) > config.text_len:
                raise VivaceError(f"{what} {i} has {len(x)} tokens; shorten it to at most {config.text_len}.")


def check_inputs(config: Any, latents: AV[Tensor], timesteps: AV[Tensor], context: AliveContext, mutual: bool) -> None:
    """Raises VivaceError for latents, timesteps and context that do not fit each other or the model.

    Args:
        mutual: whether the sides are to exchange anything, for which both need the times of their places.
    """
    present = dict(latents.items())
    if not present:
        raise VivaceError("Neither video nor audio latents were given; pass at least one side of the pair.")
    for modality, x in present.items():
        _check_form(config, modality, x)
        if timesteps.get(modality) is None:
            raise VivaceError(f"The {modality} latents have no timesteps; give [batch] or [batch, tokens] of them.")
        if len(x) != len(context):
            raise VivaceError(f"{len(x)} {modality} latents do not match {len(context)} contexts; give one each.")
    condition, video, audio = context.clip.condition, latents.video, latents.audio
    if condition is not None and video is not None and condition.shape[1:] != video.shape[1:]:
        raise VivaceError("The condition's shape is not that of the video latents; encode it at the clip's size.")
    if mutual and video is not None and audio is not None:
        _check_times(context.clip.times, AV(grid_of(video, config.patch_size)[0], audio.shape[1]))


def _check_form(config: Any, modality: str, x: Tensor) -> None:
    form = f"[batch, {config.video_channels}, T, H, W]"
    fits = x.ndim == 5 and x.shape[1] == config.video_channels
    if modality == "audio":
        form = f"[batch, tokens, {config.audio_channels}]"
        fits = x.ndim == 3 and x.shape[2] == config.audio_channels
    if not fits or not x.numel():
        raise VivaceError(f"The {modality} latents have shape {tuple(x.shape)}; this model takes {form}, none 0.")


def _check_times(times: AV[Tensor], lengths: AV[int]) -> None:
    for modality, length in lengths.items():
        seconds = times.get(modality)
        if seconds is None or seconds.shape != (length,):
            there = "none" if seconds is None else f"{tuple(seconds.shape)}"
            raise VivaceError(
                f"Picture and sound meet by their times, and the {modality} has {there} for {length} places; "
                "give the seconds of each (Timeline)."
            )
