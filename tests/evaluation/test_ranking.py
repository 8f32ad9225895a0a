"""Strengths are recovered from votes drawn by known ones."""

from itertools import combinations

import numpy as np
import pytest

from vivace.errors import VivaceError
from vivace.evaluation.ranking import Comparison, fit_strengths


def test_known_strengths_are_recovered() -> None:
    true, nu = {"a": 0.6, "b": 0.2, "c": -0.1, "d": -0.7}, 0.6
    rng = np.random.default_rng(0)
    comparisons = []
    for one, two in combinations(true, 2):
        first, second = np.exp(true[one]), np.exp(true[two])
        weights = np.array([first, nu * np.sqrt(first * second), second])
        comparisons.append(Comparison(one, two, *rng.multinomial(3000, weights / weights.sum()).tolist()))
    found = fit_strengths(comparisons)
    assert found.theta == pytest.approx(true, abs=0.06)
    assert found.nu == pytest.approx(nu, abs=0.05)
    turned = [Comparison(entry.second, entry.first, entry.bad, entry.same, entry.good) for entry in comparisons]
    assert fit_strengths(turned[::-1]).theta == pytest.approx(found.theta, abs=1e-3)


def test_two_systems_by_hand() -> None:
    # Without the ridge: odds 3 to 1, and nu = ties / sqrt(good x bad).
    found = fit_strengths([Comparison("ours", "theirs", 30000, 20000, 10000)])
    assert found.theta["ours"] - found.theta["theirs"] == pytest.approx(np.log(3), abs=1e-3)
    assert found.nu == pytest.approx(20000 / np.sqrt(3e8), abs=1e-3)
    assert found.elo["ours"] - found.elo["theirs"] == pytest.approx(400 * np.log10(3), abs=0.5)


def test_perfect_separation_is_finite() -> None:
    found = fit_strengths([Comparison("a", "b", 20, 0, 0)])
    assert 1 < found.theta["a"] < 10


def test_systems_that_were_never_compared_are_not_ranked() -> None:
    pairs = [Comparison("a", "b", 3, 1, 2), Comparison("c", "d", 3, 1, 2)]
    with pytest.raises(VivaceError, match="c, d were never compared with a"):
        fit_strengths(pairs)
    with pytest.raises(VivaceError, match="no votes"):
        fit_strengths([Comparison("a", "b", 0, 0, 0)])
    with pytest.raises(VivaceError, match="no votes"):
        fit_strengths([])
