"""Landscapes: a little motion, the same at every size, nothing that looks like a coloured thing."""

import numpy as np
import pytest

from vivace.perception.colours import coloured_pixels
from vivace.perception.thresholds import thresholds
from vivace.world.landscapes import DAYLIGHTS, PLACES, Painter
from vivace.world.layout import View
from vivace.world.scene import Landscape


def pictures(landscape: Landscape, height: int = 64, width: int = 64, count: int = 6) -> np.ndarray:
    painter = Painter(landscape, View(height, width))
    return np.stack([painter.picture(0.3 * n) for n in range(count)])


@pytest.mark.parametrize("place", PLACES)
def test_a_view_moves_a_little(place: str) -> None:
    for shapes in range(4):
        seen = pictures(Landscape(place, "day", 0.6, shapes))
        changed = np.abs(np.diff(seen, axis=0)).max(axis=3)
        assert changed.max() > 8
        # Less than a third of the picture changes noticeably at once.
        assert (changed > 25).mean() < 0.33


@pytest.mark.parametrize("daylight", DAYLIGHTS)
@pytest.mark.parametrize("place", PLACES)
def test_nothing_looks_like_a_coloured_thing(place: str, daylight: str) -> None:
    for shapes in range(3):
        seen = pictures(Landscape(place, daylight, 0.5, shapes), count=2).astype(np.uint8)
        mask, _ = coloured_pixels(seen, thresholds().colours)
        assert mask.mean() < 0.003


@pytest.mark.parametrize("place", PLACES)
def test_one_view_at_every_size(place: str) -> None:
    landscape = Landscape(place, "dusk", 0.5, 3)
    small, large = pictures(landscape, 64, 64, 2), pictures(landscape, 128, 128, 2)
    halved = large.reshape(2, 64, 2, 64, 2, 3).mean(axis=(2, 4))
    assert np.abs(small - halved).mean() < 5
    assert pictures(landscape, 48, 96, 1).shape == (1, 48, 96, 3)
    assert pictures(landscape, 96, 48, 1).shape == (1, 96, 48, 3)


def test_night_is_darker_than_day() -> None:
    for place in PLACES:
        day, night = (pictures(Landscape(place, light, 0.5, 1), count=1).mean() for light in ("day", "night"))
        assert night < 0.65 * day
