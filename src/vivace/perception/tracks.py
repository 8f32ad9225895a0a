"""Coloured shapes followed from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from vivace.perception.colours import NAMES, Shape, coloured_pixels, shapes
from vivace.perception.thresholds import ColourThresholds, TrackThresholds

_SIDES = ("left", "right", "top", "bottom")


@dataclass
class Track:
    """One coloured thing over time.

    Args:
        frames: the pictures in which it was found, ascending.
        shapes: its shape in each of them.
    """

    frames: list[int] = field(default_factory=list)
    shapes: list[Shape] = field(default_factory=list)

    @property
    def colour(self) -> str:
        """The palette name that most of its pixels carry."""
        votes = np.sum([np.array(shape.votes) * shape.area for shape in self.shapes], axis=0)
        return NAMES[int(votes.argmax())]

    def series(self, name: str) -> np.ndarray:
        """One measure of the shape over its frames, such as "bottom"."""
        return np.array([getattr(shape, name) for shape in self.shapes])

    def height_of_travel(self) -> float:
        """How far it moves up and down, in shorter picture sides; the outermost twentieth at each end is left out.

        Only frames in which it has its usual height count, and of its two ends the one that moves less: light that
        falls on a standing thing hides parts of it and so seems to move what is left.
        """
        top, bottom = self.series("top"), self.series("bottom")
        tall = bottom - top
        usual = np.abs(tall / np.median(tall) - 1.0) < 0.3
        if not usual.any():
            return 0.0
        ends = (np.quantile(end[usual], [0.05, 0.95]) for end in (top, bottom))
        return min(float(high - low) for low, high in ends)


def follow(found: list[list[Shape]], fps: float, settings: TrackThresholds) -> list[Track]:
    """Link the shapes of successive frames into tracks, nearest pairs first, of similar colour.

    Args:
        found: per frame its shapes.
        fps: frames per second.

    Returns:
        Tracks seen in at least `settings.least_share` of the frames, largest mean area first.
    """
    tracks: list[Track] = []
    for frame, candidates in enumerate(found):
        open_tracks = [t for t in tracks if frame - t.frames[-1] <= settings.longest_gap]
        pairs = sorted(
            (distance, i, j)
            for i, track in enumerate(open_tracks)
            for j, shape in enumerate(candidates)
            if (distance := _distance(track, frame, shape)) <= settings.fastest / fps
        )
        taken_tracks: set[int] = set()
        taken_shapes: set[int] = set()
        for _, i, j in pairs:
            if i in taken_tracks or j in taken_shapes:
                continue
            taken_tracks.add(i)
            taken_shapes.add(j)
            open_tracks[i].frames.append(frame)
            open_tracks[i].shapes.append(candidates[j])
        for j, shape in enumerate(candidates):
            if j not in taken_shapes:
                tracks.append(Track([frame], [shape]))
    least = max(3.0, settings.least_share * len(found))
    kept = [track for track in tracks if len(track.frames) >= least]
    return sorted(kept, key=lambda track: -float(track.series("area").mean()))


def coloured_tracks(frames: np.ndarray, fps: float, colours: ColourThresholds, tracks: TrackThresholds) -> list[Track]:
    """The coloured things of a clip.

    Args:
        frames: uint8 [T, H, W, 3].
    """
    mask, label = coloured_pixels(frames, colours)
    return follow([shapes(m, c, colours.least_area) for m, c in zip(mask, label, strict=True)], fps, tracks)


def parts_of_one(tracks: list[Track], gap: float) -> list[list[Track]]:
    """Group standing tracks of one colour that touch: a gleam or a lit bar parts a thing in two.

    Args:
        gap: largest distance between the boxes of two parts, in shorter picture sides.
    """
    groups: list[list[Track]] = []
    for track in tracks:
        near = [group for group in groups if any(_touch(track, other, gap) for other in group)]
        groups = [group for group in groups if group not in near]
        groups.append([track, *(other for group in near for other in group)])
    return groups


def _touch(first: Track, second: Track, gap: float) -> bool:
    if first.colour != second.colour:
        return False
    a, b = ({name: float(np.median(t.series(name))) for name in _SIDES} for t in (first, second))
    apart = (
        max(a["left"], b["left"]) - min(a["right"], b["right"]),
        max(a["top"], b["top"]) - min(a["bottom"], b["bottom"]),
    )
    return max(apart) < gap


def _distance(track: Track, frame: int, shape: Shape) -> float:
    """Distance from where the track would be by its last step, with a penalty for another colour."""
    last = track.shapes[-1]
    steps = frame - track.frames[-1]
    x, y = last.x, last.y
    if len(track.shapes) > 1:
        before = track.shapes[-2]
        span = track.frames[-1] - track.frames[-2]
        x += (last.x - before.x) * steps / span
        y += (last.y - before.y) * steps / span
    # At a bounce the prediction is on the wrong side; the last place is then as good a guess.
    near = min(np.hypot(shape.x - x, shape.y - y), np.hypot(shape.x - last.x, shape.y - last.y))
    agreement = float(np.minimum(shape.votes, last.votes).sum())
    return float(near) + 0.1 * (1.0 - agreement)
