"""Good, same, bad: what pairwise votes of people say, and how many are needed.

Votes are 1 (ours is better), 0 (the same) and -1 (ours is worse).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
from scipy.stats import binomtest, norm

from vivace.errors import VivaceError
from vivace.evaluation.statistics import SEED

DRAWS = 10_000


@dataclass(frozen=True)
class Tally:
    """Counts of votes on one axis for one pair of systems; `good` is ours."""

    good: int
    same: int
    bad: int

    def __post_init__(self) -> None:
        if min(self.good, self.same, self.bad) < 0 or self.n == 0:
            raise VivaceError(f"Votes {self.good}/{self.same}/{self.bad} are no counts; give one vote or more.")

    @classmethod
    def of(cls, votes: Sequence[int]) -> Tally:
        """Of votes 1, 0 and -1."""
        return cls(sum(vote > 0 for vote in votes), sum(vote == 0 for vote in votes), sum(vote < 0 for vote in votes))

    @property
    def n(self) -> int:
        return self.good + self.same + self.bad

    @property
    def net(self) -> float:
        """The GSB score (G - B) / n, -1 to 1."""
        return (self.good - self.bad) / self.n

    @property
    def net_error(self) -> float:
        """Standard error of `net` for independent votes."""
        return sqrt(((self.good + self.bad) / self.n - self.net**2) / self.n)

    @property
    def wins(self) -> float | None:
        """G / (G + B); None where every vote is a tie."""
        decided = self.good + self.bad
        return self.good / decided if decided else None

    @property
    def preference(self) -> float:
        """(G + S / 2) / n: ties count half."""
        return (self.good + self.same / 2) / self.n

    @property
    def good_or_same(self) -> float | None:
        """(G + S) / (B + S), as Chinese reports give it; None where the other is never good or the same."""
        other = self.bad + self.same
        return (self.good + self.same) / other if other else None

    @property
    def p_value(self) -> float:
        """Exact two-sided sign test of G against B; ties are left out."""
        decided = self.good + self.bad
        return float(binomtest(self.good, decided).pvalue) if decided else 1.0

    def net_interval(self, level: float = 0.95) -> tuple[float, float]:
        """Normal interval of `net` for independent votes; `clustered_interval` where prompts have several raters."""
        reach = float(norm.ppf((1 + level) / 2)) * self.net_error
        return self.net - reach, self.net + reach

    def wins_interval(self, level: float = 0.95) -> tuple[float, float] | None:
        """Wilson's interval of `wins`."""
        decided = self.good + self.bad
        return wilson(self.good, decided, level) if decided else None


def wilson(hits: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a share hits / n."""
    z = float(norm.ppf((1 + level) / 2))
    share, scale = hits / n, 1 + z * z / n
    centre = (share + z * z / (2 * n)) / scale
    reach = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / scale
    return centre - reach, centre + reach


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p of each of several tests, in their order; each at most 1."""
    adjusted, highest = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda n: p_values[n])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def clustered_interval(
    votes: Mapping[str, Sequence[int]], *, draws: int = DRAWS, seed: int = SEED, level: float = 0.95
) -> tuple[float, float]:
    """Percentile interval of the net over prompts: prompts are drawn again, each with all its votes, which are not
    independent of each other.

    Args:
        votes: the votes of each prompt.

    Raises:
        VivaceError: fewer than two prompts.
    """
    if len(votes) < 2:
        raise VivaceError(f"An interval over {len(votes)} prompts does not exist; give two prompts or more.")
    sums = np.array([[sum(group), len(group)] for _, group in sorted(votes.items())], dtype=float)
    picks = np.random.default_rng(seed).integers(0, len(sums), (draws, len(sums)))
    drawn = sums[picks].sum(axis=1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def votes_needed(
    net: float, *, ties: float = 0.25, power: float = 0.8, level: float = 0.95, design_effect: float = 1.0
) -> int:
    """How many votes show a net of this size, before a study is made.

    Args:
        net: the true net, not 0. ties: the share of ties. power: the chance to show it. level: 1 minus the two-sided
            error. design_effect: 1 + (m - 1) rho for m votes of each prompt that correlate by rho.

    Raises:
        VivaceError: a net of 0, or one that leaves no room for the ties.
    """
    if not 0 < abs(net) <= 1 - ties:
        raise VivaceError(
            f"A net of {net} with {ties:.0%} ties cannot be planned for; give one between 0 and the rest."
        )
    reach = float(norm.ppf((1 + level) / 2) + norm.ppf(power))
    return ceil(design_effect * reach**2 * (1 - ties - net**2) / net**2)
