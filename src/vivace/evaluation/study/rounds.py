"""The second round: which pairs are asked about again, and what a pair's votes say together.

Alive's study has two rounds whose meaning is unpublished. Our reading: in the first, every pair is judged by several
raters on their own; in the second, fresh raters judge those pairs again on which the first gave no majority, or which a
rater judged who failed the controls. The label of a pair is the majority of both rounds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from vivace.evaluation.study.raters import counted_votes, judge_raters
from vivace.evaluation.study.store import Study


def majority(values: Sequence[int]) -> int | None:
    """What more than half of the votes say; None where nothing does."""
    if not values:
        return None
    value, count = Counter(values).most_common(1)[0]
    return value if 2 * count > len(values) else None


def undecided(study: Study) -> dict[str, str]:
    """Pairs for a second round, with the reason for each."""
    raters = judge_raters(study)
    failed = {rater.name for rater in raters if rater.round == 1 and not rater.counted}
    first = [vote for vote in counted_votes(study, raters) if vote.round == 1]
    everything = [vote for vote in study.votes.values() if vote.round == 1]
    reasons: dict[str, str] = {}
    for pair in study.design.real:
        own = [vote for vote in first if vote.pair == pair.id]
        asked = [axis.name for axis in study.design.asked(pair)]
        lost = [axis for axis in asked if majority([vote.value(axis) for vote in own]) is None]
        dropped = sum(vote.pair == pair.id and vote.rater in failed for vote in everything)
        if dropped:
            reasons[pair.id] = f"{dropped} votes of raters who failed the controls"
        elif lost:
            reasons[pair.id] = f"no majority on {', '.join(lost)}"
    return reasons


def open_second_round(study: Study) -> dict[str, str]:
    """Begin the second round with the undecided pairs; returns them with the reasons.

    Raises:
        VivaceError: it was begun before.
    """
    reasons = undecided(study)
    study.open_second(sorted(reasons), reasons)
    return reasons
