"""The still part of a picture: wall, light, and a floor of one of five materials.

Everything is a smooth function of scene coordinates, so a size, an aspect ratio or a camera move only changes where
it is evaluated.
"""

from __future__ import annotations

import numpy as np

from vivace.world.layout import View
from vivace.world.palette import FLOOR_RGB, WALLS
from vivace.world.scene import Stage


def paint_stage(stage: Stage, view: View) -> np.ndarray:
    """The empty stage as float32 [height, width, 3] in 0 to 255."""
    x = view.columns().astype(np.float32)[None, :]
    y = view.rows().astype(np.float32)[:, None]
    # Lengths on the wall and floor are in units of the shorter side, whatever the picture's shape.
    across = x * np.float32(view.width / (2 * min(view.height, view.width)))
    rng = np.random.default_rng(stage.decor_seed)
    pixel = 1 / view.scale
    wall = np.array(WALLS[stage.wall], dtype=np.float32) * _wall(stage, rng, x, across, y)[..., None]
    floor = _floor(stage, rng, x, across, y)
    below = np.clip(0.5 + (y - stage.horizon) / (1.5 * pixel), 0, 1)[..., None]
    picture = wall + below * (floor - wall)
    # A soft line of shadow where wall and floor meet, and a faint darkening towards the corners.
    crease = 1 - 0.16 * np.exp(-(((y - stage.horizon) / 0.016) ** 2))
    vignette = 1 - 0.07 * (0.6 * x**2 + 0.8 * (y - 0.45) ** 2)
    return np.clip(picture * (crease * vignette)[..., None], 0, 255).astype(np.float32)


def _wall(stage: Stage, rng: np.random.Generator, x: np.ndarray, across: np.ndarray, y: np.ndarray) -> np.ndarray:
    light = np.asarray(0.97 + 0.10 * stage.light * x + 0.10 * (0.45 - y))
    sign = 1.0 if rng.random() < 0.5 else -1.0
    match stage.decor:
        case "window":
            # Light that falls through a window, with the cross of its frame.
            u = across - rng.uniform(-0.2, 0.2) - 0.35 * stage.light * (y - 0.3)
            v = y - rng.uniform(0.22, 0.32)
            width, height = rng.uniform(0.16, 0.24), rng.uniform(0.14, 0.18)
            pane = _inside(u, width, 0.015) * _inside(v, height, 0.015)
            frame = 1 - 0.8 * np.maximum(_inside(u, 0.008, 0.012), _inside(v, 0.008, 0.012))
            return light + 0.10 * pane * frame
        case "discs":
            for _ in range(3):
                far = np.hypot(across - rng.uniform(-0.5, 0.5), y - rng.uniform(0.05, 0.5)) - rng.uniform(0.08, 0.24)
                light = light + sign * 0.05 * np.clip(0.5 - far / 0.02, 0, 1)
            return light
        case "stripes":
            return light + 0.035 * np.tanh(2.5 * np.cos(across * rng.uniform(18, 34) + rng.uniform(0, 6)))
        case "panel":
            rail = stage.horizon - rng.uniform(0.12, 0.2)
            step = np.clip(0.5 + (y - rail) / 0.012, 0, 1)
            edge = np.exp(-(((y - rail) / 0.012) ** 2))
            return light - 0.09 * step - 0.08 * edge
        case "hills":
            for shade in (0.05, 0.06):
                top = stage.horizon - rng.uniform(0.08, 0.24)
                crest = top + 0.05 * np.sin(across * rng.uniform(4, 9) + rng.uniform(0, 6))
                light = light - shade * np.clip(0.5 + (y - crest) / 0.015, 0, 1)
            return light
    return light


def _inside(distance: np.ndarray, half: float, soft: float) -> np.ndarray:
    return np.clip(0.5 + (half - np.abs(distance)) / soft, 0, 1)


def _floor(stage: Stage, rng: np.random.Generator, x: np.ndarray, across: np.ndarray, y: np.ndarray) -> np.ndarray:
    # 0 at the horizon, 1 at the lower edge of a square picture; farther is narrower.
    near = np.clip((y - stage.horizon) / (1 - stage.horizon), 0, 3)
    u = across / (0.55 + 0.45 * near)
    v = np.log1p(2.2 * near)
    base = np.array(FLOOR_RGB[stage.floor], dtype=np.float32)
    tone = np.asarray(0.94 + 0.07 * stage.light * x + 0.08 * near)
    tint = np.zeros((*np.broadcast(u, v).shape, 3), dtype=np.float32)
    phase = float(rng.uniform(0, 6))
    match stage.floor:
        case "wood":
            plank = 3.2 * v + 0.3
            number = np.floor(plank)
            seam = np.exp(-(((plank - np.round(plank)) / 0.05) ** 2))
            grain = np.cos(3.0 * np.cos(1.7 * u + number) + 9 * (plank - number) + 1.3 * u + phase)
            tone = tone + 0.045 * np.sin(12.9 * number + phase) + 0.05 * grain - 0.17 * seam
        case "metal":
            tone = tone + 0.12 * np.cos(3.4 * u + phase) + 0.07 * np.cos(7.7 * u + 2 * phase) - 0.02
            tone = tone + 0.20 * np.exp(-(((near - 0.22) / 0.14) ** 2))
        case "glass":
            slant = u + 0.9 * v + phase
            shine = np.clip(np.cos(4.2 * slant), 0.35, 1) - 0.35
            tone = tone + 0.16 * shine + 0.05 * np.exp(-near / 0.2)
            tint = tint + shine[..., None] * np.array([12, 5, 2], dtype=np.float32)
        case "rubber":
            dots = np.cos(26 * u + phase) * np.cos(13 * v + phase)
            tone = tone + 0.16 * np.clip(dots - 0.35, 0, 1)
        case "stone":
            tile = np.maximum(_joint(u * 2.1 + 0.3), _joint(v * 2.0 + 0.25))
            blotch = _blotches(rng, u, v)
            tone = tone + 0.13 * blotch - 0.15 * tile
    return base * tone[..., None] + tint


def _joint(place: np.ndarray) -> np.ndarray:
    return np.exp(-(((place - np.round(place)) / 0.035) ** 2))


def _blotches(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Soft irregular spots of about -1 to 1, [h, w]."""
    total = np.zeros(np.broadcast(u, v).shape, dtype=np.float32)
    for _ in range(4):
        fx, fy = rng.uniform(5, 13), rng.uniform(5, 13)
        total += np.cos(fx * u + rng.uniform(0, 6) + 1.5 * np.sin(fy * v)) * np.cos(fy * v + rng.uniform(0, 6))
    return total / 2.2
