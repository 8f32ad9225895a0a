"""Against the true clip: formulas on numbers worked out by another way."""

from fractions import Fraction

import numpy as np
import pytest

from vivace.evaluation.metric import Sample
from vivace.evaluation.pair_metrics import length_metrics, luma, pair_metrics, si_sdr, ssim
from vivace.media import Clip


def plain_ssim(one: np.ndarray, two: np.ndarray) -> float:
    """Place by place, with the window written out."""
    steps = np.arange(-5, 6)
    window = np.exp(-(steps**2) / (2 * 1.5**2))
    weights = np.outer(window, window) / window.sum() ** 2
    values = []
    for y in range(5, one.shape[0] - 5):
        for x in range(5, one.shape[1] - 5):
            a, b = one[y - 5 : y + 6, x - 5 : x + 6], two[y - 5 : y + 6, x - 5 : x + 6]
            ma, mb = (weights * a).sum(), (weights * b).sum()
            va, vb = (weights * (a - ma) ** 2).sum(), (weights * (b - mb) ** 2).sum()
            cov = (weights * (a - ma) * (b - mb)).sum()
            c1, c2 = 6.5025, 58.5225
            values.append((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2)))
    return float(np.mean(values))


def test_ssim_is_that_of_the_window_written_out() -> None:
    rng = np.random.default_rng(0)
    one = rng.uniform(0, 255, (16, 19))
    two = one * 0.7 + rng.uniform(0, 60, one.shape)
    assert ssim(one, two) == pytest.approx(plain_ssim(one, two), abs=1e-9)
    assert ssim(one, one) == pytest.approx(1.0)


def test_si_sdr_is_the_ratio_that_was_mixed_and_knows_no_loudness() -> None:
    time = np.arange(16000) / 16000
    true, noise = np.sin(2 * np.pi * 100 * time)[None], np.cos(2 * np.pi * 100 * time)[None]
    # The two are orthogonal and equally strong: a tenth of the amplitude is 20 dB.
    assert si_sdr(true, true + 0.1 * noise) == pytest.approx(20.0, abs=1e-6)
    assert si_sdr(true, 0.3 * (true + 0.1 * noise) + 0.2) == pytest.approx(20.0, abs=1e-6)
    assert si_sdr(true, true) == 100.0
    assert si_sdr(true * 0, true) is None


def test_luma_weighs_the_channels() -> None:
    frame = np.array([[[[255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 10, 10]]]], np.uint8)
    assert luma(frame)[0, 0] == pytest.approx([76.245, 149.685, 29.07, 10.0], abs=1e-3)


def sample(frames: np.ndarray, audio: np.ndarray, **refs: object) -> Sample:
    return Sample("a", clip=Clip(frames, Fraction(24), audio, 16000), refs=refs)


def test_only_what_is_given_is_compared() -> None:
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 255, (4, 16, 16, 3), dtype=np.uint8)
    audio = rng.normal(0, 0.1, (2, 3200)).astype(np.float32)
    found = {
        one.name: one.update(sample(frames, audio, true_pictures=frames, given_sound=audio)) for one in pair_metrics()
    }
    assert found["true_ssim"]["value"] == pytest.approx(1.0)
    assert found["true_psnr"]["value"] == found["true_si_sdr"]["value"] == 100.0
    assert found["true_log_mel"] == {"undefined": "no true_sound is given"}
    ten = np.clip(frames, 0, 245) + np.uint8(10)
    other = {one.name: one.update(sample(ten, audio, true_pictures=np.clip(frames, 0, 245))) for one in pair_metrics()}
    assert other["true_psnr"]["value"] == pytest.approx(10 * np.log10(255**2 / 10**2), abs=1e-3)
    small = {one.name: one.update(sample(frames[:, :8], audio, true_pictures=frames)) for one in pair_metrics()}
    assert "another size" in small["true_ssim"]["undefined"]


def test_length_errors_are_in_milliseconds() -> None:
    frames, audio = np.zeros((48, 16, 16, 3), np.uint8), np.zeros((2, 31200), np.float32)
    found = {one.name: one.update(sample(frames, audio, seconds=2.0))["value"] for one in length_metrics()}
    assert found == {"picture_duration_error": 0.0, "sound_duration_error": pytest.approx(50.0)}
