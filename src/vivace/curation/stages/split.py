"""Split: files into clips of one shot each, without what stands still or is black."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
from pydantic import Field, model_validator

from vivace.curation.clip import Clip, Rejected
from vivace.curation.pulse import alive
from vivace.curation.stage import StageSettings
from vivace.media.scan import small_pictures
from vivace.perception.cuts import detect_cuts
from vivace.perception.fades import detect_fades
from vivace.perception.new_shots import begins_shot
from vivace.perception.stills import black_pictures, still_steps

# Pictures that are looked at together, and by how much neighbouring stretches overlap: more than any transition, so
# that each lies whole in one of them. This bounds the memory whatever the length of the file.
STRETCH, OVERLAP = 3000, 120


class SplitSettings(StageSettings):
    """What a clip may be like."""

    shortest: float = Field(default=2.0, gt=0, description="seconds of a clip; what is shorter is left out")
    longest: float = Field(default=10.0, gt=0, description="seconds; longer shots are cut into equal clips")
    longest_black: float = Field(default=0.25, ge=0, description="seconds of black that a clip may hold")
    longest_frozen: float = Field(default=1.5, ge=0, description="seconds without any change that a clip may hold")
    margin: int = Field(default=1, ge=0, description="pictures that are left out beside a cut")
    side: int = Field(default=32, ge=16, description="pixels of the shorter side at which shots are looked for")

    @model_validator(mode="after")
    def _lengths_fit(self) -> SplitSettings:
        if self.longest < 2 * self.shortest:
            raise ValueError("longest is less than twice shortest, which leaves parts that are neither; correct one")
        return self


@dataclass(frozen=True)
class Seams:
    """Places in a file, by number of picture: where shots begin, and what belongs to none [first, last)."""

    count: int
    cuts: tuple[int, ...]
    fades: tuple[tuple[int, int], ...]
    black: tuple[tuple[int, int], ...]
    frozen: tuple[tuple[int, int], ...]


class Split:
    """Hard cuts, fades and dissolves, black and frozen stretches, and lengths."""

    name: ClassVar[str] = "split"
    version: ClassVar[int] = 3
    needs: ClassVar[tuple[str, ...]] = ("ingest",)

    def __init__(self, settings: SplitSettings) -> None:
        self.settings = settings

    def measure(self, clip: Clip) -> Clip | Rejected:
        fps = float(clip["ingest.fps"])
        pictures = small_pictures(clip.path, self.settings.side)
        seams = find_seams(_heard(pictures, int(clip["ingest.frames"])), fps)
        parts = shots(seams, fps, self.settings)
        found = {
            "cuts": [round(n / fps, 4) for n in seams.cuts],
            "fades": [[round(a / fps, 4), round(b / fps, 4)] for a, b in seams.fades],
            "black_seconds": round(sum(b - a for a, b in seams.black) / fps, 4),
            "frozen_seconds": round(sum(b - a for a, b in seams.frozen) / fps, 4),
        }
        if not parts:
            return Rejected("no_clip", f"no shot of {self.settings.shortest:g} s without black or frozen pictures")
        places = [[round(a / fps, 6), round((b - a) / fps, 6)] for a, b in parts]
        return clip.with_columns(self.name, parts=places, **found)


def _heard(pictures: Iterable[np.ndarray], count: int) -> Iterator[np.ndarray]:
    """The pictures, with a sign of life for as many as were counted: a clock that leaps may hold one without end."""
    for n, picture in enumerate(pictures):
        if n < count:
            alive()
        yield picture


def find_seams(pictures: Iterable[np.ndarray], fps: float) -> Seams:
    """Look through small pictures uint8 [h, w, 3], a stretch at a time."""
    cuts: set[int] = set()
    fades: list[tuple[int, int]] = []
    black: list[np.ndarray] = []
    still: list[np.ndarray] = []
    count = 0
    for first, keep_from, keep_to, frames in _stretches(iter(pictures)):
        count = first + len(frames)
        places = [round(t * fps) for t in detect_cuts(frames, fps)]
        cuts |= {first + n for n in places if keep_from <= first + n < keep_to and begins_shot(frames, n)}
        fades += [
            (first + round(fade.start * fps), first + round(fade.end * fps) + 1)
            for fade in detect_fades(frames, fps)
            if keep_from <= first + round(fade.start * fps) < keep_to
        ]
        inside = slice(keep_from - first, min(keep_to, count) - first)
        black.append(black_pictures(frames)[inside])
        # Whether a picture is the one before it again; the first of all has none before it.
        still.append(np.concatenate([[False], still_steps(frames)])[inside])
    none = np.zeros(0, bool)
    return Seams(
        count,
        tuple(sorted(cuts)),
        tuple(fades),
        tuple(_runs(np.concatenate(black or [none]))),
        tuple(_runs(np.concatenate(still or [none]))),
    )


def shots(seams: Seams, fps: float, settings: SplitSettings) -> list[tuple[int, int]]:
    """Clips [first, last) by number of picture, in order."""
    barred = np.zeros(seams.count + 1, bool)
    barred[-1] = True
    for first, last in seams.fades:
        barred[first:last] = True
    for runs, longest in ((seams.black, settings.longest_black), (seams.frozen, settings.longest_frozen)):
        for first, last in runs:
            if last - first > longest * fps:
                barred[first:last] = True
    edges = set(seams.cuts)
    found: list[tuple[int, int]] = []
    begin: int | None = None
    for n in range(seams.count + 1):
        if begin is not None and (barred[n] or n in edges):
            found.append((begin, n))
            begin = None
        if begin is None and not barred[n]:
            begin = n
    inner = []
    for first, last in found:
        # The decoder's smear around a seam, not at the file's own ends.
        first += settings.margin if first > 0 else 0
        last -= settings.margin if last < seams.count else 0
        inner += _equal(first, last, fps, settings)
    return inner


def _equal(first: int, last: int, fps: float, settings: SplitSettings) -> list[tuple[int, int]]:
    """A shot as clips of allowed lengths; none where it is too short."""
    length = last - first
    # Half a picture of tolerance: at 24 fps a 2 s clip may be one of 47.9 pictures by the file's clock.
    if length < settings.shortest * fps - 0.5:
        return []
    count = int(np.ceil(length / (settings.longest * fps) - 1e-6))
    edges = np.linspace(first, last, count + 1).round().astype(int)
    return [(int(a), int(b)) for a, b in pairwise(edges)]


def _stretches(pictures: Iterator[np.ndarray]) -> Iterator[tuple[int, int, int, np.ndarray]]:
    """Overlapping stretches: number of the first picture, the pictures [from, to) that it answers for, pictures."""
    held: list[np.ndarray] = []
    first = 0
    for picture in pictures:
        held.append(picture)
        if len(held) == STRETCH:
            half = OVERLAP // 2
            yield first, first + (half if first else 0), first + STRETCH - half, np.stack(held)
            held = held[-OVERLAP:]
            first += STRETCH - OVERLAP
    if held:
        yield first, first + (OVERLAP // 2 if first else 0), first + len(held), np.stack(held)


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
