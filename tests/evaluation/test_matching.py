import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vivace.evaluation.matching import match_times

times = st.lists(st.integers(0, 60).map(lambda k: k / 40), max_size=5)


def test_pairs_are_one_to_one_and_inside_the_tolerance() -> None:
    assert match_times([0.5, 1.0], [0.52, 0.54, 1.2], 0.05) == [(0, 0)]
    assert match_times([0.5], [0.55], 0.05) == [(0, 0)]
    assert match_times([], [0.1], 0.05) == []


def test_more_pairs_win_over_nearer_pairs() -> None:
    # Taking the nearest pair (0.50, 0.50) first would leave the other two alone.
    assert match_times([0.46, 0.50], [0.50, 0.54], 0.05) == [(0, 0), (1, 1)]


@settings(max_examples=60, deadline=None)
@given(first=times, second=times, tolerance=st.sampled_from([0.05, 0.1, 0.3]))
def test_no_other_assignment_is_better(first: list[float], second: list[float], tolerance: float) -> None:
    pairs = match_times(first, second, tolerance)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    cost = sum(abs(first[i] - second[j]) for i, j in pairs)
    few, many = sorted((first, second), key=len)
    for chosen in itertools.permutations(many, len(few)):
        inside = [abs(a - b) for a, b in zip(few, chosen, strict=True) if abs(a - b) <= tolerance + 1e-9]
        assert len(inside) <= len(pairs)
        if len(inside) == len(pairs):
            assert sum(inside) >= cost - 1e-9


def test_a_constant_shift_is_recovered() -> None:
    seen = np.array([0.3, 0.8, 1.6])
    for shift in (0.04, 0.1, -0.1, 0.2):
        pairs = match_times(seen, seen + shift, 0.25)
        assert np.allclose([(seen + shift)[j] - seen[i] for i, j in pairs], shift)
