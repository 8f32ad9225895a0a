import numpy as np
import pytest

from vivace.errors import VivaceError
from vivace.evaluation.paired import paired_difference


def named(values: list[float]) -> dict[str, float]:
    return {f"{n:03}": value for n, value in enumerate(values)}


def test_small_cases_by_hand() -> None:
    # Differences 1, 2, 3: of the eight signs, all plus and all minus are as far from 0.
    found = paired_difference(named([2, 4, 6]), named([1, 2, 3]))
    assert (found.n, found.mean, found.p_value, found.effect) == (3, 2.0, 0.25, pytest.approx(2.0))
    assert (found.low, found.high) == (1.0, 3.0)
    # 1 and -2: every sum of theirs, 1 or 3, is as far from 0 as theirs.
    assert paired_difference(named([1, 0]), named([0, 2])).p_value == 1.0
    same = paired_difference(named([1, 1]), named([1, 1]))
    assert (same.mean, same.p_value, same.effect) == (0.0, 1.0, None)


def test_only_prompts_in_common_count() -> None:
    first, second = named([1.0, 2.0, 3.0]), named([0.0, 1.0, 2.0])
    first["only here"] = 99.0
    assert paired_difference(first, second).mean == pytest.approx(1.0)
    with pytest.raises(VivaceError, match="1 prompts in common"):
        paired_difference({"a": 1.0, "b": 2.0}, {"a": 1.0})


def test_the_other_way_around_is_the_negative() -> None:
    rng = np.random.default_rng(0)
    first, second = named(rng.normal(0.4, 1, 40).tolist()), named(rng.normal(0, 1, 40).tolist())
    one, other = paired_difference(first, second), paired_difference(second, first)
    assert other.mean == pytest.approx(-one.mean)
    assert other.p_value == pytest.approx(one.p_value)
    assert (other.low, other.high) == pytest.approx((-one.high, -one.low))


def test_false_alarms_come_at_their_rate_and_true_differences_are_found() -> None:
    rng = np.random.default_rng(1)
    none = named([0.0] * 30)
    p_values = [paired_difference(named(rng.normal(0, 1, 30).tolist()), none, draws=400).p_value for _ in range(200)]
    assert np.mean(np.array(p_values) < 0.05) < 0.1
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.08)
    assert paired_difference(named(rng.normal(1, 1, 30).tolist()), none).p_value < 0.01
