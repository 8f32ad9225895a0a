"""Cuts: found to the picture, not where things or the camera merely move, also when smeared or noisy."""

import numpy as np
import pytest

from vivace.media import Clip
from vivace.perception.cuts import detect_cuts, mean_colours, split_at
from vivace.timeline import Timeline
from vivace.world import render_audio, render_video, sample_scene, truth

TIMELINE = Timeline(frames=49)


def shots(seed: int, height: int = 64, width: int = 64) -> tuple[np.ndarray, tuple[float, ...]]:
    scene = sample_scene(seed, "val", kind="shots")
    return render_video(scene, TIMELINE, height, width), truth(scene, TIMELINE, height, width).cuts


def test_cuts_are_found_to_the_picture() -> None:
    for seed in range(8):
        frames, cuts = shots(seed)
        assert detect_cuts(frames, 24) == pytest.approx(cuts)


@pytest.mark.parametrize("size", [(48, 96), (96, 48), (50, 50)])
def test_at_every_size(size: tuple[int, int]) -> None:
    frames, cuts = shots(2, *size)
    assert detect_cuts(frames, 24) == pytest.approx(cuts)


def test_a_cut_smeared_over_three_pictures_is_one_cut() -> None:
    frames, cuts = shots(1)
    smeared = np.stack([frames[max(0, n - 2) : n + 1].mean(axis=0) for n in range(len(frames))]).astype(np.uint8)
    found = detect_cuts(smeared, 24)
    assert len(found) == len(cuts)
    assert np.abs(np.array(found) - cuts).max() <= 2.01 / 24


def test_noise_hides_none() -> None:
    frames, cuts = shots(3)
    noisy = frames + np.random.default_rng(0).normal(0, 12, frames.shape)
    assert detect_cuts(np.clip(noisy, 0, 255).astype(np.uint8), 24) == pytest.approx(cuts)


@pytest.mark.parametrize("kind", [None, "ambience", "vehicle", "silent", "talk"])
def test_other_clips_have_none(kind: str | None) -> None:
    for seed in range(5):
        assert detect_cuts(render_video(sample_scene(seed, "val", kind=kind), TIMELINE, 64, 64), 24) == []


def test_one_picture_has_none() -> None:
    assert detect_cuts(np.zeros((1, 32, 32, 3), dtype=np.uint8), 24) == []


def test_split_parts_make_up_the_clip() -> None:
    scene = sample_scene(4, "val", kind="shots")
    clip = Clip(render_video(scene, TIMELINE, 32, 32), TIMELINE.fps, render_audio(scene, TIMELINE), 16000)
    cuts = list(truth(scene, TIMELINE, 32, 32).cuts)
    parts = split_at(clip, cuts)
    assert len(parts) == len(cuts) + 1
    assert np.array_equal(np.concatenate([part.frames for part in parts]), clip.frames)
    assert np.array_equal(np.concatenate([part.audio for part in parts], axis=1), clip.audio)
    assert len(parts[0].frames) == round(cuts[0] * 24)


def test_mean_colours_are_those_of_each_picture_alone() -> None:
    frames = np.random.default_rng(0).integers(0, 255, (37, 30, 50, 3), dtype=np.uint8)
    grid = mean_colours(frames, 5)
    assert grid == pytest.approx(frames.reshape(37, 5, 6, 5, 10, 3).mean(axis=(2, 4)), abs=1e-3)
    assert np.array_equal(grid, np.concatenate([mean_colours(frames[n : n + 1], 5) for n in range(37)]))
