"""Scenes: the same seed gives the same scene, and a scene survives JSON."""

import json

import numpy as np
import pytest

from vivace.errors import VivaceError
from vivace.timeline import Timeline
from vivace.world import KINDS, Scene, render_audio, render_video, sample_scene, truth
from vivace.world.palette import WALLS, are_neighbours
from vivace.world.rhythm import SHORTEST_GAP
from vivace.world.sample import _throw_clear_of


@pytest.mark.parametrize("kind", KINDS)
def test_seed_decides_everything(kind: str) -> None:
    timeline = Timeline(frames=9)
    first, second = (sample_scene(3, "val", kind=kind) for _ in range(2))
    assert first == second
    assert np.array_equal(render_video(first, timeline, 48, 64), render_video(second, timeline, 48, 64))
    assert np.array_equal(render_audio(first, timeline), render_audio(second, timeline))
    assert sample_scene(4, "val", kind=kind) != first


def test_json_round_trip() -> None:
    for seed in range(40):
        scene = sample_scene(seed, "test", seconds=[None, 4.0][seed % 2])
        assert Scene.from_json(scene.to_json()) == scene


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"world": 1}', '{"world": 99}', "not json"])
def test_foreign_json_is_refused(text: str) -> None:
    with pytest.raises(VivaceError):
        Scene.from_json(text)


def test_events_keep_their_distances() -> None:
    for seed in range(150):
        scene = sample_scene(seed, "test", seconds=[None, 1.2, 4.0][seed % 3])
        timeline = Timeline.covering(scene.seconds)
        events = truth(scene, timeline, 64, 64).events
        times = [event.time for event in events if event.time < scene.seconds]
        assert 1 <= len(times) <= 16
        assert times[0] >= 0.1
        assert times[-1] <= scene.seconds - 0.15
        least = SHORTEST_GAP if scene.instrument or len(scene.balls) == 1 else 0.1
        assert min(np.diff(times), default=1.0) >= least - 1e-3
        assert all(0 < event.strength <= 1 for event in events)


def test_variety_of_counts_colours_and_kinds() -> None:
    scenes = [sample_scene(seed) for seed in range(400)]
    assert {scene.kind for scene in scenes} == set(KINDS)
    assert {len(scene.balls) for scene in scenes} == {0, 1, 2}
    assert {len(scene.strokes) for scene in scenes if scene.strokes} == {1, 2, 3, 4, 5}
    assert {scene.stage.wall for scene in scenes} == set(WALLS)
    moving = sum(scene.camera.move != "still" for scene in scenes)
    assert 10 < moving < 60
    for scene in scenes:
        if len(scene.balls) == 2:
            assert not are_neighbours(scene.balls[0].colour, scene.balls[1].colour)


def test_long_scenes_hold_more() -> None:
    longest = max(len(sample_scene(seed, kind="drum", seconds=4.0).strokes) for seed in range(60))
    assert longest == 8


@pytest.mark.parametrize(
    "arguments",
    [
        {"seed": -1},
        {"seed": 1.5},
        {"seed": True},
        {"seed": 0, "split": "dev"},
        {"seed": 0, "kind": "piano"},
        {"seed": 0, "seconds": 0.0},
        {"seed": 0, "seconds": float("nan")},
        {"seed": 0, "seconds": 1e6},
        {"seed": 0, "split": "train", "unseen_combination": True},
    ],
)
def test_bad_requests_are_refused_in_one_sentence(arguments: dict) -> None:
    with pytest.raises(VivaceError) as caught:
        sample_scene(**arguments)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_truth_is_json() -> None:
    found = json.loads(truth(sample_scene(1, kind="xylophone"), Timeline(frames=5), 64, 64).to_json())
    assert {"events", "objects", "camera", "palette"} <= set(found)


def test_a_second_ball_without_room_for_its_contacts_is_left_out() -> None:
    counts = {len(sample_scene(seed, kind="impacts", seconds=0.8).balls) for seed in range(40)}
    assert counts == {1, 2}
    look = sample_scene(0, kind="impacts").balls[0]
    everywhere = [0.02 * step for step in range(100)]
    assert _throw_clear_of(np.random.default_rng(0), look, "wood", 2.0, 0, 0.02, everywhere) is None
