"""The small side of a refiner's training pairs: what a clip looks like when it was made small, and then made large.

A scene is rendered once more at the small size; other clips are reduced. Most go through the video codec at that size,
as every generated clip has; all are softened and roughened a little, differently for each clip, so that a refiner does
not count on one kind of fault. Then they are scaled up (Lanczos) and encoded at the size of the large ones.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from PIL import Image, ImageFilter
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from vivace.conditioning.given import fit_pictures
from vivace.errors import VivaceError
from vivace.models.codecs import decode_video, encode_video
from vivace.timeline import Timeline, as_rate
from vivace.world import Scene, render_video


class LowSide(BaseModel):
    """How small pictures come about.

    The shares and limits are ours: the report names the steps (smaller, larger, faults in the pixels) and no numbers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    factor: float = Field(
        default=2.25, gt=1, le=8, description="sides of a clip's pictures over those of the small ones"
    )
    codec: float = Field(default=0.75, ge=0, le=1, description="share of clips that go through the video codec")
    blur: float = Field(default=0.5, ge=0, le=5, description="up to so many small pixels of softness (std)")
    noise: float = Field(default=3.0, ge=0, le=50, description="up to so much noise (std, of 255)")
    seed: int = Field(default=0, ge=0)

    def size(self, height: int, width: int, multiple: int) -> tuple[int, int]:
        """Height and width of the small pictures.

        Raises:
            VivaceError: sides that are no multiples of the codec's.
        """
        small = (round(height / self.factor), round(width / self.factor))
        if any(side % multiple for side in small):
            nearest = " and ".join(f"{round(multiple * max(1, round(s / multiple)) * self.factor)}" for s in small)
            raise VivaceError(
                f"Pictures of {width}x{height} made smaller by {self.factor:g} are {small[1]}x{small[0]}, no multiples "
                f"of the video codec's {multiple}; render sides of about {nearest}."
            )
        return small


def low_latents(settings: LowSide, vae: AutoencoderKLWan, name: str, row: dict[str, Any], large: np.ndarray) -> Tensor:
    """Latents of the small pictures made large, in the shape of those of the large ones. [C, t, h, w] float32

    Args:
        name: the clip's, which decides with the seed what is drawn.
        row: of the index, with its scene or without.
        large: uint8 [T, H, W, 3].

    Raises:
        VivaceError: as `LowSide.size`.
    """
    height, width = large.shape[1:3]
    small = settings.size(height, width, int(vae.config.scale_factor_spatial))
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    rng = np.random.default_rng([settings.seed, key])
    through_codec, blur, noise = (
        rng.random() < settings.codec,
        settings.blur * rng.random(),
        settings.noise * rng.random(),
    )
    frames = roughened(small_pictures(row, large, *small), blur, noise, rng)
    if through_codec:
        frames = as_pictures(decode_video(vae, encode_video(vae, as_tensor(frames, vae))))
    return encode_video(vae, as_tensor(fit_pictures(frames, height, width), vae))[0].float().cpu()


def small_pictures(row: dict[str, Any], large: np.ndarray, height: int, width: int) -> np.ndarray:
    """A clip's scene rendered small, or its pictures reduced where it has none. uint8 [T, height, width, 3]"""
    if row.get("scene"):
        timeline = Timeline(frames=len(large), fps=as_rate(row["fps"]))
        rendered: np.ndarray = render_video(Scene.from_json(row["scene"]), timeline, height, width)
        return rendered
    reduced = (Image.fromarray(frame).resize((width, height), Image.Resampling.BOX) for frame in large)
    return np.stack([np.asarray(frame) for frame in reduced])


def roughened(frames: np.ndarray, blur: float, noise: float, rng: np.random.Generator) -> np.ndarray:
    """Softened by a Gaussian of `blur` pixels, with Gaussian noise of std `noise` (of 255). uint8 [T, H, W, 3]"""
    soft = [np.asarray(Image.fromarray(frame).filter(ImageFilter.GaussianBlur(blur))) for frame in frames]
    rough = np.stack(soft) + noise * rng.standard_normal(frames.shape, dtype=np.float32)
    return np.clip(np.round(rough), 0, 255).astype(np.uint8)


def as_tensor(frames: np.ndarray, vae: AutoencoderKLWan) -> Tensor:
    """uint8 [T, H, W, 3] -> [1, 3, T, H, W] in [-1, 1], as the codec takes it."""
    x = torch.from_numpy(np.ascontiguousarray(frames)).to(vae.device).permute(3, 0, 1, 2)[None]
    return (x.float() / 127.5 - 1).to(vae.dtype)


def as_pictures(video: Tensor) -> np.ndarray:
    """[1, 3, T, H, W] in [-1, 1] -> uint8 [T, H, W, 3]"""
    levels = ((video[0].float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return levels.permute(1, 2, 3, 0).cpu().numpy()
