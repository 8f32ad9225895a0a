"""Ambient sounds are told apart whatever their loudness and rate; other sounds are none of them."""

import numpy as np
import pytest
from scipy.signal import resample_poly

from vivace.perception.ambience import ambience_features, heard_ambience
from vivace.timeline import Timeline
from vivace.world import render_audio, sample_scene

TIMELINE = Timeline(frames=49)


def test_true_clips() -> None:
    for seed in range(32):
        scene = sample_scene(seed, "val", kind="ambience")
        assert scene.ambience is not None
        assert heard_ambience(render_audio(scene, TIMELINE), 16000).name == scene.ambience.sound


def test_loudness_does_not_count_and_the_rate_hardly() -> None:
    scene = sample_scene(3, "val", kind="ambience")
    sound = render_audio(scene, TIMELINE)
    assert np.allclose(ambience_features(sound, 16000), ambience_features(0.1 * sound, 16000), atol=1e-3)
    faster = resample_poly(sound, 3, 1, axis=1)
    assert heard_ambience(faster, 48000).name == heard_ambience(sound, 16000).name


@pytest.mark.parametrize("kind", [None, "talk", "silent", "shots"])
def test_other_sounds_are_none(kind: str | None) -> None:
    for seed in range(8):
        assert heard_ambience(render_audio(sample_scene(seed, "val", kind=kind), TIMELINE), 16000).name is None


def test_a_tone_and_silence_are_none() -> None:
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(32000) / 16000)
    assert heard_ambience(tone, 16000).name is None
    assert heard_ambience(np.zeros((2, 32000)), 16000).name is None
