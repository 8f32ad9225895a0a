"""Guidance as data: which predictions are made at every step, and how each modality mixes them.

A branch says what the network is shown; a rule gives each modality a weight per branch. NAVA's condition-factorised
guidance is one such table (`nava_rule`); a user's own rule is another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from torch import Tensor

from vivace.errors import VivaceError
from vivace.pair import AV
from vivace.sampling.settings_checks import is_number

TextName = Literal["positive", "negative"]
MAX_SCALE = 100.0


@dataclass(frozen=True)
class Branch:
    """What the network is shown in one evaluation.

    Args:
        name: how weights and predictions refer to it.
        text: which of the prompts it reads.
        voices: whether the speakers' tokens are in the text.
        exchange: whether picture and sound attend to each other.
        references: whether it sees the pictures of who is to be seen.
    """

    name: str
    text: TextName = "positive"
    voices: bool = True
    exchange: bool = True
    references: bool = True


@dataclass(frozen=True)
class Moment:
    """Where a sampling run is: step `index` of `steps`, and the noise level from 1 to 0 at its beginning."""

    index: int
    steps: int
    sigma: float


class Guidance(Protocol):
    """A rule for each step of a run: `GuidanceRule` is the same throughout, `GuidanceSchedule` is not."""

    def at(self, moment: Moment) -> GuidanceRule: ...

    def needed(self, *, plain: bool = False) -> tuple[Branch, ...]:
        """The branches that some step evaluates; with `plain`, the plain prediction in any case."""

    def only(self, *, video: bool, audio: bool) -> Guidance: ...

    def reduced(self, *, video: bool, audio: bool, voices: bool, references: bool = False) -> Guidance: ...


CONDITIONAL = Branch("conditional")
UNCONDITIONAL = Branch("unconditional", text="negative", voices=False)
MASKED = Branch("masked", exchange=False)
MASKED_VOICELESS = Branch("masked", voices=False, exchange=False)  # the published program's
TIMBRE_FREE = Branch("timbre_free", voices=False)


@dataclass(frozen=True)
class GuidanceRule:
    """Branches, and for each modality the weight of every branch in its guided prediction (absent means 0).

    The weights of a modality sum to 1: when all branches agree, guidance changes nothing. The first branch is the plain
    prediction, which guidance departs from.

    Raises:
        VivaceError: a weight for an unknown branch, two branches of one name, a weight that is not finite, or weights
            that do not sum to 1.
    """

    branches: tuple[Branch, ...]
    weights: AV[Mapping[str, float]]

    def __post_init__(self) -> None:
        names = [branch.name for branch in self.branches]
        if len(set(names)) < len(names):
            raise VivaceError(f"A guidance rule has two branches of one name ({', '.join(names)}); rename one.")
        for modality, weights in self.weights.items():
            unknown = sorted(set(weights) - set(names))
            if unknown:
                raise VivaceError(f"A guidance rule weighs {unknown[0]!r}, which is none of its branches; add it.")
            total = math.fsum(weights.values())
            if not abs(total - 1) <= 1e-6 * max(1.0, *map(abs, weights.values())):
                raise VivaceError(f"The {modality} weights of a guidance rule sum to {total:g}; make them sum to 1.")

    def at(self, moment: Moment) -> GuidanceRule:
        """The rule of a step: this one at all of them."""
        return self

    def only(self, *, video: bool, audio: bool) -> GuidanceRule:
        """The rule without the weights of a side that needs no prediction."""
        return replace(self, weights=AV(self.weights.video if video else None, self.weights.audio if audio else None))

    def needed(self, *, plain: bool = False) -> tuple[Branch, ...]:
        """The branches that have a weight in at least one modality; the others need not be run.

        Args:
            plain: the first branch in any case.
        """
        used = {name for _, weights in self.weights.items() for name, weight in weights.items() if weight}
        used |= {self.branches[0].name} if plain else set()
        return tuple(branch for branch in self.branches if branch.name in used)

    def reduced(self, *, video: bool, audio: bool, voices: bool, references: bool = False) -> GuidanceRule:
        """The same rule for what a call really has: branches that become equal are merged, their weights added.

        Without a second modality there is no exchange to switch off, and without voices or references none to leave
        out.
        """
        both = video and audio
        kept: dict[Branch, str] = {}
        target: dict[str, str] = {}
        for branch in self.branches:
            seen = replace(
                branch,
                name="",
                voices=branch.voices and voices,
                exchange=branch.exchange and both,
                references=branch.references and references,
            )
            target[branch.name] = kept.setdefault(seen, branch.name)
        sides = AV(self.weights.video if video else None, self.weights.audio if audio else None)

        def merged(weights: Mapping[str, float]) -> dict[str, float]:
            total: dict[str, float] = {}
            for name, weight in weights.items():
                total[target[name]] = total.get(target[name], 0.0) + weight
            return total

        return GuidanceRule(tuple(b for b in self.branches if target[b.name] == b.name), sides.map(merged))

    def combine(self, predictions: Mapping[str, AV[Tensor]]) -> AV[Tensor]:
        """The guided velocity in float32 from each needed branch's prediction; sides absent there stay absent."""
        used = self.needed()
        shape = predictions[used[0].name]

        def side(modality: Literal["video", "audio"]) -> Tensor | None:
            weights = self.weights.get(modality)
            if shape.get(modality) is None or weights is None:
                return None
            total: Tensor | None = None
            for branch in used:
                weight = weights.get(branch.name, 0.0)
                prediction = predictions[branch.name].get(modality)
                if weight and prediction is not None:
                    term = prediction.float() * weight
                    total = term if total is None else total + term
            return total

        return AV(side("video"), side("audio"))


def nava_rule(
    text: AV[float],
    align: AV[float] | None = None,
    timbre: float | None = None,
    *,
    official: bool = False,
) -> GuidanceRule:
    """NAVA's condition-factorised guidance (arXiv 2605.30073).

    With P the full prediction, N the one for the negative text, M the one without exchange between the modalities and
    T the one without voices:

    - ours: N + s (P - N) + a (P - M) + c (P - T). A scale is what it says: s = 1, a = 0, c = 0 is the plain model.
    - official: the published program's base depends on what is switched on. A modality with align (or, for sound,
      timbre) uses P + s (P - N) + a (P - M) + c (P - T), one without N + s (P - N). None means switched off.

    Timbre acts on the sound only, as published.

    Raises:
        VivaceError: a scale that is not finite or beyond 100.
    """
    scales = {"text": text, "align": align or AV(), "timbre": AV(None, timbre)}
    for name, pair in scales.items():
        for modality, scale in pair.items():
            check_scale(f"{name}.{modality}", scale)

    def weights(modality: Literal["video", "audio"], s: float) -> Mapping[str, float]:
        a = (align.get(modality) if align else None) or 0.0
        c = timbre if modality == "audio" and timbre else 0.0
        switched = align is not None or (modality == "audio" and timbre is not None)
        extra = s if official and switched else s - 1
        return {
            CONDITIONAL.name: 1 + extra + a + c,
            UNCONDITIONAL.name: -extra,
            MASKED.name: -a,
            TIMBRE_FREE.name: -c,
        }

    sides = AV(
        None if text.video is None else weights("video", text.video),
        None if text.audio is None else weights("audio", text.audio),
    )
    masked = MASKED_VOICELESS if official else MASKED
    return GuidanceRule((CONDITIONAL, UNCONDITIONAL, masked, TIMBRE_FREE), sides)


def check_scale(name: str, scale: float) -> None:
    """Raises VivaceError unless a guidance scale is a finite number from -100 to 100."""
    if not is_number(scale) or not math.isfinite(scale) or abs(scale) > MAX_SCALE:
        raise VivaceError(f"Guide {name} = {scale!r} is out of range; give a number from -100 to 100, such as 3.")
