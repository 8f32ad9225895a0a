"""Copy-paste bias on constructed clips: copies, the character elsewhere, and half of each."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from vivace.evaluation.copy_paste import (
    ReferenceItem,
    backdrop,
    copied,
    copy_paste_metrics,
    pose,
    reference_items,
    with_one_face,
)
from vivace.evaluation.metric import ItemMetric, Result, Sample
from vivace.media import Clip
from vivace.perception.faces import face_tracks
from vivace.timeline import Timeline
from vivace.world import Scene, render_video
from vivace.world.takes import Shown, covering, take_scene

SIZE = 96
ITEMS = reference_items("val", 8, height=SIZE, width=SIZE)
NAMES = ("copied_background", "copied_pose", "kept_identity")


def _scores(clips: list[np.ndarray], items: list[ReferenceItem] = ITEMS) -> dict[str, Result]:
    metrics = copy_paste_metrics()
    for item, frames in zip(items, clips, strict=True):
        sample = Sample(item.id, Clip(frames, Fraction(24), None, 16000), item.prompt, refs=item.refs())
        for metric in metrics:
            metric.update(sample)
    assert [metric.name for metric in metrics] == list(NAMES)
    return {metric.name: metric.compute() for metric in metrics}


def _frames(scene: Scene) -> np.ndarray:
    return render_video(scene, Timeline(5), SIZE, SIZE)


def _before(scene: Scene, behind: Scene) -> Scene:
    """The talk of one scene before the background of another, whose camera it has."""
    assert scene.talk is not None
    assert behind.talk is not None
    light = behind.stage.light
    people = tuple(replace(character, light=light) for character in scene.talk.characters)
    return replace(scene, stage=behind.stage, camera=behind.camera, talk=replace(scene.talk, characters=people))


def test_a_pasted_reference_is_a_copy_of_background_pose_and_identity() -> None:
    found = _scores([np.repeat(item.picture()[None], 5, axis=0) for item in ITEMS])
    # Where the face is, and so which part is its head, is only found to a few pixels.
    for name, least in zip(NAMES, (0.9, 0.85, 0.7), strict=True):
        assert found[name].value > least
        assert found[name].n >= 6


def test_what_is_too_blurred_for_a_face_to_be_found_is_judged_all_the_same() -> None:
    pasted = [np.repeat(gaussian_filter(item.picture(), (1.8, 1.8, 0))[None], 5, axis=0) for item in ITEMS]
    assert sum(len(face_tracks(frames)) == 1 for frames in pasted) < 6
    found = _scores(pasted)
    for name, least in zip(NAMES, (0.8, 0.7, 0.4), strict=True):
        assert found[name].value > least
        assert found[name].n >= 6


def test_the_true_takes_keep_the_identity_and_copy_nothing() -> None:
    found = _scores([_frames(take_scene(n, 0, "val", ITEMS[n].seconds)) for n in range(len(ITEMS))])
    for name in ("copied_background", "copied_pose"):
        assert abs(found[name].value) < 0.45
        assert found[name].ci_low < 0 < found[name].ci_high
    assert found["kept_identity"].ci_low > 0.1


def test_background_and_pose_are_told_apart() -> None:
    """The right pose before the reference's background, and the reference's pose before the right background."""
    own = [take_scene(n, 0, "val", item.seconds) for n, item in enumerate(ITEMS)]
    shown = [item.reference.scene for item in ITEMS]
    behind = _scores([_frames(_before(scene, other)) for scene, other in zip(own, shown, strict=True)])
    before = _scores([_frames(_before(other, scene)) for scene, other in zip(own, shown, strict=True)])
    assert behind["copied_background"].value > 0.85 > 0.6 > behind["copied_pose"].value
    assert before["copied_pose"].value > 0.75 > 0.6 > before["copied_background"].value


def test_somebody_else_is_not_kept() -> None:
    found = _scores([_frames(take_scene(n + 1, 1 + n % 15, "val", item.seconds)) for n, item in enumerate(ITEMS)])
    assert found["kept_identity"].value < 0


def test_the_score_is_bounded_symmetric_and_halfway_in_the_middle() -> None:
    rng = np.random.default_rng(0)
    reference, control, other = rng.standard_normal((3, 40))
    assert copied(reference, reference, [control]) == pytest.approx(1)
    assert copied(control, reference, [control]) == pytest.approx(-1)
    assert copied((reference + control) / 2, reference, [control]) == pytest.approx(0)
    assert copied(0.75 * reference + 0.25 * control, reference, [control]) == pytest.approx(0.5)
    assert copied(other, reference, [control]) == pytest.approx(-copied(other, control, [reference]))
    assert copied(other, reference, [reference]) is None
    scores = [copied(*rng.standard_normal((2, 40)), [rng.standard_normal(40)]) for _ in range(300)]
    assert abs(np.mean(scores)) < 0.05
    assert np.abs(scores).max() <= 1


def test_the_truth_about_a_reference_is_without_its_people() -> None:
    shot = Shown(take_scene(0, 1), 0.3)
    behind, cover = backdrop(shot, SIZE, SIZE), covering(shot, SIZE, SIZE)
    seen = render_video(shot.scene, Timeline(9), SIZE, SIZE)[0] / 255
    assert np.abs(behind - seen)[cover < 0.01].max() < 0.01
    assert np.abs(behind - seen)[cover > 0.99].mean() > 0.05
    left, right = (
        pose(Shown(replace(shot.scene, talk=replace(shot.scene.talk, characters=(moved,))), 0.3), SIZE, SIZE)
        for moved in (replace(shot.scene.talk.characters[0], x=x) for x in (-0.3, 0.3))
    )
    assert right[0] - left[0] == pytest.approx(0.3)
    assert (left[1:] == right[1:]).all()


def test_items_have_references_and_controls_of_others() -> None:
    for number, item in enumerate(ITEMS):
        people = {shot.scene.talk.characters[0].voice for shot in item.controls}
        own = item.reference.scene.talk.characters[0].voice
        assert own == take_scene(number, 0, "val").talk.characters[0].voice
        assert own not in people
        assert "<S>" in item.prompt
    assert reference_items("val", 2, height=SIZE, width=SIZE) == ITEMS[:2]


def test_a_reference_without_a_face_is_left_out() -> None:
    items = reference_items("val", 3)
    empty = replace(items[1], reference=Shown(replace(items[1].reference.scene, talk=None), 0.3))
    assert with_one_face(items) == items
    assert with_one_face([items[0], empty, items[2]]) == [items[0], items[2]]


def test_what_cannot_be_told_is_undefined() -> None:
    blank = [np.full((5, SIZE, SIZE, 3), 120, dtype=np.uint8) for _ in ITEMS]
    found = _scores(blank)
    assert found["copied_pose"].value is None
    assert found["copied_pose"].reasons == {"not one face is seen": len(ITEMS)}
    metric: ItemMetric = copy_paste_metrics()[0]
    assert metric.update(Sample("x", Clip(blank[0], Fraction(24), None, 16000))) == {
        "undefined": "no controls is given"
    }
