"""Clarity: how clear a picture is against six reference levels, with a threshold on the set's distribution.

Alive compares clips with reference images at six levels of clarity, which are unpublished. Ours compares the width of a
clip's edges with that of a sharp edge blurred to six known degrees.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import accumulate
from typing import ClassVar

import numpy as np
from pydantic import Field

from vivace.curation.clip import Clip, Rejected
from vivace.curation.stage import Decision, StageSettings

LEVELS = 6
# Standard deviations of the blur, in thousandths of the shorter side, that make level 5 (untouched) into 4, … 0.
BLURS = (0.0, 3.0, 5.0, 8.0, 13.0, 21.0)
PICTURES = 5


class ClaritySettings(StageSettings):
    """What is left out at the low end."""

    DECIDING: ClassVar = frozenset({"cut", "least"})

    cut: float = Field(
        default=0.1, ge=0, lt=1, description="share of the clips, the least clear ones, that is left out"
    )
    least: float = Field(default=1.0, ge=0, le=LEVELS - 1, description="level below which a clip is always left out")


class Clarity:
    """A level from 0 to 5, and what lies in the lower tail of the set left out."""

    name: ClassVar[str] = "clarity"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: ClaritySettings) -> None:
        self.settings = settings

    def measure(self, clip: Clip) -> Clip | Rejected:
        material = clip.material()
        assert material.frames is not None
        return clip.with_columns(self.name, level=round(clarity_level(material.frames), 4))

    def decide(self, clips: Iterable[Clip]) -> Iterator[Decision]:
        """Ids lie in a temporary database and levels are counted in hundredths, so that memory does not grow."""
        counts = Counter[int]()

        def rows() -> Iterator[tuple[str, int]]:
            for clip in clips:
                level = round(100 * clip["clarity.level"])
                counts[level] += 1
                yield clip.id, level

        with closing(sqlite3.connect("")) as store:
            store.execute("CREATE TABLE seen(id TEXT, level INTEGER)")
            store.executemany("INSERT INTO seen VALUES (?, ?)", rows())
            bound = lower_quantile(counts, self.settings.cut) if self.settings.cut and counts else 0
            low = max(100 * self.settings.least, bound)
            for clip, level in store.execute("SELECT id, level FROM seen WHERE level < ? ORDER BY rowid", (low,)):
                told = f"level {level / 100:.2f}"
                if level < 100 * self.settings.least:
                    yield Decision(clip, Rejected("unclear", f"{told} of {LEVELS - 1}"))
                else:
                    yield Decision(clip, Rejected("less_clear", f"{told}, the set's bound {bound / 100:.2f}"))


def lower_quantile(counts: Counter[int], share: float) -> int:
    """The value at this share of the way through what was counted, the lower of two."""
    values = sorted(counts)
    place = int((counts.total() - 1) * share)
    return next(
        value for value, upto in zip(values, accumulate(counts[v] for v in values), strict=True) if upto > place
    )


def clarity_level(frames: np.ndarray) -> float:
    """The level of a clip, the median over some pictures uint8 [T, H, W, 3]; 5 is as clear as its size allows, and so
    is a picture without edges, of which nothing can be said."""
    from vivace.perception.luma import luma

    chosen = np.unique(np.linspace(0, len(frames) - 1, min(PICTURES, len(frames))).round().astype(int))
    return float(np.median([_level(luma(frames[n])) for n in chosen]))


def _level(bright: np.ndarray) -> float:
    """By the width of the picture's sharper edges: a step's height over its steepest slope, as a blur's deviation."""
    from scipy.ndimage import maximum_filter, minimum_filter

    side = min(bright.shape)
    reach = max(5, 2 * round(0.03 * side) + 1)
    steepest = np.maximum(*(np.abs(g) for g in np.gradient(bright)))
    height = maximum_filter(bright, reach) - minimum_filter(bright, reach)
    edges = height > max(24.0, float(np.percentile(height, 90)) * 0.6)
    if not edges.any():
        return float(LEVELS - 1)
    slope = maximum_filter(steepest, reach)[edges] / height[edges]
    # A step blurred by s has its steepest slope height / (s sqrt(2 pi)); central differences see 0.5 at most.
    deviation = 1.0 / (np.sqrt(2 * np.pi) * max(float(np.percentile(slope, 75)), 1e-3))
    own = np.array([0.8, *(np.hypot(0.8, blur * side / 1000.0) for blur in BLURS[1:])])
    return float(LEVELS - 1 - np.interp(deviation, own, np.arange(LEVELS)))
