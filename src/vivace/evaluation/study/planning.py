"""How large a study must be, before it is made."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from vivace.errors import VivaceError
from vivace.evaluation.votes import votes_needed


@dataclass(frozen=True)
class Plan:
    """Args:
    votes: for each opponent, corrected for several tests and for votes on one pair that are alike.
    votes_alone: independent votes for a single test, for comparison. level: of each test.
    prompts: with a pair for each opponent. people: who judge them all.
    """

    votes: int
    votes_alone: int
    level: float
    prompts: int
    people: int


def plan_study(
    net: float,
    *,
    ties: float = 0.25,
    tests: int = 6,
    opponents: int = 1,
    raters: int = 3,
    alike: float = 0.3,
    per_rater: int = 40,
    power: float = 0.8,
) -> Plan:
    """Votes, prompts and people that show a net of this size.

    The level is divided by the number of tests, as Holm's correction does for the smallest p; each further test is
    easier, so this is on the safe side. `raters` votes on one pair count as raters / (1 + (raters - 1) alike).

    Raises:
        VivaceError: a net that cannot be planned for, shares out of range.
    """
    if not 0 <= ties < 1 or not 0 <= alike <= 1 or not 0.5 <= power < 1 or min(tests, opponents, raters, per_rater) < 1:
        raise VivaceError("Ties and likeness are shares from 0 to 1, power is from 0.5 to below 1, and counts from 1.")
    level = 1 - 0.05 / tests
    effect = 1 + (raters - 1) * alike
    votes = votes_needed(net, ties=ties, power=power, level=level, design_effect=effect)
    prompts = ceil(votes / raters)
    # Of one pair everybody judges once, so there are at least as many people as votes on it.
    people = max(raters, ceil(prompts * opponents * raters / per_rater))
    return Plan(votes, votes_needed(net, ties=ties, power=power), 1 - level, prompts, people)
