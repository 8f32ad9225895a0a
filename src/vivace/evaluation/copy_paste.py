"""Copy-paste bias: how much of a reference leaks into a clip beside who is to be seen. On the world's truth.

What a clip shows is compared with the truth about the reference that it was made from, and with that about *controls*:
pictures of others, which the model has not seen. With distances d, the score is the mean over the controls of

    (d(clip, control) - d(clip, reference)) / d(control, reference)

which is 1 for a copy of the reference, -1 for a copy of a control, and by symmetry 0 on average for clips that have
nothing to do with either; it never leaves that range. Background: root mean square distance of the pictures without
people. Pose: distance of place and size of the face. Identity, which is to be kept: distance of small pictures of the
head. Prompts are of one person, so that a face too blurred to be found is taken to be where the clip looks most like
one. (Ours: Alive's report names the bias and no measure of it.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vivace.evaluation.metric import ItemMetric, Sample, Undefined, once_per_sample
from vivace.evaluation.prompts import CAPTION_STREAM
from vivace.perception.faces import FaceTrack, face_tracks, faces_in, likeliest_face
from vivace.perception.thresholds import thresholds
from vivace.world import caption
from vivace.world.characters import MOUTH_Y, mouth_place
from vivace.world.layout import view_at
from vivace.world.picture import pictures_at
from vivace.world.takes import TAKES, Shown, covering, reference_shots, still, take_scene

Outcome = list[float] | Undefined
_LOOKS = 9  # pictures of a clip whose median is its background
_BODY = 1.9  # half widths of the head: how far hair and shoulders reach beside and above its middle
_LEAST_SEEN = 0.08  # of the picture that must be background
_ALIKE = 1e-3  # distance below which control and reference do not differ
_HEAD = 12


@dataclass(frozen=True)
class ReferenceItem:
    """A prompt with a reference, and what the reference is told from.

    Args:
        controls: pictures of others.
    """

    id: str
    prompt: str
    seed: int
    seconds: float
    reference: Shown
    controls: tuple[Shown, ...]
    height: int
    width: int

    def picture(self) -> np.ndarray:
        """What the model is shown, uint8 [height, width, 3]."""
        return still(self.reference, self.height, self.width)

    def refs(self) -> dict[str, object]:
        """Of the `Sample` of a clip that was made from it."""
        return {"reference": self.reference, "controls": self.controls}


def reference_items(
    split: str, count: int, *, seconds: float = 49 / 24, height: int = 128, width: int = 128, controls: int = 3
) -> list[ReferenceItem]:
    """The first `count` characters of a split: a prompt for one take each, a reference of another take."""
    items = []
    for number in range(count):
        scene = take_scene(number, 0, split, seconds)
        reference = reference_shots(number, 0, split, seconds, "cross", 1, height, width)[0]
        rng = np.random.default_rng([scene.seed, CAPTION_STREAM])
        others = tuple(
            Shown(take_scene(number + 1 + k, 1 + (number + k) % (TAKES - 1), split, seconds), float(rng.uniform(0, 1)))
            for k in range(controls)
        )
        text = caption(scene, rng)
        items.append(ReferenceItem(f"reference-{number:04d}", text, number, seconds, reference, others, height, width))
    return items


def with_one_face(items: Sequence[ReferenceItem]) -> list[ReferenceItem]:
    """Those in whose reference exactly one face is found: others are refused by models of drawn faces."""
    found = thresholds().faces
    return [item for item in items if len(faces_in(item.picture(), found)) == 1]


def copied(seen: np.ndarray, reference: np.ndarray, controls: Sequence[np.ndarray]) -> float | None:
    """The score of the module's text for arrays of one shape; None where no control differs from the reference."""

    def distance(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.sqrt(np.mean((a - b) ** 2)))

    scores = [
        (distance(seen, control) - distance(seen, reference)) / apart
        for control in controls
        if (apart := distance(control, reference)) > _ALIKE
    ]
    return float(np.mean(scores)) if scores else None


def backdrop(shot: Shown, height: int, width: int) -> np.ndarray:
    """What stands behind the people of a reference, 0 to 1, [height, width, 3]."""
    picture = pictures_at(replace(shot.scene, talk=None), np.array([shot.time]), height, width)[0]
    return picture * np.array(shot.gains) / 255


def pose(shot: Shown, height: int, width: int) -> np.ndarray:
    """Column, row and half width of the face in shorter picture sides, [3]."""
    assert shot.scene.talk is not None
    character, view = shot.scene.talk.characters[0], view_at(shot.scene, shot.time, height, width)
    size = view.scale * character.size
    beside, below = (float(value[0]) for value in mouth_place(character, np.array([shot.time])))
    column, row = view.column(character.x) + beside * size, view.row(character.y) + (below - MOUTH_Y) * size
    return np.array([column, row, size]) / min(height, width)


def head(picture: np.ndarray, column: float, row: float, size: float) -> np.ndarray:
    """A small picture of the head about (column, row), half of whose width is `size` pixels, 0 to 1, [12, 12, 3]."""
    rows = np.clip(np.round(row + np.linspace(-1.3, 1.2, _HEAD) * size), 0, picture.shape[0] - 1).astype(int)
    columns = np.clip(np.round(column + np.linspace(-1.1, 1.1, _HEAD) * size), 0, picture.shape[1] - 1).astype(int)
    return picture[rows][:, columns] / 255


def copy_paste_metrics() -> list[ItemMetric]:
    """Fresh instances; samples need the `refs` of a `ReferenceItem` and pictures."""
    tracks = once_per_sample(_tracks)

    def background(sample: Sample) -> Outcome:
        frames, reference, controls = _material(sample)
        height, width = frames.shape[1:3]
        looks = frames[np.unique(np.linspace(0, len(frames) - 1, _LOOKS).round().astype(int))]
        seen = np.median(looks, axis=0) / 255
        free = (covering(reference, height, width) < 0.05) & ~_people(tracks(sample), height, width)
        if free.mean() < _LEAST_SEEN:
            return Undefined("too little of the background is seen")
        behind = [backdrop(shot, height, width)[free] for shot in (reference, *controls)]
        return _record(copied(seen[free], behind[0], behind[1:]))

    def placed(sample: Sample) -> Outcome:
        frames, reference, controls = _material(sample)
        found = tracks(sample)
        if len(found) != 1:
            return Undefined("not one face is seen")
        height, width = frames.shape[1:3]
        poses = [pose(shot, height, width) for shot in (reference, *controls)]
        return _record(copied(_mean_pose(found[0]) / min(height, width), poses[0], poses[1:]))

    def alike(sample: Sample) -> Outcome:
        frames, reference, controls = _material(sample)
        found = tracks(sample)
        if len(found) != 1:
            return Undefined("not one face is seen")
        height, width = frames.shape[1:3]
        column, row, size = (values[len(frames) // 2] for values in (found[0].columns, found[0].rows, found[0].sizes))
        seen = head(frames[len(frames) // 2], float(column), float(row), float(size))
        heads = [
            head(still(shot, height, width), *(pose(shot, height, width) * min(height, width)))
            for shot in (reference, *controls)
        ]
        return _record(copied(seen, heads[0], heads[1:]))

    needs = ("pictures", "ref:reference", "ref:controls")
    return [
        ItemMetric("copied_background", background, requires=needs, direction="lower", version="2"),
        ItemMetric("copied_pose", placed, requires=needs, direction="lower", version="2"),
        ItemMetric("kept_identity", alike, requires=needs, direction="higher", version="2"),
    ]


def _record(score: float | None) -> Outcome:
    return Undefined("no control differs from the reference") if score is None else [score, 1.0]


def _material(sample: Sample) -> tuple[np.ndarray, Shown, Sequence[Shown]]:
    assert sample.clip is not None
    assert sample.clip.frames is not None
    return sample.clip.frames, sample.refs["reference"], sample.refs["controls"]


def _tracks(sample: Sample) -> list[FaceTrack]:
    """The faces of a clip; where none is sharp enough, the place that looks most like one over the whole clip."""
    frames = _material(sample)[0]
    tracks = face_tracks(frames)
    likeliest = None if tracks else likeliest_face(frames, thresholds().faces)
    if likeliest is None:
        return tracks
    columns, rows, sizes = (np.full(len(frames), at) for at in (likeliest.column, likeliest.row, likeliest.size))
    return [FaceTrack(columns, rows, sizes, likeliest.score)]


def _mean_pose(track: FaceTrack) -> np.ndarray:
    return np.array([track.columns.mean(), track.rows.mean(), track.sizes.mean()])


def _people(tracks: Sequence[FaceTrack], height: int, width: int) -> np.ndarray:
    """Where somebody may be in any of the pictures: from above the head downwards, as broad as shoulders. [H, W]"""
    rows, columns = np.arange(height)[:, None], np.arange(width)[None]
    there = np.zeros((height, width), dtype=bool)
    for track in tracks:
        reach = _BODY * float(track.sizes.max())
        beside = (columns > track.columns.min() - reach) & (columns < track.columns.max() + reach)
        there |= beside & (rows > track.rows.min() - reach)
    return there
