"""What the floor is made of, by its colour along the lower edge of the picture."""

from __future__ import annotations

import numpy as np

from vivace.perception.thresholds import FloorThresholds


def floor_appearance(frames: np.ndarray) -> tuple[float, float]:
    """(lightness, tint) of the floor: mean of RGB in 0 to 255, and red minus blue in percent of it.

    Medians over the lowest rows (a sixteenth of the shorter side) and over time pass over whatever stands there.

    Args:
        frames: uint8 [T, H, W, 3].
    """
    rows = max(2, round(min(frames.shape[1:3]) / 16))
    red, green, blue = np.median(frames[:, -rows:].reshape(-1, 3), axis=0)
    lightness = float(red + green + blue) / 3.0
    return lightness, float(red - blue) / max(lightness, 1.0) * 100.0


def floor_material(frames: np.ndarray, settings: FloorThresholds) -> str | None:
    """Name of the floor's material in `vivace.world.palette.FLOORS`; None where it looks like none of them.

    Args:
        frames: uint8 [T, H, W, 3].
    """
    lightness, tint = floor_appearance(frames)
    distance = {
        name: float(np.hypot((lightness - light) / settings.lightness_scale, (tint - hue) / settings.tint_scale))
        for name, (light, hue) in settings.materials.items()
    }
    nearest = min(distance, key=lambda name: distance[name], default=None)
    return nearest if nearest is not None and distance[nearest] < settings.farthest else None
