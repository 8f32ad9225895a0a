"""Balance: speaking and silent first, then the long tail of labels towards uniform shares.

Only leaves out, never repeats: which clips of a too frequent label are left out is drawn by their ids, so that the same
set gives the same choice and a larger one mostly the same.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from pydantic import Field

from vivace.curation.clip import Clip, Rejected
from vivace.curation.stage import Decision, StageSettings
from vivace.curation.stages.coherence import WEAK


class BalanceSettings(StageSettings):
    """Target shares."""

    DECIDING: ClassVar = frozenset({"speaking", "weak", "temper", "most", "wanted"})

    speaking: float | None = Field(
        default=0.5, ge=0, le=1, description="share of clips with speech; none leaves it as it is"
    )
    weak: float = Field(
        default=0.25, ge=0, le=1, description="largest share of clips whose sound is not of the picture"
    )
    temper: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="a label of n clips keeps a number in proportion to n ** temper: 1 all, 0 as many as the rarest",
    )
    most: float = Field(default=1.0, gt=0, le=1, description="share of the clips that are kept at most, in all")
    wanted: dict[str, float] = Field(
        default_factory=dict, description="a label, or the beginning of its path, to a factor on its number"
    )


class Balance:
    """Leaves out what is too frequent."""

    name: ClassVar[str] = "balance"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("coherence", "labels")

    def __init__(self, settings: BalanceSettings) -> None:
        self.settings = settings

    def measure(self, clip: Clip) -> Clip | Rejected:
        # What balance looks at in one place, small enough to be held of a whole set.
        return clip.with_columns(
            self.name, label=clip["labels.label"], speaking=clip["labels.speaking"], kind=clip["coherence.kind"]
        )

    def decide(self, clips: Iterable[Clip]) -> Iterator[Decision]:
        """Three rounds: weakly coherent clips, speaking against silent, then labels within each of the two."""
        s = self.settings
        groups: dict[tuple[bool, str, bool], list[str]] = defaultdict(list)
        for clip in clips:
            key = (clip["balance.speaking"], clip["balance.label"], clip["balance.kind"] == WEAK)
            groups[key].append(clip.id)
        left = {key: sorted(ids, key=_lot) for key, ids in groups.items()}
        total = sum(map(len, left.values()))
        reasons: dict[str, str] = {}

        def reduce(targets: Mapping[tuple[bool, str, bool], int], reason: str) -> None:
            for key, target in targets.items():
                for left_out in left[key][target:]:
                    reasons[left_out] = reason
                left[key] = left[key][:target]

        strong = sum(len(ids) for (_, _, weak), ids in left.items() if not weak)
        allowed = round(strong * s.weak / (1 - s.weak)) if s.weak < 1 else total
        reduce(_shared({k: len(v) for k, v in left.items() if k[2]}, allowed), "weakly_coherent")
        if s.speaking is not None:
            speaking = sum(len(ids) for key, ids in left.items() if key[0])
            silent = sum(len(ids) for key, ids in left.items() if not key[0])
            if speaking and silent:
                whole = min(
                    speaking / s.speaking if s.speaking else float("inf"),
                    silent / (1 - s.speaking) if s.speaking < 1 else float("inf"),
                )
                for side, share in ((True, s.speaking), (False, 1 - s.speaking)):
                    sizes = {key: len(ids) for key, ids in left.items() if key[0] == side}
                    reduce(_shared(sizes, round(whole * share)), "speaking" if side else "not_speaking")
        for side in (True, False):
            frequent = Counter[str]()
            for (spoken, name, _), ids in left.items():
                frequent[name] += len(ids) if spoken == side else 0
            targets = tempered({name: n for name, n in frequent.items() if n}, s.temper, s.wanted)
            for name, target in targets.items():
                parts = {k: len(v) for k, v in left.items() if k[0] == side and k[1] == name}
                reduce(_shared(parts, target), "frequent_label")
        kept = sum(map(len, left.values()))
        if kept > s.most * total:
            reduce(_shared({k: len(v) for k, v in left.items()}, round(s.most * total)), "enough")
        for clip_id, reason in reasons.items():
            yield Decision(clip_id, Rejected(reason))


def tempered(sizes: Mapping[str, int], temper: float, wanted: Mapping[str, float]) -> dict[str, int]:
    """How many clips each label keeps: in proportion to size ** temper times its factor, as many as can be had so
    that the label that is scarcest against its share keeps all."""
    if not sizes:
        return {}
    weights = {name: n**temper * _factor(name, wanted) for name, n in sizes.items()}
    scale = min(n / weights[name] for name, n in sizes.items() if weights[name] > 0) if any(weights.values()) else 0.0
    return {name: min(n, max(1, round(scale * weights[name]))) if weights[name] else 0 for name, n in sizes.items()}


def _factor(name: str, wanted: Mapping[str, float]) -> float:
    fitting = [key for key in wanted if name == key or name.startswith(key + "/")]
    return max(wanted[max(fitting, key=len)], 0.0) if fitting else 1.0


def _shared(sizes: Mapping[tuple[bool, str, bool], int], target: int) -> dict[tuple[bool, str, bool], int]:
    """`target` clips from groups in proportion to their sizes, to the clip (largest remainders)."""
    total = sum(sizes.values())
    if target >= total:
        return dict(sizes)
    exact = {key: n * target / total for key, n in sizes.items()}
    found = {key: int(value) for key, value in exact.items()}
    rest = sorted(exact, key=lambda key: (found[key] - exact[key], str(key)))
    for key in rest[: target - sum(found.values())]:
        found[key] += 1
    return found


def _lot(clip: str) -> str:
    """A place in an order that has nothing to do with the ids' own."""
    return hashlib.sha256(f"balance {clip}".encode()).hexdigest()
