"""Distances of whole sets of clips from the true ones by plain features of sound and pictures; no weights.

Values compare sets of one size and of one benchmark only, and are never those of a published Fréchet distance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from vivace.evaluation.frechet import frechet_of_sets
from vivace.evaluation.growing_sets import OverN, more_than_values
from vivace.evaluation.metric import Result
from vivace.evaluation.pair_metrics import luma
from vivace.evaluation.seeds import prompt_of
from vivace.evaluation.set_metric import Features, SetMetric
from vivace.evaluation.shared_flow import flow_of
from vivace.media import Clip
from vivace.perception.flow import DIRECTIONS, direction_mass
from vivace.perception.spectra import at_detector_rate, mel_power

BANDS = 8
SIZE = 24  # values of a vector of either side
_HOP, _WINDOW = 160, 400  # samples at 16 kHz
_LUMAS, _HUES, _EDGES = 6, 6, 4
_LEAST_SPREAD = 1e-3  # a feature that hardly varies among the true clips is not blown up


def sound_features(clip: Clip) -> np.ndarray:
    """ln power in 8 mel bands: mean, deviation and mean absolute step over 10 ms frames. [24]"""
    assert clip.audio is not None
    sound = at_detector_rate(clip.audio, clip.sample_rate)
    level = np.log(mel_power(sound, hop=_HOP, window=_WINDOW, bands=BANDS).mean(axis=0) + 1e-8)
    step = np.abs(np.diff(level, axis=0)).mean(axis=0) if len(level) > 1 else np.zeros(BANDS)
    return np.concatenate([level.mean(axis=0), level.std(axis=0), step])


def picture_features(clip: Clip) -> np.ndarray:
    """Shares of 6 brightnesses; colourfulness by 6 hues; strength of edges by 4 directions; motion by 8. [24]"""
    assert clip.frames is not None
    pixels = clip.frames[::2, ::2, ::2].astype(np.float32) / 255.0
    grey = luma(clip.frames[::2, ::2, ::2]) / 255.0
    lumas = np.histogram(grey, bins=_LUMAS, range=(0.0, 1.0 + 1e-6))[0] / grey.size
    red, green, blue = (pixels[..., channel] for channel in range(3))
    hue = np.arctan2(np.sqrt(3.0) * (green - blue), 2.0 * red - green - blue)
    hues = _by_angle(hue, 2.0 * np.pi, pixels.max(axis=-1) - pixels.min(axis=-1), _HUES)
    down, right = np.gradient(grey, axis=(1, 2))
    edges = _by_angle(np.arctan2(down, right), np.pi, np.hypot(down, right), _EDGES)
    mass = direction_mass(flow_of(clip))
    motion = mass.mean(axis=0) if len(mass) else np.zeros(DIRECTIONS)
    return np.concatenate([lumas, hues, edges, motion])


def _by_angle(angle: np.ndarray, period: float, weight: np.ndarray, bins: int) -> np.ndarray:
    """Mean weight of the places whose angle falls into each part of the period."""
    place = (np.mod(angle, period) / period * bins).astype(int) % bins
    return np.bincount(place.ravel(), weights=weight.ravel(), minlength=bins) / weight.size


def _scaled(rows: Features) -> tuple[np.ndarray, np.ndarray]:
    """Both sets, centred and scaled by the true one."""
    true = rows["reference"]
    spread = np.maximum(true.std(axis=0), _LEAST_SPREAD)
    return (rows["generated"] - true.mean(axis=0)) / spread, (true - true.mean(axis=0)) / spread


def paired_kernel_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Squared maximum mean discrepancy with the kernel exp(-|x - y|^2 / 2D) of sets [n, D] that belong together row by
    row; 0 for equal sets, 2 at most.

    Gretton's estimate without bias, in which a row is not compared with its own partner either, so that sets whose rows
    are alike because they answer the same prompts come out as 0 and not below. The kernel is bounded, unlike KID's, as
    one feature that leaves the true clips' narrow range would outweigh everything else there.
    """
    one, two = (np.asarray(side, dtype=np.float64) for side in (first, second))
    n, size = one.shape

    def rest(x: np.ndarray, y: np.ndarray) -> float:
        kernel = np.exp(-((x[:, None] - y[None]) ** 2).sum(axis=-1) / (2.0 * size))
        return float(kernel.sum() - np.trace(kernel)) / (n * (n - 1))

    return rest(one, one) + rest(two, two) - 2.0 * rest(one, two)


# How two sets are compared, from how many clips on, the unit, and how it depends on n.
_VALUES: dict[str, tuple[Callable[[np.ndarray, np.ndarray], float], int, str, OverN]] = {
    "frechet": (frechet_of_sets, SIZE + 1, "squared deviations", OverN(more_than_values)),
    "kernel": (paired_kernel_distance, 2, "", OverN(None)),
}


def signal_distances(side: str, made: Mapping[str, np.ndarray], true: Mapping[str, np.ndarray]) -> dict[str, Result]:
    """`signal_frechet_SIDE` (of 25 clips or more: n must exceed the length of a vector) and `signal_kernel_SIDE`.

    Args:
        side: "sound" or "pictures". made: vectors by id. true: by prompt; clips of prompts that it has count.
    """
    return {metric.name: metric.compute() for metric in _metrics(side, made, true)}


def _metrics(side: str, made: Mapping[str, np.ndarray], true: Mapping[str, np.ndarray]) -> list[SetMetric]:
    metrics = []
    for kind, (distance, least, unit, over_n) in _VALUES.items():

        def value(rows: Features, distance: Callable[[np.ndarray, np.ndarray], float] = distance) -> float:
            return distance(*_scaled(rows))

        metric = SetMetric(f"signal_{kind}_{side}", _no_sample, value, least=least, unit=unit, over_n=over_n)
        for name, row in made.items():
            if prompt_of(name) in true:
                metric.add(name, {"generated": row, "reference": true[prompt_of(name)]})
        metrics.append(metric)
    return metrics


def _no_sample(sample: object) -> Features:
    raise AssertionError("features are added, never asked for")
