"""The split rule: disjoint streams, and combinations that training never shows."""

import numpy as np
import pytest

from vivace.world import COLOURS, FLOORS, INSTRUMENTS, is_unseen_combination, sample_scene
from vivace.world.splits import ball_is_held_out, count_is_held_out, generator, instrument_is_held_out


def test_training_never_shows_a_held_out_combination() -> None:
    for seed in range(300):
        scene = sample_scene(seed, "train", seconds=[None, 4.0][seed % 2])
        assert not is_unseen_combination(scene)
        for ball in scene.balls:
            assert not ball_is_held_out(ball.colour, scene.stage.floor)
        if scene.instrument:
            assert not instrument_is_held_out(scene.instrument.kind, scene.instrument.colour)
            assert not count_is_held_out(scene.instrument.kind, len(scene.strokes))


@pytest.mark.parametrize("split", ["val", "test"])
def test_other_splits_choose_inside_or_outside(split: str) -> None:
    for unseen in (True, False):
        scenes = [sample_scene(seed, split, unseen_combination=unseen) for seed in range(60)]
        assert all(is_unseen_combination(scene) == unseen for scene in scenes)
    either = [is_unseen_combination(sample_scene(seed, split)) for seed in range(200)]
    assert 0.1 < np.mean(either) < 0.5


def test_streams_are_disjoint() -> None:
    first = {split: [sample_scene(seed, split).to_json() for seed in range(40)] for split in ("train", "val", "test")}
    bodies = {split: {text.split('"kind"', 1)[1] for text in texts} for split, texts in first.items()}
    assert not bodies["train"] & bodies["val"]
    assert not bodies["train"] & bodies["test"]
    assert not bodies["val"] & bodies["test"]
    assert generator(0, "train").random() != generator(0, "test").random()


def test_about_a_sixth_of_each_table_is_held_out_and_nothing_is_lost() -> None:
    balls = np.array([[ball_is_held_out(colour, floor) for floor in FLOORS] for colour in COLOURS])
    played = np.array([[instrument_is_held_out(kind, colour) for colour in COLOURS] for kind in INSTRUMENTS])
    counts = np.array([[count_is_held_out(kind, n) for n in range(1, 9)] for kind in INSTRUMENTS])
    for table in (balls, played, counts):
        assert 0.1 < table.mean() < 0.2
        # Every row and every column is still seen somewhere in training.
        assert not table.all(axis=0).any()
        assert not table.all(axis=1).any()


def test_training_shows_every_attribute() -> None:
    scenes = [sample_scene(seed) for seed in range(500)]
    seen = {(ball.colour, scene.stage.floor) for scene in scenes for ball in scene.balls}
    allowed = {(c, f) for c in COLOURS for f in FLOORS if not ball_is_held_out(c, f)}
    assert seen == allowed
