"""What a run would do, without doing it: how much another setting or bound leaves to be measured, and keeps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from vivace.curation.clip import Clip
from vivace.curation.engine import SPLIT
from vivace.curation.ledger import entry_of, settle
from vivace.curation.ledger_answers import mean_seconds
from vivace.curation.ledger_reader import PAGE, Entry, LedgerReader
from vivace.curation.stage import Planned, SetStage


@dataclass(frozen=True)
class Foreseen:
    """A stage's share in a run that is still to come.

    Args:
        came: clips (files up to the split) that would come to it, as far as is known.
        known: of them measured already. kept: and kept; what is not measured is in neither.
        seconds: what one measurement took so far; None where there was none.
    """

    stage: str
    came: int
    known: int
    kept: int
    seconds: float | None

    @property
    def to_measure(self) -> int:
        """At least: clips that earlier stages have still to measure may come too."""
        return self.came - self.known


def foresee(ledger: LedgerReader, planned: Sequence[Planned]) -> list[Foreseen]:
    """All stages in order, with today's measurements and these bounds. Nothing is written."""
    found = []
    before: list[Entry] = []
    with ledger.reading():
        ledger.begin_alive()
        for stage in planned:
            entry = entry_of(stage)
            came, known = ledger.count_alive(), 0
            for page in ledger.alive_pages():
                steps = ledger.steps_of(page, entry)
                known += len(steps)
                dropped = [clip for clip in page if clip not in steps or steps[clip].columns is None]
                if not stage.over_set:
                    measured = [clip for clip in page if clip not in set(dropped)]
                    clips = ledger.with_columns(measured, before)
                    dropped += [clip.id for clip in clips if settle(stage, clip, steps[clip.id])[1] is not None]
                ledger.drop(dropped)
            if isinstance(stage.stage, SetStage):
                left_out = _left_out(ledger, stage.stage, [*before, entry])
                while ids := list(islice(left_out, PAGE)):
                    ledger.drop(ids)
            found.append(Foreseen(stage.name, came, known, ledger.count_alive(), mean_seconds(ledger, entry)))
            before.append(entry)
            if stage.name == SPLIT:
                ledger.expand(stage.key)
                before = []
    return found


def _left_out(ledger: LedgerReader, stage: SetStage, entries: Sequence[Entry]) -> Iterator[str]:
    clips: Iterator[Clip] = ledger.alive([entry for entry in entries if entry.stage in (*stage.needs, stage.name)])
    for decision in stage.decide(clips):
        if decision.rejected is not None:
            yield decision.clip
