"""A passing is found by ear and by eye, at the same moment; nothing else is taken for one."""

import numpy as np
import pytest

from vivace.perception.passing import passing_heard, passing_seen
from vivace.timeline import Timeline
from vivace.world import render_audio, render_video, sample_scene, truth

TIMELINE = Timeline(frames=49)


def test_true_clips_by_ear() -> None:
    for seed in range(8):
        scene = sample_scene(seed, "val", kind="vehicle")
        true = truth(scene, TIMELINE, 64, 64).passing
        heard = passing_heard(render_audio(scene, TIMELINE), 16000)
        assert true is not None
        assert heard is not None
        assert heard.direction == true.direction
        assert heard.time == pytest.approx(true.time, abs=0.006)
        assert heard.pitch_time is not None
        ratio = true.speed / 343
        assert heard.pitch_fall == pytest.approx(12 * np.log2((1 + ratio) / (1 - ratio)), abs=0.45)


def test_true_clips_by_eye() -> None:
    for seed in range(6):
        scene = sample_scene(seed, "val", kind="vehicle")
        true = truth(scene, TIMELINE, 96, 96)
        seen = passing_seen(render_video(scene, TIMELINE, 96, 96), 24)
        assert true.passing is not None
        assert seen is not None
        assert (seen.direction, seen.colour) == (true.passing.direction, true.objects[0].colour)
        assert seen.time == pytest.approx(true.passing.time, abs=0.012)


def test_mirrored_channels_and_pictures_pass_the_other_way() -> None:
    scene = sample_scene(1, "val", kind="vehicle")
    sound, frames = render_audio(scene, TIMELINE), render_video(scene, TIMELINE, 64, 64)
    one, other = passing_heard(sound, 16000), passing_heard(sound[::-1], 16000)
    assert one is not None
    assert other is not None
    assert one.direction != other.direction
    assert one.time == pytest.approx(other.time, abs=0.002)
    there, back = passing_seen(frames, 24), passing_seen(frames[:, :, ::-1], 24)
    assert there is not None
    assert back is not None
    assert there.direction != back.direction


def test_the_same_on_both_sides_passes_nowhere() -> None:
    sound = render_audio(sample_scene(1, "val", kind="vehicle"), TIMELINE)
    assert passing_heard(sound.mean(axis=0, keepdims=True), 16000) is None
    assert passing_heard(np.zeros((2, 32000)), 16000) is None


@pytest.mark.parametrize("kind", [None, "ambience", "talk", "silent"])
def test_other_clips_have_none(kind: str | None) -> None:
    for seed in range(6):
        scene = sample_scene(seed, "val", kind=kind)
        assert passing_heard(render_audio(scene, TIMELINE), 16000) is None
        assert passing_seen(render_video(scene, TIMELINE, 64, 64), 24) is None
