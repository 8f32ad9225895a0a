"""The camera's move: its direction, and how far it goes; what moves in front of it does not count."""

from dataclasses import replace

import numpy as np
import pytest

from vivace.perception.camera import camera_motion
from vivace.timeline import Timeline
from vivace.world import CAMERA_MOVES, Camera, Scene, render_video, sample_scene

TIMELINE = Timeline(frames=49)


def shown(seed: int, kind: str, camera: Camera, size: tuple[int, int] = (64, 64)) -> np.ndarray:
    scene: Scene = replace(sample_scene(seed, "val", kind=kind), camera=camera)
    return render_video(scene, TIMELINE, *size)


@pytest.mark.parametrize("kind", ["impacts", "drum", "ambience"])
@pytest.mark.parametrize("move", CAMERA_MOVES)
def test_direction(kind: str, move: str) -> None:
    for seed in range(3):
        assert camera_motion(shown(seed, kind, Camera(move, 0.13))).move == move


def test_amounts() -> None:
    for seed in range(3):
        panned = camera_motion(shown(seed, "drum", Camera("pan right", 0.12)))
        # The middle goes from -amount to amount of half a width.
        assert panned.pan == pytest.approx(0.12, abs=0.025)
        zoomed = camera_motion(shown(seed, "drum", Camera("zoom in", 0.12)))
        assert zoomed.zoom == pytest.approx(np.log(1.12 / 0.88), abs=0.05)


@pytest.mark.parametrize("size", [(64, 112), (112, 64), (160, 160)])
def test_at_every_size(size: tuple[int, int]) -> None:
    assert camera_motion(shown(1, "bell", Camera("pan left", 0.13), size)).move == "pan left"
    assert camera_motion(shown(1, "bell", Camera(), size)).move == "still"


def test_reversed_pictures_move_the_other_way() -> None:
    frames = shown(2, "xylophone", Camera("zoom in", 0.12))
    assert camera_motion(frames[::-1]).move == "zoom out"


def test_one_picture_stands_still() -> None:
    assert camera_motion(np.zeros((1, 32, 32, 3), dtype=np.uint8)).move == "still"


def test_whatever_passes_does_not_move_the_camera() -> None:
    for seed in range(6):
        frames = render_video(sample_scene(seed, "val", kind="vehicle"), TIMELINE, 64, 64)
        assert camera_motion(frames).move == "still"
