"""Which raters count: those who pass the controls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vivace.evaluation.study.design import Design, Pair
from vivace.evaluation.study.store import Study, Vote


@dataclass(frozen=True)
class Rater:
    """One person in one round.

    Args:
        pairs: judged, without controls. passed, controls: of the controls that were judged.
        counted: whether the share passed reaches what the study asks for; without any control nobody is left out.
        left: how often the left clip was the better one, right: the right one, over all axes, controls left out.
    """

    name: str
    round: int
    pairs: int
    passed: int
    controls: int
    counted: bool
    left: int
    right: int


def passes(design: Design, pair: Pair, vote: Vote) -> bool:
    """Whether a vote on a control is as it should be.

    Identical clips: "the same" on more than half of the axes. A degraded sound: the clean clip is better on one axis of
    hearing or more, and the degraded one on none of them.
    """
    if pair.control == "identical":
        same = sum(vote.value(axis.name) == 0 for axis in design.asked(pair))
        return 2 * same > len(design.asked(pair))
    heard = [vote.value(axis.name) for axis in design.asked(pair) if axis.hears]
    return not heard or (max(heard) == 1 and min(heard) >= 0)


def judge_raters(study: Study) -> list[Rater]:
    """Every rater of every round, in the order of their names."""
    pairs: Mapping[str, Pair] = {pair.id: pair for pair in study.design.pairs}
    own: dict[tuple[str, int], list[Vote]] = {}
    for vote in study.votes.values():
        own.setdefault((vote.rater, vote.round), []).append(vote)
    found = []
    for (name, number), votes in sorted(own.items()):
        controls = [vote for vote in votes if pairs[vote.pair].control is not None]
        real = [vote for vote in votes if pairs[vote.pair].control is None]
        passed = sum(passes(study.design, pairs[vote.pair], vote) for vote in controls)
        sides = [answer for vote in real for answer in vote.answers.values()]
        found.append(
            Rater(
                name=name,
                round=number,
                pairs=len(real),
                passed=passed,
                controls=len(controls),
                counted=not controls or passed / len(controls) >= study.design.control_pass - 1e-9,
                left=sides.count("left"),
                right=sides.count("right"),
            )
        )
    return found


def counted_votes(study: Study, raters: list[Rater]) -> list[Vote]:
    """Votes on pairs, not on controls, of the raters who count; in the order of rater, round and pair."""
    real = {pair.id for pair in study.design.real}
    who = {(rater.name, rater.round) for rater in raters if rater.counted}
    return [vote for key, vote in sorted(study.votes.items()) if (vote.rater, vote.round) in who and vote.pair in real]
