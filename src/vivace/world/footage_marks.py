"""Marks that lie over a whole video whatever its shots show: a station's logo, a translucent watermark."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vivace.world.footage_letters import GLYPHS, lettering

MARKS: tuple[str, ...] = ("logo", "watermark")


@dataclass(frozen=True)
class Mark:
    """colour: of each pixel, float [H, W, 3], 0 to 255. cover: how much it hides what is under it, [H, W], 0 to 1."""

    colour: np.ndarray
    cover: np.ndarray


def draw_mark(rng: np.random.Generator, kind: str, height: int, width: int) -> Mark:
    """One of `MARKS` for pictures of this size.

    A logo is a disc with a rim and a letter in a corner and hides what is under it; a watermark is white lettering
    across the middle, or in a corner, through which the picture shows.
    """
    return _logo(rng, height, width) if kind == "logo" else _watermark(rng, height, width)


def laid(mark: Mark, frames: np.ndarray) -> np.ndarray:
    """Pictures uint8 [T, H, W, 3] with the mark over them."""
    cover = mark.cover[..., None].astype(np.float32)
    ink = mark.colour.astype(np.float32) * cover
    return np.stack([(frame * (1 - cover) + ink + 0.5).astype(np.uint8) for frame in frames])


def _logo(rng: np.random.Generator, height: int, width: int) -> Mark:
    side = min(height, width)
    radius, margin = side * rng.uniform(0.075, 0.1), 0.05 * side
    x = margin + radius if rng.random() < 0.5 else width - margin - radius
    y = margin + radius if rng.random() < 0.7 else height - margin - radius
    down, right = np.mgrid[0:height, 0:width] + 0.5
    away = np.hypot(right - x, down - y)
    colour = np.empty((height, width, 3))
    colour[:] = rng.uniform(0, 255, 3)
    colour[away > 0.8 * radius] = 250
    dot = max(1, round(radius / 8))
    letter = lettering([str(rng.choice(list(GLYPHS)))], dot)[:, : 5 * dot]
    top, left = round(y - letter.shape[0] / 2), round(x - letter.shape[1] / 2)
    colour[top : top + letter.shape[0], left : left + letter.shape[1]][letter] = 250
    return Mark(colour, np.clip(radius - away + 0.5, 0, 1))


def _watermark(rng: np.random.Generator, height: int, width: int) -> Mark:
    dot = max(1, round(min(height, width) * 0.014))
    letters = rng.choice(list(GLYPHS), size=max(3, int(0.45 * width / (6 * dot))))
    ink = lettering(list(letters), dot)[:height, :width]
    middle = rng.random() < 0.6
    top = round(height * 0.45) if middle else round(height * 0.86) - ink.shape[0] // 2
    left = (width - ink.shape[1]) // 2 if middle else round(0.95 * width) - ink.shape[1]
    cover = np.zeros((height, width))
    cover[top : top + ink.shape[0], max(left, 0) : max(left, 0) + ink.shape[1]] = rng.uniform(0.3, 0.45) * ink
    return Mark(np.full((height, width, 3), 255.0), cover)
