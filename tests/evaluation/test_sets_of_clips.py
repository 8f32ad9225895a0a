"""Distances of sets by plain features, and whether swapped sound is told."""

from fractions import Fraction
from itertools import product
from math import exp

import numpy as np
import pytest

from vivace.evaluation.signal_sets import (
    SIZE,
    paired_kernel_distance,
    picture_features,
    signal_distances,
    sound_features,
)
from vivace.evaluation.swaps import area_under_curve, d_prime, swap_results
from vivace.media import Clip


def test_the_kernel_distance_is_that_of_its_sum_written_out() -> None:
    one, two = np.array([[0.0], [1.0], [3.0]]), np.array([[0.5], [1.0], [2.0]])

    def k(x: float, y: float) -> float:
        return exp(-((x - y) ** 2) / 2)

    pairs = [(i, j) for i, j in product(range(3), repeat=2) if i != j]
    total = sum(k(*one[[i, j], 0]) + k(*two[[i, j], 0]) - 2 * k(one[i, 0], two[j, 0]) for i, j in pairs)
    assert paired_kernel_distance(one, two) == pytest.approx(total / 6)
    assert paired_kernel_distance(one, one) == pytest.approx(0.0)


def vectors(shift: float, count: int = 60, width: float = 1.0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {str(n): shift + width * rng.normal(size=SIZE) for n in range(count)}


def test_distances_are_in_deviations_of_the_true_clips_and_grow_with_the_shift() -> None:
    true = vectors(0.0)
    near, far = (signal_distances("sound", vectors(shift), true) for shift in (0.2, 1.0))
    rows = np.stack([*true.values()])
    # The same clips moved by a constant: only the means differ, each by shift / its deviation.
    for found, shift in ((near, 0.2), (far, 1.0)):
        expected = ((shift / rows.std(axis=0)) ** 2).sum()
        assert found["signal_frechet_sound"].value == pytest.approx(expected, rel=1e-6)
    assert near["signal_kernel_sound"].value is not None
    assert far["signal_kernel_sound"].value is not None
    assert 0 < near["signal_kernel_sound"].value < far["signal_kernel_sound"].value
    assert far["signal_kernel_sound"].scope == "set"


def test_a_frechet_distance_of_fewer_clips_than_values_is_none() -> None:
    found = signal_distances("pictures", vectors(1.0, SIZE), vectors(0.0, SIZE))
    assert found["signal_frechet_pictures"].value is None
    assert found["signal_kernel_pictures"].n == SIZE


def test_features_say_what_is_there() -> None:
    half = np.zeros((6, 16, 16, 3), np.uint8)
    half[:, :, 8:] = (255, 0, 0)
    picture = picture_features(Clip(half, Fraction(24), None, 16000))
    assert picture.shape == (SIZE,)
    assert picture[:6] == pytest.approx([0.5, 0.5, 0, 0, 0, 0])  # black; red has a luma of 0.3
    assert picture[6:12] == pytest.approx([0.5, 0, 0, 0, 0, 0])  # half is of full colour and hue 0
    assert picture[16:] == pytest.approx(0.0)  # nothing moves
    loud = np.random.default_rng(0).normal(0, 0.1, (2, 16000)).astype(np.float32)
    quiet = sound_features(Clip(None, Fraction(24), 0.1 * loud, 16000))
    assert quiet.shape == (SIZE,)
    more = sound_features(Clip(None, Fraction(24), loud, 16000))
    assert (more - quiet)[:8] == pytest.approx(np.log(100.0), abs=0.01)


def test_area_and_d_prime_are_those_counted_by_hand() -> None:
    own, other = np.array([0.9, 0.5, 0.7]), np.array([0.5, 0.1])
    wins = [1.0 if a > b else 0.5 if a == b else 0.0 for a, b in product(own, other)]
    assert area_under_curve(own, other) == pytest.approx(sum(wins) / 6)
    assert d_prime(own, other) == pytest.approx((0.7 - 0.3) / np.sqrt((0.08 / 3 + 0.04) / 2))
    assert d_prime(np.ones(3), np.zeros(3)) == pytest.approx(100.0)
    found = swap_results({"a": 1.0, "b": 1.0, "alone": 0.0}, {"a": 0.0, "b": 1.0})
    assert (found["swap_auc"].value, found["swap_auc"].n) == (pytest.approx(0.75), 2)
    assert swap_results({}, {})["swap_auc"].value is None
