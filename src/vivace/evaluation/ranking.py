"""Strengths of several systems from pairwise votes with ties: Bradley-Terry in Davidson's form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.sparse.csgraph import connected_components

from vivace.errors import VivaceError

RIDGE = 0.01  # keeps strengths finite where one system wins every vote
ELO_PER_UNIT = 400.0 / np.log(10.0)


@dataclass(frozen=True)
class Comparison:
    """The votes of one pair: those for `first`, ties, and those for `second`."""

    first: str
    second: str
    good: int
    same: int
    bad: int


@dataclass(frozen=True)
class Strengths:
    """log strengths of the systems, whose mean is 0, and the readiness for ties nu."""

    theta: dict[str, float]
    nu: float

    @property
    def elo(self) -> dict[str, float]:
        """On Elo's scale around 1000: 400 points are odds of ten to one."""
        return {name: 1000.0 + ELO_PER_UNIT * value for name, value in self.theta.items()}


def fit_strengths(comparisons: Sequence[Comparison]) -> Strengths:
    """Most likely strengths: P(i > j) = p_i / Z, P(tie) = nu sqrt(p_i p_j) / Z, Z = p_i + p_j + nu sqrt(p_i p_j).

    Unlike a running Elo figure it does not depend on the order of the votes.

    Raises:
        VivaceError: no votes, or groups of systems that were never compared with each other.

    Source: Davidson 1970, with a ridge on the log strengths (ours).
    """
    names = sorted({name for entry in comparisons for name in (entry.first, entry.second)})
    place = {name: n for n, name in enumerate(names)}
    counts = np.array([[entry.good, entry.same, entry.bad] for entry in comparisons], dtype=float).reshape(-1, 3)
    if counts.sum() == 0:
        raise VivaceError("There are no votes to rank systems by; give comparisons with votes.")
    first = np.array([place[entry.first] for entry in comparisons])
    second = np.array([place[entry.second] for entry in comparisons])
    linked = np.zeros((len(names), len(names)))
    linked[first, second] = counts.sum(axis=1)
    groups, member = connected_components(linked, directed=False)
    if groups > 1:
        alone = ", ".join(name for name in names if member[place[name]] != member[0])
        raise VivaceError(f"{alone} were never compared with {names[0]}; compare them before you rank them together.")

    def loss(parameters: np.ndarray) -> float:
        theta, tie = parameters[:-1], parameters[-1]
        one, two = theta[first], theta[second]
        scores = np.stack([one, tie + (one + two) / 2, two], axis=1)
        whole = np.logaddexp.reduce(scores, axis=1, keepdims=True)
        return float(-(counts * (scores - whole)).sum() + RIDGE * (theta**2).sum() + RIDGE * tie**2)

    found = minimize(loss, np.zeros(len(names) + 1), method="BFGS")
    theta = found.x[:-1] - found.x[:-1].mean()
    return Strengths({name: float(theta[place[name]]) for name in names}, float(np.exp(found.x[-1])))
