"""Balance: speaking and silent first, then the long tail of labels towards uniform shares, or to those that are stated.

Only leaves out, never repeats: which clips of a too frequent label are left out is drawn by their ids, so that the same
set gives the same choice and a larger one mostly the same.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing
from typing import Annotated, ClassVar, NamedTuple

from pydantic import Field, model_validator

from vivace.curation.clip import Clip, Rejected
from vivace.curation.stage import Decision, StageSettings
from vivace.curation.stages.coherence import WEAK
from vivace.curation.target_shares import SILENT, SPEAKING, shared, stated, tempered
from vivace.curation.taxonomy import DOMAINS, paths

# What balance looks at beside labels where those stages are in use.
BESIDE = ("coherence", "sound")


class BalanceSettings(StageSettings):
    """Target shares."""

    DECIDING: ClassVar = frozenset(
        {"speaking", "weak", "music", "music_from", "temper", "rare", "most", "wanted", "shares"}
    )

    speaking: float | None = Field(
        default=0.5, ge=0, le=1, description="share of clips with speech; none leaves it as it is"
    )
    weak: float = Field(
        default=0.25, ge=0, le=1, description="largest share of clips whose sound is not of the picture"
    )
    music: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="largest share of clips with a music bed; none come as long as the bound sound.music is in use",
    )
    music_from: float = Field(default=0.65, ge=0, le=1, description="share of held notes from which a clip has one")
    temper: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="a label of n clips keeps a number in proportion to n ** temper: 1 all, 0 as many as the rarest",
    )
    rare: float = Field(
        default=0.01,
        ge=0,
        lt=1,
        description="share of the clips below which a label is kept whole, and the others do not wait for it",
    )
    most: float = Field(default=1.0, gt=0, le=1, description="share of the clips that are kept at most, in all")
    wanted: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(
        default_factory=dict, description="a label, or the beginning of its path, to a factor on its number"
    )
    shares: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(
        default_factory=dict, description="a label, or the beginning of its path, to its share of all that is kept"
    )

    @model_validator(mode="after")
    def _shares_make_sense(self) -> BalanceSettings:
        for table, names in (("wanted", self.wanted), ("shares", self.shares)):
            for name in names:
                if name not in paths():
                    raise ValueError(
                        f"{table} names {name!r}, which is no label; name one such as Animals, Animals/pets or "
                        f"Animals/pets/dog, of {', '.join(DOMAINS)} or Other"
                    )
        if sum(self.shares.values()) > 1 + 1e-9:
            raise ValueError(f"shares add up to {sum(self.shares.values()):g}; keep them to 1 at most")
        for name in self.shares:
            above = next((other for other in self.shares if name.startswith(other + "/")), None)
            if above is not None:
                raise ValueError(f"shares name {name!r} and {above!r}, in which it lies; state one of them")
        return self


class Group(NamedTuple):
    """Clips between which balance draws lots."""

    speaking: bool
    label: str
    weak: bool
    music: bool


class Balance:
    """Leaves out what is too frequent.

    Args:
        beside: the stages of `BESIDE` that are in use; clips are neither weak nor music to one that is not.
    """

    name: ClassVar[str] = "balance"
    version: ClassVar[int] = 2

    def __init__(self, settings: BalanceSettings, beside: Collection[str] = BESIDE) -> None:
        self.settings = settings
        self.needs: tuple[str, ...] = (*(name for name in BESIDE if name in beside), "labels")

    def measure(self, clip: Clip) -> Clip | Rejected:
        # What balance looks at in one place.
        return clip.with_columns(
            self.name,
            label=clip["labels.label"],
            domain=clip["labels.label"].partition("/")[0],
            speaking=clip["labels.speaking"],
            kind=clip.get("coherence.kind"),
            tonal=clip.get("sound.tonal"),
        )

    def decide(self, clips: Iterable[Clip]) -> Iterator[Decision]:
        """Rounds over the groups' sizes, then over their clips in the order of their lots.

        Clips lie in a temporary database, so that memory does not grow with the set.
        """
        numbers: dict[Group, int] = {}
        sizes = Counter[Group]()

        def rows() -> Iterator[tuple[int, bytes, str]]:
            for clip in clips:
                group = self._group(clip)
                sizes[group] += 1
                yield numbers.setdefault(group, len(numbers)), _lot(clip.id), clip.id

        with closing(sqlite3.connect("")) as store:
            store.execute("CREATE TABLE seen(number INTEGER, lot BLOB, id TEXT)")
            store.executemany("INSERT INTO seen VALUES (?, ?, ?)", rows())
            steps = {numbers[group]: found for group, found in self._steps(sizes).items()}
            before, place = -1, 0
            for number, clip in store.execute("SELECT number, id FROM seen ORDER BY number, lot, id"):
                place = place + 1 if number == before else 0
                before = number
                # Who has the lot that an earlier round left out did not come to the later ones.
                reason = next((reason for target, reason in steps.get(number, ()) if place >= target), None)
                if reason is not None:
                    yield Decision(clip, Rejected(reason))

    def _group(self, clip: Clip) -> Group:
        tonal = clip.get("balance.tonal")
        return Group(
            clip["balance.speaking"],
            clip["balance.label"],
            clip["balance.kind"] == WEAK,
            tonal is not None and tonal > self.settings.music_from,
        )

    def _steps(self, sizes: Mapping[Group, int]) -> dict[Group, list[tuple[int, str]]]:
        """How many clips of each group are left after each round, and the reason of those that went."""
        s = self.settings
        left, total = dict(sizes), sum(sizes.values())
        steps: dict[Group, list[tuple[int, str]]] = defaultdict(list)

        def reduce(targets: Mapping[Group, int], reason: str) -> None:
            for group, target in targets.items():
                if target < left[group]:
                    steps[group].append((target, reason))
                    left[group] = target

        def at_most(chosen: set[Group], share: float, reason: str) -> None:
            others = sum(n for group, n in left.items() if group not in chosen)
            allowed = round(others * share / (1 - share)) if share < 1 else total
            reduce(shared({group: left[group] for group in left if group in chosen}, allowed), reason)

        def sided() -> None:
            for group, target in _sided(left, s.speaking).items():
                reduce({group: target}, "speaking" if group.speaking else "not_speaking")

        at_most({group for group in left if group.weak}, s.weak, "weakly_coherent")
        at_most({group for group in left if group.music}, s.music, "music")
        if s.shares:
            # Both at once, so that no clip of a scarce label goes for the sides' sake alone.
            reduce(self._labels(left), "frequent_label")
        else:
            sided()
            reduce(self._labels(left), "frequent_label")
            sided()  # labels may have taken more of one side
        if sum(left.values()) > s.most * total:
            reduce(shared(left, round(s.most * total)), "enough")
        return steps

    def _labels(self, left: Mapping[Group, int]) -> dict[Group, int]:
        """How many of each group its label's share allows."""
        s = self.settings
        sides: dict[bool, Counter[str]] = {SPEAKING: Counter(), SILENT: Counter()}
        for group, n in left.items():
            if n:
                sides[group.speaking][group.label] += n
        if s.shares:
            targets = stated(sides, shares=s.shares, speaking=s.speaking, temper=s.temper, wanted=s.wanted, rare=s.rare)
        else:
            targets = {
                (side, name): target
                for side, labels in sides.items()
                for name, target in tempered(labels, s.temper, s.wanted, s.rare).items()
            }
        found: dict[Group, int] = {}
        for (side, name), target in targets.items():
            parts = {group: n for group, n in left.items() if (group.speaking, group.label) == (side, name)}
            found |= shared(parts, target)
        return found


def _sided(left: Mapping[Group, int], share: float | None) -> dict[Group, int]:
    """As many clips as can be had with this share of speaking ones; all where there is but one side."""
    sides = {side: {group: n for group, n in left.items() if group.speaking == side} for side in (SPEAKING, SILENT)}
    speaking, silent = (sum(sides[side].values()) for side in (SPEAKING, SILENT))
    if share is None or not speaking or not silent:
        return dict(left)
    whole = min(
        speaking / share if share else float("inf"),
        silent / (1 - share) if share < 1 else float("inf"),
    )
    return shared(sides[SPEAKING], round(whole * share)) | shared(sides[SILENT], round(whole * (1 - share)))


def _lot(clip: str) -> bytes:
    """A place in an order that has nothing to do with the ids' own."""
    return hashlib.sha256(f"balance {clip}".encode()).digest()[:16]
