"""Pictures: every size and rate shows the same scene, and colours keep their hue."""

import colorsys

import numpy as np
import pytest

from vivace.errors import VivaceError
from vivace.timeline import Timeline
from vivace.world import COLOURS, KINDS, render_video, sample_scene, truth
from vivace.world.instruments import draw_instrument
from vivace.world.layout import View


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(96, 96), (72, 128), (128, 72), (64, 48)])
def test_shape(kind: str, size: tuple[int, int]) -> None:
    video = render_video(sample_scene(1, kind=kind), Timeline(frames=5), *size)
    assert video.shape == (5, *size, 3)
    assert video.dtype == np.uint8


def test_an_instant_looks_the_same_at_every_rate() -> None:
    for seed in range(6):
        scene = sample_scene(seed)
        slow, fast = (render_video(scene, Timeline(frames=n, fps=fps), 64, 64) for n, fps in ((25, 12), (49, 24)))
        # The instrument at rest comes from a picture kept; it must be the one that would be drawn.
        assert np.abs(slow.astype(int) - fast[::2].astype(int)).max() <= 2


def test_a_larger_picture_is_the_same_scene() -> None:
    for seed in range(6):
        scene = sample_scene(seed)
        small = render_video(scene, Timeline(frames=1), 64, 64).astype(float)
        large = render_video(scene, Timeline(frames=1), 128, 128).astype(float)
        halved = large.reshape(1, 64, 2, 64, 2, 3).mean(axis=(2, 4))
        assert np.abs(small - halved).mean() < 2.5


@pytest.mark.parametrize("material", ["rubber", "metal", "glass", "wood", "stone"])
def test_balls_keep_the_hue_of_their_colour(material: str) -> None:
    seen = set()
    for seed in range(160):
        scene = sample_scene(seed, "test", kind="impacts")
        ball = scene.balls[0]
        if len(scene.balls) > 1 or ball.material != material or scene.camera.move != "still" or ball.colour in seen:
            continue
        seen.add(ball.colour)
        video = render_video(scene, Timeline(frames=1), 128, 128)
        x, y = truth(scene, Timeline(frames=1), 128, 128).objects[0].path[0]
        column, row, half = round((x + 1) * 64), round((y + 1) * 64), max(2, round(0.5 * ball.radius * 128))
        patch = video[0, row - half : row + half, column - half : column + half].reshape(-1, 3)
        hue = colorsys.rgb_to_hsv(*(np.median(patch, axis=0) / 255))[0]
        wanted = colorsys.rgb_to_hsv(*(np.array(COLOURS[ball.colour]) / 255))[0]
        assert abs((hue - wanted + 0.5) % 1 - 0.5) < 0.025, (ball.colour, material)
    assert len(seen) >= 4


def test_paths_point_at_the_objects() -> None:
    for seed in range(30):
        scene = sample_scene(seed, kind="impacts")
        if len(scene.balls) > 1:
            continue
        timeline = Timeline(frames=9, fps=12)
        video = render_video(scene, timeline, 96, 160).astype(float)
        saturation = 1 - video.min(axis=3) / video.max(axis=3)
        for n, (x, y) in enumerate(truth(scene, timeline, 96, 160).objects[0].path):
            rows, columns = np.nonzero(saturation[n] > 0.5)
            assert (columns.min() + columns.max() + 1) / 2 == pytest.approx((x + 1) * 80, abs=1.5)
            assert (rows.min() + rows.max() + 1) / 2 == pytest.approx((y + 1) * 48, abs=1.5)


def test_only_a_moving_camera_moves_the_background() -> None:
    still_seen = moved_seen = 0
    for seed in range(40):
        scene = sample_scene(seed)
        video = render_video(scene, Timeline(frames=5, fps=3), 64, 64).astype(int)
        corner = np.abs(np.diff(video[:, 44:52, :4], axis=0)).max()
        if scene.camera.move == "still":
            still_seen += 1
            assert np.abs(np.diff(video[:, :4, :1], axis=0)).max() == 0 or scene.instrument
        else:
            moved_seen += int(corner > 0)
    assert still_seen
    assert moved_seen


@pytest.mark.parametrize("kind", KINDS[1:])
def test_instruments_answer_a_stroke_and_come_to_rest(kind: str) -> None:
    scene = sample_scene(9, kind=kind)
    pictures = []
    for seconds in (np.inf, 0.02, 3.0):
        pictures.append(np.full((96, 96, 3), 200, dtype=np.uint8))
        draw_instrument(pictures[-1], scene, np.full(len(scene.strokes), seconds), View(96, 96))
    resting, struck, later = (picture.astype(int) for picture in pictures)
    assert np.abs(struck - resting).max() > 30
    assert np.abs(later - resting).max() <= 2


@pytest.mark.parametrize("size", [(0, 64), (64, -1), (64, 1.5), (64, 10**6)])
def test_bad_sizes_are_refused(size: tuple) -> None:
    with pytest.raises(VivaceError, match=r"give a whole number"):
        render_video(sample_scene(0), Timeline(frames=1), *size)
