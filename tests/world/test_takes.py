"""Characters that persist: who they are stays from take to take, everything else changes."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from vivace.errors import VivaceError
from vivace.perception.faces import faces_in
from vivace.perception.thresholds import thresholds
from vivace.timeline import Timeline
from vivace.world import Scene, caption, render_video, sample_scene, truth
from vivace.world.cast import Character
from vivace.world.characters import covered
from vivace.world.layout import View
from vivace.world.takes import (
    ACCESSORIES,
    TAKES,
    Likeness,
    Shown,
    covering,
    head_place,
    identity,
    likeness,
    preferred,
    reference_shots,
    still,
    take_scene,
)

PERSISTENT = ("person", "head", "skin", "hair", "style", "glasses", "beard", "voice", "accessory", "accent")
FREE = tuple(field.name for field in fields(Character) if field.name not in PERSISTENT)
SIZE = 64


def _character(scene: Scene) -> Character:
    assert scene.talk is not None
    assert len(scene.talk.characters) == 1
    return scene.talk.characters[0]


def test_a_character_stays_the_same_and_all_else_varies() -> None:
    for number in range(3):
        takes = [_character(take_scene(number, take, "val")) for take in range(6)]
        for name in PERSISTENT:
            assert {getattr(take, name) for take in takes} == {getattr(identity(number, "val"), name)}
        for name in FREE:
            assert len({getattr(take, name) for take in takes}) > 1, name
    scenes = [take_scene(0, take) for take in range(6)]
    assert len({scene.stage for scene in scenes}) == 6
    people = [identity(number, "train") for number in range(60)]
    assert {person.accessory for person in people} == set(ACCESSORIES)
    assert all(bool(person.accent) == bool(person.accessory) for person in people)
    assert len({person.voice for person in people}) == 60


def test_a_take_is_a_scene_like_any_other() -> None:
    scene = take_scene(2, 3, "val")
    assert scene == take_scene(2, 3, "val") == Scene.from_json(scene.to_json())
    assert scene.seed == 2 * TAKES + 3
    assert caption(scene, np.random.default_rng(0)).count("<S>") == len(scene.talk.lines)
    told = truth(scene, Timeline.covering(scene.seconds), SIZE, SIZE)
    assert told.talk is not None
    assert told.talk.speakers[0].character == _character(scene)


def test_scenes_without_persistent_characters_are_written_and_drawn_as_before() -> None:
    scene = sample_scene(4, kind="talk")
    for name in ("accessory", "pattern", "turn", "light"):
        assert f'"{name}"' not in scene.to_json().split('"characters"')[1]
    plain = _with(scene, turn=0.0, light=0.0)
    assert np.array_equal(render_video(plain, Timeline(1), SIZE, SIZE), render_video(scene, Timeline(1), SIZE, SIZE))


def _with(scene: Scene, **changes: object) -> Scene:
    assert scene.talk is not None
    people = tuple(replace(character, **changes) for character in scene.talk.characters)
    return replace(scene, talk=replace(scene.talk, characters=people))


@pytest.mark.parametrize(
    "changes",
    [
        {"turn": 1.0},
        {"light": -1.0},
        {"pattern": "striped"},
        {"pattern": "collared"},
        *({"accessory": name, "accent": "green"} for name in ("cap", "headband", "earrings")),
    ],
)
def test_every_variation_is_seen(changes: dict[str, object]) -> None:
    scene = _with(take_scene(1, 0), turn=0.0, light=0.0, pattern="", accessory="", accent="")
    plain, changed = (render_video(one, Timeline(1), 96, 96)[0].astype(int) for one in (scene, _with(scene, **changes)))
    cover = covering(Shown(_with(scene, **changes), 0.0), 96, 96)
    different = np.abs(plain - changed).max(axis=-1) > 12
    assert different.sum() > 6
    assert cover[different].min() > 0.02


def test_light_falls_on_its_own_side_and_the_turned_face_is_where_the_truth_says() -> None:
    scene = _with(take_scene(1, 0), x=0.0, turn=0.0, pattern="", light=0.0)
    shot = Shown(scene, 0.0)
    lit = still(Shown(_with(scene, light=1.0), 0.0), 96, 96).astype(int) - still(shot, 96, 96)
    cover = covering(shot, 96, 96) > 0.99
    sides = np.arange(96)[None] > head_place(shot, 96, 96)[0]
    assert lit[cover & sides].mean() > 2 > -2 > lit[cover & ~sides].mean()
    mouths = [truth(_with(scene, turn=turn), Timeline(1), 96, 96).talk.speakers[0].mouth[0] for turn in (-1.0, 1.0)]
    assert mouths[0][0] < mouths[1][0]
    assert mouths[0][1] == mouths[1][1]


def test_faces_of_takes_are_found_by_eye() -> None:
    found = []
    for number in range(12):
        shot = Shown(take_scene(number, 1, "val"), 0.3)
        faces = faces_in(still(shot, 128, 128), thresholds().faces)
        column, row, size = head_place(shot, 128, 128)
        found.append(len(faces) == 1 and np.hypot(faces[0].column - column, faces[0].row - row) < 0.6 * size)
    assert sum(found) >= 10


def test_cover_is_one_inside_and_nothing_outside() -> None:
    shot = Shown(take_scene(0, 0), 0.2)
    cover = covering(shot, SIZE, SIZE)
    column, row, _ = head_place(shot, SIZE, SIZE)
    assert cover[int(row), int(column)] > 0.99
    assert cover[0].max() == 0
    assert covered((), np.zeros(1), [View(SIZE, SIZE)]).max() == 0


def test_references_of_another_take_show_the_same_character_elsewhere() -> None:
    for number in range(4):
        own = take_scene(number, 2)
        for shot in reference_shots(number, 2, "train", own.seconds, "cross", 2, SIZE, SIZE):
            assert shot.scene.seed != own.seed
            assert shot.scene.seed // TAKES == number
            assert shot.scene.stage != own.stage


def test_references_of_the_same_take_are_itself_or_itself_perturbed() -> None:
    own = take_scene(0, 2)
    (same,) = reference_shots(0, 2, "train", own.seconds, "same", 1, SIZE, SIZE)
    assert same.scene == own
    (shot,) = reference_shots(0, 2, "train", own.seconds, "perturbed", 1, SIZE, SIZE)
    before, after = _character(own), _character(shot.scene)
    assert shot.scene.stage != own.stage
    assert (before.clothes, before.pattern, before.voice) == (after.clothes, after.pattern, after.voice)
    assert (before.x, before.turn) != (after.x, after.turn)
    assert shot.gains != (1.0, 1.0, 1.0)
    plain, tinted = (
        still(one, SIZE, SIZE).astype(float).mean((0, 1)) for one in (shot._replace(gains=(1, 1, 1)), shot)
    )
    assert tinted == pytest.approx(np.minimum(plain * shot.gains, 255), rel=0.03)


def test_the_rule_prefers_likeness_near_to_nine_tenths_and_no_copies() -> None:
    found = [Likeness(0.9, 0.999), Likeness(0.5, 0.92), Likeness(0.2, 0.90), Likeness(0.9, 0.6), Likeness(0.4, 0.8)]
    assert preferred(found) == [1, 0, 4]
    assert preferred([Likeness(0.1, 0.9), Likeness(0.3, 0.2)]) == [1]


def test_likeness_tells_a_copy_and_somebody_else() -> None:
    one = Shown(take_scene(0, 0), 0.2)
    assert likeness(one, one, SIZE, SIZE) == pytest.approx((1.0, 1.0))
    own = np.mean([likeness(one, Shown(take_scene(0, k), 0.2), SIZE, SIZE).face for k in range(1, 6)])
    other = np.mean([likeness(one, Shown(take_scene(k, 0), 0.2), SIZE, SIZE).face for k in range(1, 9)])
    assert own > other + 0.1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [((0, TAKES), "take 16"), ((-1, 0), "number from 0"), ((0, 0, "best"), "split 'best'"), ((0, 0.5), "take 0.5")],
)
def test_bad_takes_are_refused(arguments: tuple[object, ...], complaint: str) -> None:
    with pytest.raises(VivaceError, match=complaint):
        take_scene(*arguments)  # type: ignore[arg-type]
