"""A music bed against sounds made of tones, and against the world's, which have none."""

import numpy as np
import pytest

from vivace.perception.music import tonal_share
from vivace.timeline import Timeline
from vivace.world import render_audio, sample_scene

RATE = 16000
TIME = np.arange(3 * RATE) / RATE
CHORD = 0.1 * sum(np.sin(2 * np.pi * hertz * TIME) for hertz in (220.0, 277.2, 329.6))


def melody() -> np.ndarray:
    """Half-second notes of three harmonics that die away slowly."""
    time = TIME[: RATE // 2]
    notes = [
        sum(np.sin(2 * np.pi * hertz * k * time) / k for k in (1, 2, 3)) * np.exp(-time / 1.25)
        for hertz in (262.0, 330.0, 392.0, 523.0, 440.0, 349.0)
    ]
    return 0.1 * np.concatenate(notes)


def noise(level: float) -> np.ndarray:
    return np.random.default_rng(0).normal(0, level, len(TIME))


def test_chords_and_melodies_are_music() -> None:
    assert tonal_share(CHORD, RATE) > 0.95
    assert tonal_share(CHORD + noise(0.02), RATE) > 0.95
    assert tonal_share(melody(), RATE) > 0.6


def test_the_share_is_that_of_the_time() -> None:
    half = CHORD * (TIME < 1.5) + noise(1e-3)
    assert tonal_share(half, RATE) == pytest.approx(0.5, abs=0.1)


def test_noise_and_a_single_tone_are_none() -> None:
    assert tonal_share(noise(0.1), RATE) < 0.02
    assert tonal_share(0.1 * np.sin(2 * np.pi * 440 * TIME), RATE) == 0.0
    assert tonal_share(np.zeros((2, RATE)), RATE) == tonal_share(CHORD[:1000], RATE) == 0.0


@pytest.mark.parametrize("kind", ["ambience", "talk"])
def test_rain_and_speech_are_none(kind: str) -> None:
    for seed in range(2):
        sound = render_audio(sample_scene(seed, "val", kind=kind), Timeline(frames=73))
        assert tonal_share(sound, RATE) < 0.05
