"""Motion: contact times are exact, and a contact is the lowest point of what is seen."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from vivace.timeline import Timeline
from vivace.world import KINDS, sample_scene, truth
from vivace.world.layout import mallet_path
from vivace.world.physics import GRAVITY, REST_SPEED, ball_motion, contact_times, contacts, swing


def balls(count: int = 40) -> list:
    return [ball for seed in range(count) for ball in sample_scene(seed, kind="impacts").balls]


def test_first_contact_is_that_of_free_fall() -> None:
    for ball in balls():
        (time, _, impact), *_ = contacts(ball, 10.0)
        assert ball.height + ball.speed_up * time - GRAVITY / 2 * time**2 == pytest.approx(0, abs=1e-9)
        # Energy is conserved until the contact.
        assert impact**2 / 2 == pytest.approx(ball.speed_up**2 / 2 + GRAVITY * ball.height)


def test_rebounds_follow_the_restitution_and_end_in_rest() -> None:
    for ball in balls():
        met = contacts(ball, 60.0)
        for (start, _, before), (end, _, after) in pairwise(met):
            assert after == pytest.approx(before * ball.restitution)
            assert end - start == pytest.approx(2 * after / GRAVITY)
            assert after >= REST_SPEED
        assert met[-1][2] * ball.restitution < REST_SPEED
        times = contact_times(ball.height, ball.speed_up, ball.restitution, 60.0)
        assert times == pytest.approx([time for time, _, _ in met])
        assert np.all(ball_motion(ball, np.array([0.0, met[-1][0] + 1, 60.0])).height[1:] == 0)


def test_contact_is_the_lowest_point_of_the_ball() -> None:
    for ball in balls(12):
        for time, x, _ in contacts(ball, 2.0):
            around = np.concatenate([[0.0], time + np.linspace(-0.02, 0.02, 41)])
            motion = ball_motion(ball, around)
            middle = motion.height[1:] + ball.radius * (1 - motion.squash[1:])
            assert motion.height[1:].min() == pytest.approx(0, abs=1e-9)
            assert around[1 + middle.argmin()] == pytest.approx(time, abs=1.1e-3)
            assert motion.x[21] == pytest.approx(x, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_stroke_is_the_lowest_point_of_the_mallet(kind: str) -> None:
    for seed in range(8):
        scene = sample_scene(seed, kind=kind)
        for stroke in scene.strokes:
            around = stroke.time + np.linspace(-0.05, 0.05, 101)
            height = mallet_path(scene, around).head_y
            assert around[height.argmax()] == pytest.approx(stroke.time, abs=1e-6)
            assert height.max() - height[[0, -1]].max() > 0.03


def test_mallet_touches_only_at_the_strokes() -> None:
    scene = sample_scene(5, kind="woodblock", seconds=4.0)
    times = np.arange(0, 4, 0.001)
    angle = swing(scene.strokes, times)
    away = np.min(np.abs(times[:, None] - np.array([stroke.time for stroke in scene.strokes])), axis=1)
    assert np.all(angle >= 0)
    assert np.all(angle[away > 0.01] > 0.01)
    assert np.abs(np.diff(angle)).max() < 0.012  # no jumps


def test_balls_stay_in_the_picture_and_apart() -> None:
    for seed in range(120):
        scene = sample_scene(seed, kind="impacts")
        times = np.linspace(0, scene.seconds, 60)
        motions = [ball_motion(ball, times) for ball in scene.balls]
        for ball, motion in zip(scene.balls, motions, strict=True):
            assert np.abs(motion.x).max() + 2 * ball.radius <= 1
            assert (ball.lane - motion.height - 2 * ball.radius).min() > 0
        if len(motions) == 2:
            apart = np.abs(motions[0].x - motions[1].x).min()
            assert apart > 2 * (scene.balls[0].radius + scene.balls[1].radius)


@pytest.mark.parametrize("kind", KINDS)
def test_events_do_not_depend_on_rate_or_size(kind: str) -> None:
    scene = sample_scene(2, kind=kind)
    found = [
        truth(scene, Timeline(frames=frames, fps=fps), *size).events
        for frames, fps, size in ((49, 24, (128, 128)), (61, 30, (96, 170)), (105, 50, (256, 144)))
    ]
    for events in found[1:]:
        for one, other in zip(found[0], events, strict=False):
            assert replace(one, x=0, y=0) == replace(other, x=0, y=0)
            assert one.x == pytest.approx(other.x)
