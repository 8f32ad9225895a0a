"""How near a clip is to the true one that it should be: pictures, waveform, spectrum; and whether it is as long.

References: "true_pictures" uint8 [T, H, W, 3]; "true_sound" [C, N] at 16 kHz, and "given_sound" where the very waveform
was given; "seconds", the length that was asked for.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from vivace.evaluation.codecs import log_mel_distance
from vivace.evaluation.fidelity import psnr
from vivace.evaluation.metric import ItemMetric, Sample, Undefined
from vivace.perception.spectra import at_detector_rate

_SIGMA, _RADIUS = 1.5, 5  # pixels: a window of 11
_C1, _C2 = (0.01 * 255.0) ** 2, (0.03 * 255.0) ** 2
MOST_DB = 100.0

Outcome = list[float] | Undefined


def ssim(first: np.ndarray, second: np.ndarray) -> float:
    """Structural similarity of two grey pictures of 0 to 255 after Wang et al. 2004: a Gaussian window of 11 pixels
    with a deviation of 1.5, the mean over the places where the window lies inside.

    Args:
        first, second: [H, W], at least 11 a side.
    """
    one, two = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.asarray(gaussian_filter(values, _SIGMA, radius=_RADIUS))[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS]

    a, b = mean(one), mean(two)
    spread_a, spread_b, shared = mean(one * one) - a * a, mean(two * two) - b * b, mean(one * two) - a * b
    places = (2 * a * b + _C1) * (2 * shared + _C2) / ((a * a + b * b + _C1) * (spread_a + spread_b + _C2))
    return float(places.mean())


def si_sdr(true: np.ndarray, made: np.ndarray) -> float | None:
    """Scale-invariant signal-to-distortion ratio in dB after Le Roux et al. 2019, means removed, all channels together,
    within -100 and 100; None where the true sound is silent."""
    one, two = (side - side.mean(axis=-1, keepdims=True) for side in (np.float64(true), np.float64(made)))
    energy = float((one * one).sum())
    if energy < 1e-12:
        return None
    target = float((one * two).sum()) / energy * one
    signal, noise = float((target**2).sum()), float(((two - target) ** 2).sum())
    return float(np.clip(10.0 * np.log10((signal + 1e-20) / (noise + 1e-20)), -MOST_DB, MOST_DB))


def luma(frames: np.ndarray) -> np.ndarray:
    """BT.601 luma of uint8 [T, H, W, 3], float32 [T, H, W]."""
    weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)
    grey: np.ndarray = frames.astype(np.float32) @ weights
    return grey


def _pictures(sample: Sample) -> tuple[np.ndarray, np.ndarray] | Undefined:
    """The true pictures and the made ones, as many as both have."""
    assert sample.clip is not None
    assert sample.clip.frames is not None
    true, made = sample.refs["true_pictures"], sample.clip.frames
    if true.shape[1:] != made.shape[1:]:
        return Undefined("the pictures have another size than the true ones")
    count = min(len(true), len(made))
    return (true[:count], made[:count]) if count else Undefined("no picture")


def _sounds(sample: Sample, name: str) -> tuple[np.ndarray, np.ndarray] | Undefined:
    """The true sound and the made one, as long as both are."""
    assert sample.clip is not None
    assert sample.clip.audio is not None
    true, made = sample.refs[name], at_detector_rate(sample.clip.audio, sample.clip.sample_rate)
    count = min(true.shape[1], made.shape[1])
    return (true[:, :count], made[:, :count]) if count >= 1600 else Undefined("less than a tenth of a second of sound")


def _ssim(sample: Sample) -> Outcome:
    both = _pictures(sample)
    if isinstance(both, Undefined):
        return both
    if min(both[0].shape[1:3]) <= 2 * _RADIUS:
        return Undefined("the pictures are smaller than the window")
    return [float(np.mean([ssim(one, two) for one, two in zip(luma(both[0]), luma(both[1]), strict=True)])), 1.0]


def _psnr(sample: Sample) -> Outcome:
    both = _pictures(sample)
    if isinstance(both, Undefined):
        return both
    return [psnr(float(((both[0].astype(np.float32) - both[1]) ** 2).mean())), 1.0]


def _si_sdr(sample: Sample) -> Outcome:
    both = _sounds(sample, "given_sound")
    if isinstance(both, Undefined):
        return both
    value = si_sdr(*both)
    return Undefined("the true sound is silent") if value is None else [value, 1.0]


def _log_mel(sample: Sample) -> Outcome:
    both = _sounds(sample, "true_sound")
    return both if isinstance(both, Undefined) else [log_mel_distance(*both), 1.0]


def pair_metrics() -> list[ItemMetric]:
    """Fresh instances of the metrics of a clip against the true one.

    `true_ssim`, `true_psnr`: mean over the pictures, and of all pixels together. `true_si_sdr`: where the waveform
    itself was given. `true_log_mel`: mean |difference of ln(mel + 1e-5)|, 64 bands, hop 160 at 16 kHz.
    """
    pictures, sound = ("pictures", "ref:true_pictures"), ("sound", "ref:true_sound")
    return [
        ItemMetric("true_ssim", _ssim, requires=pictures, scope="pair"),
        ItemMetric("true_psnr", _psnr, requires=pictures, unit="dB", scope="pair"),
        ItemMetric("true_si_sdr", _si_sdr, requires=("sound", "ref:given_sound"), unit="dB", scope="pair"),
        ItemMetric("true_log_mel", _log_mel, requires=sound, unit="nepers", direction="lower", scope="pair"),
    ]


def _picture_length(sample: Sample) -> Outcome:
    assert sample.clip is not None
    assert sample.clip.frames is not None
    return [1000.0 * abs(len(sample.clip.frames) / float(sample.clip.fps) - sample.refs["seconds"]), 1.0]


def _sound_length(sample: Sample) -> Outcome:
    assert sample.clip is not None
    assert sample.clip.audio is not None
    return [1000.0 * abs(sample.clip.audio.shape[1] / sample.clip.sample_rate - sample.refs["seconds"]), 1.0]


def length_metrics() -> list[ItemMetric]:
    """Fresh instances of `picture_duration_error` and `sound_duration_error`: |length - length asked for|, ms, mean."""
    return [
        ItemMetric(name, measure, requires=(side, "ref:seconds"), unit="ms", direction="lower")
        for name, measure, side in (
            ("picture_duration_error", _picture_length, "pictures"),
            ("sound_duration_error", _sound_length, "sound"),
        )
    ]
