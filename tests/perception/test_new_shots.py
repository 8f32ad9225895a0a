"""New shots: a camera thrown about, or a light that flickers, begins none; a cut beside or between such shots does."""

from __future__ import annotations

import numpy as np
import pytest

from vivace.perception.cuts import detect_cuts
from vivace.perception.new_shots import begins_shot, colour_distance
from vivace.timeline import Timeline
from vivace.world import render_video, sample_scene

TIMELINE = Timeline(frames=49)


def shot(seed: int) -> np.ndarray:
    return render_video(sample_scene(seed, "val", kind="impacts"), TIMELINE, 32, 32)


def thrown(frames: np.ndarray, seed: int) -> np.ndarray:
    shifts = np.random.default_rng(seed).integers(-4, 5, size=(len(frames), 2))
    return np.stack([np.roll(frame, tuple(s), axis=(0, 1)) for frame, s in zip(frames, shifts, strict=True)])


def found(frames: np.ndarray) -> list[int]:
    places = [round(t * 24) for t in detect_cuts(frames, 24)]
    return [n for n in places if begins_shot(frames, n)]


def test_a_camera_thrown_about_begins_no_shot() -> None:
    changes = 0
    for seed in range(6):
        frames = thrown(shot(seed), seed)
        changes += len(detect_cuts(frames, 24))
        assert found(frames) == []
    assert changes > 5


def test_a_flickering_light_begins_no_shot() -> None:
    changes = 0
    for seed in range(6):
        frames = np.clip(shot(seed) * (1 + 0.25 * (-1.0) ** np.arange(49))[:, None, None, None], 0, 255)
        changes += len(detect_cuts(frames, 24))
        assert found(frames.astype(np.uint8)) == []
    assert changes > 0


@pytest.mark.parametrize("shaken", [(True, False), (False, True), (True, True), (False, False)])
def test_a_cut_beside_such_a_shot_is_one(shaken: tuple[bool, bool]) -> None:
    for seed in range(4):
        before, after = (thrown(shot(seed + k), seed) if shaken[k] else shot(seed + k) for k in (0, 1))
        # In a shaken shot the second picture may differ more from the first than this from the shot before.
        [place] = found(np.concatenate([before, after]))
        assert 48 <= place <= 50


def test_a_cut_near_the_end_or_into_the_same_colours_is_one() -> None:
    frames = shot(0)
    mirrored = np.concatenate([frames, frames[:, :, ::-1][:, ::-1]])
    assert colour_distance(mirrored[46:49], mirrored[49:52]) < 4
    assert found(mirrored) == [49]
    for length in (1, 3):
        assert found(np.concatenate([shot(1), shot(2)[:length]])) == [49]
        assert found(np.concatenate([shot(1)[:length], shot(2)])) == [length]


def test_colours_are_compared_wherever_they_are() -> None:
    frames = shot(3)
    assert colour_distance(frames[:2], np.roll(frames[:2], 7, axis=2)) == 0
    assert colour_distance(frames[:2], frames[:2] // 2) < 2
    assert colour_distance(frames[:2], 255 - frames[:2]) > 10
