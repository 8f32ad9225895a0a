"""Alive's guidance by several conditions: text (c_pos against c_neg), the other modality (c_mutual), references.

The report names the conditions and gives no formula; the three forms are founded choices (`DEVIATIONS.md`). In all of
them a scale of 1 everywhere is the plain prediction, and every modality has scales of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from vivace.errors import VivaceError
from vivace.pair import AV
from vivace.sampling.guidance import CONDITIONAL, Branch, Guidance, GuidanceRule, check_scale
from vivace.sampling.guidance_schedule import GuidanceSchedule, Phase

MutualForm = Literal["additive", "nested", "fast"]
Weights = Callable[[float, float, float | None], Mapping[str, float]]

# e1 is CONDITIONAL: positive text, exchange on, references shown.
NEGATIVE = Branch("negative", text="negative")  # e2
SOLO = Branch("solo", exchange=False)  # e3
NEGATIVE_SOLO = Branch("negative_solo", text="negative", exchange=False)  # e0
UNREFERENCED = Branch("unreferenced", references=False)
NOTHING = Branch("nothing", text="negative", exchange=False, references=False)

# Of the fast form: the share of the steps in which one negative pass leaves out both conditions (UniAVGen).
FAST_SHARE = 0.5


def mutual_guidance(
    text: AV[float],
    mutual: AV[float],
    references: AV[float] | None = None,
    *,
    form: MutualForm = "additive",
    above: float = 0.0,
) -> Guidance:
    """Guidance over up to three conditions, with e1 = v(pos, on), e2 = v(neg, on), e3 = v(pos, off), e0 = v(neg, off):

    - additive: e1 + (s - 1)(e1 - e2) + (m - 1)(e1 - e3), and with references + (r - 1)(e1 - v(pos, on, none shown)).
    - nested: e0 + s (e3 - e0) + m (e1 - e3). With references, all off but the last: n + r (e0 - n) + s (e3 - e0) +
      m (e1 - e3), n being v(neg, off, none shown).
    - fast: two passes. In the first half of the steps e0 + s (e1 - e0), e0 without references, then e2 + s (e1 - e2):
      one strength for all conditions.

    Args:
        text, mutual, references: scales s, m and r of each modality; references None where none are shown.
        above: mutual guidance acts at noise levels above this one only; below it m is 1. Not with the fast form.

    Raises:
        VivaceError: a scale that is not finite or beyond 100; a level outside of 0 to 1; a fast form whose scales
            differ.
    """
    for name, pair in (("text", text), ("mutual", mutual), ("references", references or AV())):
        for modality, scale in pair.items():
            check_scale(f"{name}.{modality}", scale)
    if not 0 <= above < 1:
        raise VivaceError(f"Mutual guidance above noise level {above!r} is impossible; give a level from 0 up to 1.")
    if form == "fast":
        return _fast(text, mutual, references)
    make = _additive if form == "additive" else _nested
    rule = _rule(make, text, mutual, references)
    if not above:
        return rule
    calm = _rule(make, text, mutual.map(lambda _: 1.0), references)
    return GuidanceSchedule((Phase(rule, levels=(above, 1.0)),), calm)


_BRANCHES = (CONDITIONAL, NEGATIVE, SOLO, NEGATIVE_SOLO, UNREFERENCED, NOTHING)


def _rule(make: Weights, text: AV[float], mutual: AV[float], references: AV[float] | None) -> GuidanceRule:
    if references is None:
        return GuidanceRule(_BRANCHES, text.map(lambda s, m: make(s, m, None), mutual))
    return GuidanceRule(_BRANCHES, text.map(make, mutual, references))


def _additive(s: float, m: float, r: float | None) -> Mapping[str, float]:
    extra = 0.0 if r is None else r - 1
    return {
        CONDITIONAL.name: 1 + (s - 1) + (m - 1) + extra,
        NEGATIVE.name: 1 - s,
        SOLO.name: 1 - m,
        UNREFERENCED.name: -extra,
    }


def _nested(s: float, m: float, r: float | None) -> Mapping[str, float]:
    weights = {CONDITIONAL.name: m, SOLO.name: s - m}
    if r is None:
        return weights | {NEGATIVE_SOLO.name: 1 - s}
    return weights | {NEGATIVE_SOLO.name: r - s, NOTHING.name: 1 - r}


def _fast(text: AV[float], mutual: AV[float], references: AV[float] | None) -> GuidanceSchedule:
    for modality, scale in text.items():
        others = (mutual.get(modality), scale if references is None else references.get(modality))
        if any(other != scale for other in others):
            raise VivaceError(
                f"The fast form has one strength for all conditions, and those of {modality} differ; "
                "set them to the same number or choose additive."
            )

    def rule(base: Branch) -> GuidanceRule:
        return GuidanceRule(_BRANCHES, text.map(lambda s: {CONDITIONAL.name: s, base.name: 1 - s}))

    first = NEGATIVE_SOLO if references is None else NOTHING
    return GuidanceSchedule((Phase(rule(first), steps=(0.0, FAST_SHARE)),), rule(NEGATIVE))
