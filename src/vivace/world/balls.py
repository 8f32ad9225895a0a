"""How balls look: one colour, five materials told apart by their shine."""

from __future__ import annotations

import math

import numpy as np

from vivace.world.canvas import coverage, draw_shadow, patch
from vivace.world.layout import View
from vivace.world.palette import COLOURS
from vivace.world.scene import Ball


def draw_ball_shadow(picture: np.ndarray, ball: Ball, x: float, height: float, view: View) -> None:
    """The contact shadow: small and dark where the ball touches, wide and faint when it is high."""
    spread = ball.radius * view.scale * (0.95 + 0.5 * height)
    darkness = 0.55 * math.exp(-3.2 * height)
    draw_shadow(picture, view.column(x), view.row(ball.lane), spread, 0.30 * spread, darkness)


def draw_ball(
    picture: np.ndarray, ball: Ball, x: float, height: float, squash: float, light: float, view: View
) -> None:
    """The ball with its lowest point `height` above its lane; `squash` flattens it onto that point."""
    radius = ball.radius * view.scale
    half_x, half_y = radius * (1 + 0.5 * squash), radius * (1 - squash)
    row = view.row(ball.lane - height) - half_y
    box = patch(picture, view.column(x), row, half_x + 1, half_y + 1)
    if box is None:
        return
    nx, ny = box.dx / half_x, box.dy / half_y
    level = nx**2 + ny**2
    nz = np.sqrt(np.maximum(1 - level, 0))
    alpha = coverage((np.sqrt(level) - 1) * min(half_x, half_y))
    # Light from above, from the side the stage is lit from, and a little from the front.
    lx, ly, lz = 0.55 * light, -0.62, 0.56
    norm = math.sqrt(lx * lx + ly * ly + lz * lz)
    facing = (nx * lx + ny * ly + nz * lz) / norm
    shade, gloss = _surface(ball.material, nx, ny, nz, facing)
    base = np.array(COLOURS[ball.colour], dtype=np.float32)
    colour = base * shade[..., None]
    colour += gloss[..., None] * (255 - colour)
    if ball.material == "glass":
        # See-through in the middle, where the glass is seen face on.
        alpha = alpha * (0.96 - 0.30 * nz**2 * (1 - gloss))
    box.blend(alpha, colour)


def _surface(
    material: str, nx: np.ndarray, ny: np.ndarray, nz: np.ndarray, facing: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(factor on the ball's colour, share of white on top), each [h, w]; both leave the hue as it is."""
    lit = np.maximum(facing, 0)
    match material:
        case "metal":
            band = 0.20 * np.cos(4.2 * ny + 0.6)
            return 0.62 + 0.40 * lit + band, 0.85 * lit**18 + 0.10 * lit**4
        case "glass":
            rim = (1 - nz) ** 2
            return 0.92 + 0.22 * lit - 0.18 * rim, 0.9 * lit**26 + 0.22 * np.maximum(ny - 0.2, 0) * nz
        case "wood":
            grain = 0.10 * np.cos(9.0 * (nx * 0.35 + ny) + 2.2 * nx**2)
            return 0.70 + 0.34 * lit + grain, 0.10 * lit**5
        case "stone":
            specks = 0.085 * (np.cos(5.2 * nx + 3.1 * ny + 0.8) + np.cos(6.4 * ny - 3.5 * nx + 2.0 * nx * ny + 0.3))
            return 0.66 + 0.34 * lit + specks, 0.05 * lit**3
    return 0.66 + 0.42 * lit, 0.28 * lit**6
