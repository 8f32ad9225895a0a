"""What is given of a clip, from its beginning on: brought to the clip's size and rates, to latents, and back in place.

A first picture is one known picture, a given side is known to its end, and the tail of a clip that is continued is the
known beginning of the part that is made (`conditioning.continuation`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from diffusers import AutoencoderKLLTX2Audio, AutoencoderKLWan
from torch import Tensor

from vivace.conditioning.first_frame import fit_image
from vivace.media import peak_limited
from vivace.media.decode_audio import resample
from vivace.models.codecs import encode_audio, encode_video
from vivace.models.mel import LOOK_AHEAD
from vivace.timeline import Timeline

# How long what is given fades out over what was made: long enough against a click, too short to be heard as two sounds.
FADE_SECONDS = 0.02


@dataclass(frozen=True, eq=False)
class Known:
    """The known beginning of one clip, at its size and rates.

    Args:
        pictures: uint8 [n, H, W, 3], n of the form the video codec holds, or None.
        sound: float32 [2, N], or None.
    """

    pictures: np.ndarray | None = None
    sound: np.ndarray | None = None


def fit_pictures(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    """Every picture as `fit_image` does it. uint8 [T, h, w, 3] -> [T, H, W, 3]"""
    if frames.shape[1:3] == (height, width):
        return frames
    return np.stack([fit_image(frame, height, width) for frame in frames])


def at_rate(frames: np.ndarray, fps: Fraction, target: Fraction) -> np.ndarray:
    """The picture shown at each moment of the rate `target`; none is mixed of two. [T, H, W, 3]"""
    if fps == target:
        return frames
    count = max(1, round(len(frames) / fps * target))
    # A moment that is a picture's very beginning must not fall one short by rounding.
    places = [int(k / target * fps + Fraction(1, 1000)) for k in range(count)]
    return frames[np.minimum(places, len(frames) - 1)]


def to_stereo(audio: np.ndarray, rate: int, target: int) -> np.ndarray:
    """float32 [1 or 2, N] at `rate` to [2, M] at `target`."""
    both = np.repeat(audio, 2, 0) if len(audio) == 1 else audio[:2]
    return resample(np.ascontiguousarray(both), rate, target)


def known_latent_frames(known: Known, timeline: Timeline) -> int:
    """Latent frames at the clip's beginning that the known pictures decide."""
    return 0 if known.pictures is None else timeline.latent_frames_within(len(known.pictures))


def known_audio_tokens(known: Known, timeline: Timeline) -> int:
    """Audio tokens at the clip's beginning that the known sound decides; all of them where it lasts to the end."""
    if known.sound is None:
        return 0
    samples = known.sound.shape[1]
    if samples >= timeline.samples:
        return timeline.audio_tokens
    return timeline.audio_tokens_within(Fraction(samples, timeline.sample_rate), LOOK_AHEAD)


def encode_pictures(vae: AutoencoderKLWan, pictures: Sequence[np.ndarray], device: torch.device) -> Tensor:
    """Latents [B, C, t, h, w] of uint8 [n, H, W, 3] each, one by one, so that no neighbour changes them."""
    latents = []
    for frames in pictures:
        x = torch.from_numpy(np.ascontiguousarray(frames)).to(device).permute(3, 0, 1, 2)[None]
        latents.append(encode_video(vae, (x.float() / 127.5 - 1).to(vae.dtype)).float())
    return torch.cat(latents)


def encode_sounds(
    vae: AutoencoderKLLTX2Audio, sounds: Sequence[np.ndarray], sample_rate: int, tokens: int, device: torch.device
) -> Tensor:
    """The first `tokens` audio tokens [B, tokens, D] of float32 [2, N] at `sample_rate` each, one by one."""
    latents = []
    for sound in sounds:
        waveform = resample(np.ascontiguousarray(sound), sample_rate, int(vae.config.sample_rate))
        latents.append(encode_audio(vae, torch.from_numpy(waveform).to(device)[None], tokens).float())
    return torch.cat(latents)


def put_back(
    known: Known, frames: np.ndarray | None, audio: np.ndarray | None, sample_rate: int
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """What was made with the known part in its place as it was given, instead of as the codecs return it.

    Args:
        frames: uint8 [T, H, W, 3]; None where the pictures are absent or given to the end.
        audio: float32 [2, N], likewise.
    """
    if known.pictures is not None:
        rest = frames[len(known.pictures) :] if frames is not None else known.pictures[:0]
        frames = np.concatenate([known.pictures, rest])
    if known.sound is not None:
        audio = known.sound if audio is None else join_sound(known.sound, audio, round(FADE_SECONDS * sample_rate))
    return frames, audio


def join_sound(given: np.ndarray, made: np.ndarray, fade: int) -> np.ndarray:
    """`given` [2, n], then `made` [2, N] from sample n on, without a step between them.

    The given samples stay as they are. Past its end the given sound goes on as its own mirror image, which fades out
    over `fade` samples while what was made fades in (ours).
    """
    rest = peak_limited(made)[:, given.shape[1] :].copy()
    length = min(fade, given.shape[1], rest.shape[1])
    if length:
        rise = (0.5 - 0.5 * np.cos(np.pi * (np.arange(length) + 0.5) / length)).astype(np.float32)
        rest[:, :length] = given[:, ::-1][:, :length] * (1 - rise) + rest[:, :length] * rise
    return np.concatenate([given, rest], axis=1)
