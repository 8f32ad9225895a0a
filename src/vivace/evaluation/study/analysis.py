"""What the votes of a study say, with the statistics that a small number of raters allows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import binomtest

from vivace.errors import VivaceError
from vivace.evaluation.agreement import krippendorff_alpha, raw_agreement
from vivace.evaluation.ranking import Comparison, fit_strengths
from vivace.evaluation.study.design import Pair
from vivace.evaluation.study.raters import Rater, counted_votes, judge_raters
from vivace.evaluation.study.rounds import majority
from vivace.evaluation.study.store import Study, Vote
from vivace.evaluation.votes import Tally, clustered_interval, holm

RANKING_DRAWS = 200
SEED = 20260101


@dataclass(frozen=True)
class Verdict:
    """One axis of one pair of systems; good is for `first`.

    Args:
        tally: votes of the raters who count, of both rounds. prompts: how many they are about.
        net_interval: bootstrap over prompts; of independent votes where there is one prompt only.
        labels: how many prompts the majority calls good, same and bad, and how many have no majority.
        adjusted: Holm's p of the sign test over every axis and pair of systems.
    """

    axis: str
    first: str
    second: str
    tally: Tally
    prompts: int
    net_interval: tuple[float, float]
    labels: tuple[int, int, int, int]
    adjusted: float


@dataclass(frozen=True)
class Agreement:
    """How far raters agree on an axis; None where too few pairs have two votes, or all votes are alike.

    Args:
        pairs: with two votes or more. between_rounds: chance that a vote of each round on the same pair agree.
    """

    axis: str
    pairs: int
    raw: float | None
    alpha_nominal: float | None
    alpha_interval: float | None
    between_rounds: float | None


@dataclass(frozen=True)
class Rank:
    """A system's strength on an axis, on Elo's scale, with the 95 % interval of a bootstrap over prompts."""

    axis: str
    system: str
    elo: float
    low: float
    high: float


@dataclass(frozen=True)
class Analysis:
    """Args:
    raters: all, with who counts. verdicts, agreement, ranks: see there.
    profile: of the groups of axes, where there are any, as of one axis; their labels count pairs and axes. Its p-values
        are corrected among themselves.
    unranked: why there are no ranks; empty where there are.
    left, right, side_p: how often each side was the better one, and the p of a test that it is a coin.
    """

    raters: tuple[Rater, ...]
    verdicts: tuple[Verdict, ...]
    profile: tuple[Verdict, ...]
    agreement: tuple[Agreement, ...]
    ranks: tuple[Rank, ...]
    unranked: str
    left: int
    right: int
    side_p: float

    def to_json(self) -> dict[str, Any]:
        verdicts, profile = (
            [
                {
                    **asdict(entry),
                    "net": entry.tally.net,
                    "n": entry.tally.n,
                    "wins": entry.tally.wins,
                    "wins_wilson": entry.tally.wins_interval(),
                    "half_tie_preference": entry.tally.preference,
                    "good_or_same": entry.tally.good_or_same,
                    "p_sign": entry.tally.p_value,
                }
                for entry in entries
            ]
            for entries in (self.verdicts, self.profile)
        )
        return {**asdict(self), "verdicts": verdicts, "profile": profile}


def analyse(study: Study) -> Analysis:
    """All of it.

    Raises:
        VivaceError: no votes, or none of raters who count.
    """
    raters = judge_raters(study)
    votes = counted_votes(study, raters)
    if not votes:
        if study.votes:
            raise VivaceError("No rater passed the controls, so no vote counts; look at the controls, or ask others.")
        raise VivaceError(f"{study.folder} has no votes yet; serve the study, or import votes.")
    pairs = {pair.id: pair for pair in study.design.real}
    left, right = (sum(getattr(rater, side) for rater in raters if rater.counted) for side in ("left", "right"))
    ranks, unranked = _ranks(study, votes, pairs)
    groups: dict[str, list[str]] = {}
    for axis in study.design.axes:
        if axis.group:
            groups.setdefault(axis.group, []).append(axis.name)
    return Analysis(
        raters=tuple(raters),
        verdicts=tuple(_verdicts(study, votes, pairs, {axis.name: [axis.name] for axis in study.design.axes})),
        profile=tuple(_verdicts(study, votes, pairs, groups)),
        agreement=tuple(_agreement(axis.name, votes) for axis in study.design.axes),
        ranks=tuple(ranks),
        unranked=unranked,
        left=left,
        right=right,
        side_p=float(binomtest(left, left + right).pvalue) if left + right else 1.0,
    )


def _verdicts(
    study: Study, votes: Sequence[Vote], pairs: Mapping[str, Pair], questions: Mapping[str, Sequence[str]]
) -> list[Verdict]:
    """For each of the questions, by its name the axes whose votes it counts, and each two systems."""
    opposed = dict.fromkeys((pair.first, pair.second) for pair in study.design.real)
    found: list[tuple[str, str, str, dict[str, list[int]], list[int | None]]] = []
    for question, axes in questions.items():
        for first, second in opposed:
            by_pair: dict[tuple[str, str], list[int]] = {}
            for vote in votes:
                if (pairs[vote.pair].first, pairs[vote.pair].second) == (first, second):
                    for axis in vote.answers.keys() & set(axes):
                        by_pair.setdefault((vote.pair, axis), []).append(vote.value(axis))
            if by_pair:
                by_prompt: dict[str, list[int]] = {}
                for (name, _), values in sorted(by_pair.items()):
                    by_prompt.setdefault(pairs[name].prompt_id, []).extend(values)
                found.append((question, first, second, by_prompt, [majority(own) for own in by_pair.values()]))
    tallies = [Tally.of([value for values in entry[3].values() for value in values]) for entry in found]
    adjusted = holm([tally.p_value for tally in tallies])
    verdicts = []
    for (axis_name, first, second, by_prompt, labels), tally, p_value in zip(found, tallies, adjusted, strict=True):
        interval = clustered_interval(by_prompt) if len(by_prompt) > 1 else tally.net_interval()
        counts = Counter(labels)
        told = (counts[1], counts[0], counts[-1], counts[None])
        verdicts.append(Verdict(axis_name, first, second, tally, len(by_prompt), interval, told, p_value))
    return verdicts


def _agreement(axis: str, votes: Sequence[Vote]) -> Agreement:
    by_pair: dict[str, list[Vote]] = {}
    for vote in votes:
        if axis in vote.answers:
            by_pair.setdefault(vote.pair, []).append(vote)
    table = [[float(vote.value(axis)) for vote in own] for own in by_pair.values() if len(own) > 1]
    between = [
        one.value(axis) == two.value(axis)
        for own in by_pair.values()
        for one in own
        for two in own
        if (one.round, two.round) == (1, 2)
    ]

    def alpha(scale: Any) -> float | None:
        try:
            return krippendorff_alpha(table, scale)
        except VivaceError:
            return None  # all votes alike, or no pair with two

    return Agreement(
        axis=axis,
        pairs=len(table),
        raw=raw_agreement(table) if table else None,
        alpha_nominal=alpha("nominal"),
        alpha_interval=alpha("interval"),
        between_rounds=float(np.mean(between)) if between else None,
    )


def _ranks(study: Study, votes: Sequence[Vote], pairs: Mapping[str, Pair]) -> tuple[list[Rank], str]:
    """Bradley-Terry strengths by axis, and why there are none."""
    if len(study.design.systems) < 3:
        return [], "Two systems are compared by their net alone."
    rng = np.random.default_rng(SEED)
    ranks: list[Rank] = []
    for axis in study.design.axes:
        own = [vote for vote in votes if axis.name in vote.answers]
        prompts = sorted({pairs[vote.pair].prompt_id for vote in own})
        if not own:
            continue
        # [prompts, pairs of systems, good / same / bad]
        opposed = list(dict.fromkeys((pair.first, pair.second) for pair in pairs.values()))
        counts = np.zeros((len(prompts), len(opposed), 3), int)
        for vote in own:
            pair = pairs[vote.pair]
            place = prompts.index(pair.prompt_id), opposed.index((pair.first, pair.second))
            counts[place][1 - vote.value(axis.name)] += 1
        try:
            whole = _elo(opposed, counts.sum(axis=0))
        except VivaceError as error:
            return [], str(error)
        draws: dict[str, list[float]] = {name: [] for name in whole}
        for _ in range(RANKING_DRAWS):
            drawn = counts[rng.integers(0, len(prompts), len(prompts))].sum(axis=0)
            try:
                found = _elo(opposed, drawn)
            except VivaceError:
                continue  # a draw in which a system was compared with no other
            for name, value in found.items():
                draws[name].append(value)
        for name, value in sorted(whole.items(), key=lambda entry: -entry[1]):
            low, high = np.quantile(draws[name] or [value], [0.025, 0.975])
            ranks.append(Rank(axis.name, name, value, float(low), float(high)))
    return ranks, ""


def _elo(opposed: Sequence[tuple[str, str]], counts: np.ndarray) -> dict[str, float]:
    entries = [Comparison(*names, *(int(n) for n in row)) for names, row in zip(opposed, counts, strict=True)]
    return fit_strengths(entries).elo
