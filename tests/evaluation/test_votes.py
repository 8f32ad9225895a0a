"""Votes, their intervals and plans, against figures worked out elsewhere."""

import numpy as np
import pytest

from vivace.errors import VivaceError
from vivace.evaluation.votes import Tally, clustered_interval, holm, votes_needed, wilson


@pytest.mark.parametrize(
    ("counts", "net", "error", "interval", "wins", "wins_interval", "p", "preference", "ratio"),
    [
        ((100, 75, 75), 0.100, 0.0525, (-0.003, 0.203), 0.5714, (0.4973, 0.6424), 0.0693, 0.550, 1.1667),
        ((113, 65, 72), 0.164, 0.0534, (0.059, 0.269), 0.6108, (0.5390, 0.6781), 0.0032, 0.582, 1.2993),
        ((125, 50, 75), 0.200, 0.0551, (0.092, 0.308), 0.6250, (0.5561, 0.6891), 0.0005, 0.600, 1.4000),
    ],
)
def test_gsb(  # type: ignore[no-untyped-def]
    counts, net, error, interval, wins, wins_interval, p, preference, ratio
) -> None:
    tally = Tally(*counts)
    assert tally.net == pytest.approx(net)
    assert tally.net_error == pytest.approx(error, abs=5e-5)
    assert tally.net_interval() == pytest.approx(interval, abs=5e-4)
    assert tally.wins == pytest.approx(wins, abs=5e-5)
    assert tally.wins_interval() == pytest.approx(wins_interval, abs=5e-5)
    assert tally.p_value == pytest.approx(p, abs=5e-5)
    assert tally.preference == pytest.approx(preference)
    assert tally.good_or_same == pytest.approx(ratio, abs=5e-5)


def test_turning_the_pair_around_turns_the_sign() -> None:
    one, other = Tally(30, 9, 12), Tally(12, 9, 30)
    assert one.net == -other.net
    assert one.p_value == other.p_value
    assert Tally.of([1, 1, 0, -1]) == Tally(2, 1, 1)


def test_votes_that_decide_nothing() -> None:
    ties = Tally(0, 5, 0)
    assert (ties.net, ties.net_error, ties.wins, ties.wins_interval(), ties.p_value) == (0.0, 0.0, None, None, 1.0)
    assert Tally(3, 0, 0).good_or_same is None
    with pytest.raises(VivaceError):
        Tally(0, 0, 0)


def test_wilson_at_the_edges_stays_inside() -> None:
    # 10 of 10: n / (n + z^2).
    assert wilson(10, 10) == pytest.approx((10 / (10 + 1.959964**2), 1.0), abs=1e-6)


def test_holm() -> None:
    # 3 x 0.01, 2 x 0.02 and 1 x 0.04, none below the one before it.
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.6, 0.5]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_prompts_are_drawn_with_all_their_votes() -> None:
    single = [1] * 113 + [0] * 65 + [-1] * 72
    alone = clustered_interval({f"{n:03}": [vote] for n, vote in enumerate(single)})
    assert alone == pytest.approx((0.060, 0.268), abs=0.009)
    # Five raters who always agree tell no more than one.
    agreed = clustered_interval({f"{n:03}": [vote] * 5 for n, vote in enumerate(single)})
    assert agreed == alone
    assert clustered_interval({"a": [1], "b": [-1]}, draws=50) == clustered_interval({"b": [-1], "a": [1]}, draws=50)
    with pytest.raises(VivaceError, match="two prompts"):
        clustered_interval({"a": [1, 0]})


@pytest.mark.parametrize(("net", "votes"), [(0.05, 2347), (0.10, 581), (0.15, 254), (0.20, 140), (-0.20, 140)])
def test_plans(net: float, votes: int) -> None:
    assert votes_needed(net) == votes


def test_a_plan_keeps_what_it_promises() -> None:
    n = votes_needed(0.2, ties=0.3, power=0.9)
    rng = np.random.default_rng(0)
    good, _, bad = rng.multinomial(n, [0.45, 0.3, 0.25], size=4000).T
    net = (good - bad) / n
    error = np.sqrt(((good + bad) / n - net**2) / n)
    assert (net > 1.96 * error).mean() == pytest.approx(0.9, abs=0.02)
    assert votes_needed(0.2, design_effect=2.0) == pytest.approx(2 * votes_needed(0.2), abs=1)
    with pytest.raises(VivaceError):
        votes_needed(0.0)
    with pytest.raises(VivaceError):
        votes_needed(0.8)
