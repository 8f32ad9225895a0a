"""Silence is the absence of anything that can be heard, not of any sample."""

import numpy as np
import pytest

from vivace.perception.silence import is_silent, loudest
from vivace.perception.thresholds import thresholds
from vivace.timeline import Timeline
from vivace.world import render_audio, sample_scene


def test_digital_silence_and_a_faint_hiss() -> None:
    assert is_silent(np.zeros((2, 16000)), 16000)
    assert loudest(np.zeros((2, 16000)), 16000) == -120
    hiss = np.random.default_rng(0).normal(0, 1e-3, (2, 16000))
    assert is_silent(hiss, 16000)
    assert loudest(hiss, 16000) == pytest.approx(-60, abs=1)


def test_one_short_sound_is_no_silence() -> None:
    sound = np.zeros((2, 32000))
    sound[1, 9000:9800] = 0.1 * np.sin(np.arange(800))
    assert not is_silent(sound, 16000)
    assert loudest(sound, 16000) == pytest.approx(-23, abs=0.3)


def test_the_level_does_not_depend_on_the_rate() -> None:
    times = np.arange(48000) / 48000
    sound = 0.2 * np.sin(2 * np.pi * 440 * times)
    assert loudest(sound, 48000) == pytest.approx(20 * np.log10(0.2 / np.sqrt(2)), abs=0.2)


@pytest.mark.parametrize("kind", [None, "ambience", "vehicle", "shots"])
def test_no_scene_that_sounds_is_silent(kind: str | None) -> None:
    for seed in range(10):
        sound = render_audio(sample_scene(seed, "val", kind=kind), Timeline(frames=49))
        assert loudest(sound, 16000) > thresholds().silence.level + 6


def test_no_samples_at_all_are_silent() -> None:
    assert is_silent(np.zeros((2, 0)), 16000)
