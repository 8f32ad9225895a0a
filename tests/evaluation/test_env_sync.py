"""Env-Sync on envelopes of known lag, and on true clips whose sound is moved."""

import numpy as np
import pytest

from vivace.evaluation.env_sync import env_sync, env_sync_metrics, from_correlations, lag_correlations
from vivace.evaluation.metric import Sample
from vivace.media import Clip
from vivace.timeline import Timeline
from vivace.world import render_audio, render_video, sample_scene

TIMELINE = Timeline(frames=73)


def bumps(times: list[float], count: int = 300) -> np.ndarray:
    grid = np.arange(count) * 0.01
    return sum(np.exp(-(((grid - time) / 0.03) ** 2)) for time in times)


@pytest.mark.parametrize("lag", [-30, 0, 25])
def test_a_known_lag_is_found(lag: int) -> None:
    times = [0.6, 1.3, 1.5, 2.2]
    found = from_correlations(lag_correlations(bumps(times), bumps([t + lag / 100 for t in times]), 100))
    assert found is not None
    assert found.offset == pytest.approx(lag / 100)
    assert found.distance == pytest.approx(0.0, abs=1e-6)
    assert found.confidence > 0.8


def test_plain_numbers() -> None:
    correlations = np.array([0.1, 0.2, np.nan, 0.8, 0.3])
    found = from_correlations(correlations, step=0.5)
    assert found is not None
    # Median of 0.1, 0.2, 0.3, 0.8 is 0.25; the highest is one step to the right of the middle.
    assert (found.confidence, found.distance, found.offset) == pytest.approx((0.55, 0.2, 0.5))
    assert from_correlations(np.full(5, np.nan)) is None
    assert np.isnan(lag_correlations(np.ones(200), bumps([1.0], 200), 10)).all()


def moved(clip: Clip, seconds: float) -> Clip:
    assert clip.audio is not None
    shift = round(seconds * clip.sample_rate)
    sound = np.pad(clip.audio, ((0, 0), (shift, 0)))[:, : clip.audio.shape[1]]
    return Clip(clip.frames, clip.fps, sound, clip.sample_rate)


def test_the_delay_of_a_bouncing_ball_is_recovered() -> None:
    changes = []
    for seed in (3, 8):
        scene = sample_scene(seed, "val", kind="impacts", seconds=3.0)
        clip = Clip(render_video(scene, TIMELINE, 64, 64), TIMELINE.fps, render_audio(scene, TIMELINE), 16000)
        found = [env_sync(moved(clip, delay)) for delay in (0.0, 0.2)]
        assert all(found)
        changes.append(found[1].offset - found[0].offset)
    assert changes == pytest.approx([0.2, 0.2], abs=0.045)


def test_guards() -> None:
    still = Clip(np.full((24, 32, 32, 3), 90, np.uint8), 24, np.zeros((1, 16000), np.float32), 16000)
    for metric in env_sync_metrics():
        assert "never changes" in metric.update(Sample("1", still))["undefined"]
