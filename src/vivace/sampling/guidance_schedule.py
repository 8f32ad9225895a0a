"""Guidance that changes during a run: rules with the steps and noise levels at which they hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from vivace.errors import VivaceError
from vivace.sampling.guidance import Branch, GuidanceRule, Moment

Range = tuple[float, float]
EVERYWHERE: Range = (0.0, 1.0)


@dataclass(frozen=True)
class Phase:
    """A rule and when it holds.

    Args:
        steps: share of the run's steps, from the first up to but without the second.
        levels: noise levels, above the first and up to the second.
        to: where the rule goes to linearly over the phase's steps; of the same branches. None stays.
    """

    rule: GuidanceRule
    steps: Range = EVERYWHERE
    levels: Range = EVERYWHERE
    to: GuidanceRule | None = None

    def holds(self, moment: Moment) -> bool:
        done = moment.index / moment.steps
        return self.steps[0] <= done < self.steps[1] and self.levels[0] < moment.sigma <= self.levels[1]

    def at(self, moment: Moment) -> GuidanceRule:
        if self.to is None:
            return self.rule
        start, end = self.steps
        return blended(self.rule, self.to, (moment.index / moment.steps - start) / (end - start))

    def rules(self) -> tuple[GuidanceRule, ...]:
        return (self.rule,) if self.to is None else (self.rule, self.to)


@dataclass(frozen=True)
class GuidanceSchedule:
    """Phases, of which the first that holds counts, and a rule for all other steps.

    Raises:
        VivaceError: a range of a phase that is empty or leaves 0 to 1.
    """

    phases: tuple[Phase, ...]
    otherwise: GuidanceRule

    def __post_init__(self) -> None:
        for phase in self.phases:
            for low, high in (phase.steps, phase.levels):
                if not 0 <= low < high <= 1:
                    raise VivaceError(
                        f"Guidance from {low:g} to {high:g} is no stretch of a run; give two from 0 to 1."
                    )

    def at(self, moment: Moment) -> GuidanceRule:
        """The rule of a step."""
        for phase in self.phases:
            if phase.holds(moment):
                return phase.at(moment)
        return self.otherwise

    def needed(self, *, plain: bool = False) -> tuple[Branch, ...]:
        """The branches that some step may evaluate, each once."""
        rules = [rule for phase in self.phases for rule in phase.rules()] + [self.otherwise]
        return tuple({branch.name: branch for rule in rules for branch in rule.needed(plain=plain)}.values())

    def mapped(self, change: Callable[[GuidanceRule], GuidanceRule]) -> GuidanceSchedule:
        """With every rule changed alike."""
        phases = (
            replace(phase, rule=change(phase.rule), to=None if phase.to is None else change(phase.to))
            for phase in self.phases
        )
        return GuidanceSchedule(tuple(phases), change(self.otherwise))

    def only(self, *, video: bool, audio: bool) -> GuidanceSchedule:
        """Without the weights of a side that needs no prediction."""
        return self.mapped(lambda rule: rule.only(video=video, audio=audio))

    def reduced(self, *, video: bool, audio: bool, voices: bool, references: bool = False) -> GuidanceSchedule:
        """Every rule reduced to what a call really has."""
        return self.mapped(lambda r: r.reduced(video=video, audio=audio, voices=voices, references=references))


def blended(rule: GuidanceRule, other: GuidanceRule, share: float) -> GuidanceRule:
    """(1 - share) of a rule and `share` of another one of the same branches; weights are linear in every scale."""

    def mixed(mine: Mapping[str, float], theirs: Mapping[str, float]) -> dict[str, float]:
        names = dict.fromkeys((*mine, *theirs))
        return {name: (1 - share) * mine.get(name, 0.0) + share * theirs.get(name, 0.0) for name in names}

    return GuidanceRule(rule.branches, rule.weights.map(mixed, other.weights))
