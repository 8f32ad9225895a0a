import numpy as np
import pytest

from vivace.evaluation.voices import equal_error_rate, separation


def test_perfect_reversed_and_random_scores() -> None:
    rng = np.random.default_rng(0)
    low, high = rng.uniform(0, 1, 300), rng.uniform(2, 3, 500)
    assert equal_error_rate(high, low) == 0.0
    assert equal_error_rate(low, high) == 1.0
    same, other = rng.normal(0, 1, 4000), rng.normal(0, 1, 4000)
    assert equal_error_rate(same, other) == pytest.approx(0.5, abs=0.02)


def test_two_normal_distributions_have_the_known_rate() -> None:
    rng = np.random.default_rng(1)
    same, other = rng.normal(2, 1, 20000), rng.normal(0, 1, 50000)
    assert equal_error_rate(same, other) == pytest.approx(0.1587, abs=0.01)


def test_separation_counts_every_pair_once() -> None:
    vectors = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    assert separation(vectors, np.array([0, 0, 1, 1])) == (0.0, 1.0, 0.0)
