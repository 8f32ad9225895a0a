from fractions import Fraction

import numpy as np
import pytest

from vivace.errors import VivaceError
from vivace.evaluation.codecs import codec_report, log_mel_distance, round_trip
from vivace.evaluation.fidelity import buzz_db, end_click_db, moving_pixels, psnr, square_errors
from vivace.evaluation.metric import Sample, Undefined
from vivace.evaluation.quality_metrics import sound_metrics
from vivace.media import Clip
from vivace.pipelines.nava import NavaPipeline
from vivace.timeline import Timeline
from vivace.world import render_audio, render_video, sample_scene

TIMELINE = Timeline.covering(1.0)
T = np.arange(32000) / 16000


def ringing() -> np.ndarray:
    tone = np.sin(2 * np.pi * 800 * T) * np.exp(-2 * T)
    return np.stack([tone, 0.5 * tone]).astype(np.float32)


def test_psnr_of_a_known_error() -> None:
    true = np.full((3, 8, 8, 3), 100, dtype=np.uint8)
    made = true + 5
    error, moving = square_errors(true, made)
    assert psnr(error) == pytest.approx(20 * np.log10(255 / 5))
    assert moving is None
    assert psnr(0.0) == 100.0


def test_moving_pixels_are_those_away_from_the_median() -> None:
    frames = np.full((5, 8, 8, 3), 100, dtype=np.uint8)
    frames[1, 2, 3] += 9
    frames[2, 4, 4] += 8
    assert np.argwhere(moving_pixels(frames)).tolist() == [[1, 2, 3]]
    made = frames.copy()
    made[1, 2, 3] += 10
    error, moving = square_errors(frames, made)
    assert moving == pytest.approx(100.0)
    assert error == pytest.approx(100.0 / (5 * 64))


@pytest.mark.parametrize("rate", [25.0, 50.0])
def test_buzz_hears_modulation_at_the_latent_rate_only(rate: float) -> None:
    true = sum(
        np.roll(ringing(), start, axis=1) * np.greater_equal(T * 16000, start) for start in (2000, 9000, 15000, 26000)
    )
    buzzing = (true * (1 + 0.3 * np.sin(2 * np.pi * rate * T))).astype(np.float32)
    other = (true * (1 + 0.3 * np.sin(2 * np.pi * 37.0 * T))).astype(np.float32)
    assert buzz_db(true, true) == 0.0
    assert buzz_db(true, buzzing) > 3.0
    assert abs(buzz_db(true, other)) < 1.0


def test_end_click_is_a_rise_in_the_last_moments() -> None:
    assert end_click_db(ringing()) <= 0.5
    clicking = ringing()
    clicking[:, -100:] += np.random.default_rng(0).normal(scale=0.05, size=(2, 100)).astype(np.float32)
    assert end_click_db(clicking) > 6.0
    (click,) = [metric for metric in sound_metrics() if metric.name == "sound_end_click"]
    for sound, low, high in ((ringing(), -100, 0.5), (clicking, 6, 100)):
        (value, _) = click.outcome(Sample("0", clip=Clip(None, Fraction(24), sound, 16000)))
        assert low < value < high
    brief = Clip(None, Fraction(24), ringing()[:, :1500], 16000)
    assert isinstance(click.outcome(Sample("0", clip=brief)), Undefined)
    assert end_click_db(np.zeros((2, 32000), dtype=np.float32)) == 0.0


def test_log_mel_distance_of_a_gain() -> None:
    noise = np.random.default_rng(0).normal(scale=0.1, size=(2, 16000)).astype(np.float32)
    assert log_mel_distance(noise, noise) == 0.0
    assert log_mel_distance(noise, 0.5 * noise) == pytest.approx(np.log(2), rel=0.02)


def test_report_of_a_round_trip(pipeline: NavaPipeline) -> None:
    clips = []
    for seed in range(2):
        scene = sample_scene(seed, "val", seconds=float(TIMELINE.seconds))
        clips.append(Clip(render_video(scene, TIMELINE, 32, 32), TIMELINE.fps, render_audio(scene, TIMELINE), 16000))
    made = round_trip(pipeline.vae, pipeline.audio_vae, pipeline.vocoder, clips[0])
    assert made.frames is not None
    assert made.audio is not None
    assert clips[0].audio is not None
    assert made.frames.shape == (TIMELINE.frames, 32, 32, 3)
    assert made.audio.shape == clips[0].audio.shape
    report = codec_report(pipeline.vae, pipeline.audio_vae, pipeline.vocoder, clips)
    assert report["n"] == 2
    assert 0 < report["psnr"] < 40
    assert 0 < report["psnr_moving"] < 40
    assert report["log_mel_distance"] > 0
    assert set(report) >= {"buzz_db", "end_clicks", "onset_error_ms", "onset_f1"}
    with pytest.raises(VivaceError, match="No clips"):
        codec_report(pipeline.vae, pipeline.audio_vae, pipeline.vocoder, [])
