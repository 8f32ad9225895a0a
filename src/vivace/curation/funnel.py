"""What a ledger says: how many clips each stage took and left, what became of one clip, what a bound would do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vivace.curation.clip import Clip
from vivace.curation.engine import ENCODE, SPLIT
from vivace.curation.ledger_answers import count_aside, is_part, mean_seconds, rejections, verdict_on
from vivace.curation.ledger_reader import Entry, LedgerReader, Run
from vivace.curation.stage import Bound


@dataclass(frozen=True)
class Passage:
    """A stage's share in a run.

    Args:
        entered: clips (files up to the split) that came to it. kept: and went on.
        rejected: reason to number. aside: set aside after too many failures. waiting: not yet decided.
        seconds: mean time of one measurement; None where there is none.
    """

    stage: str
    entered: int
    kept: int
    rejected: dict[str, int]
    aside: int
    waiting: int
    seconds: float | None


def passages(ledger: LedgerReader) -> list[Passage]:
    """All stages of the last run, in order; readable while it runs.

    Afterwards the clips that are left (`LedgerReader.alive`) are those that all stages kept.
    """
    found = []
    with ledger.reading():
        ledger.begin_alive()
        for entry in ledger.plan():
            entered = ledger.count_alive()
            rejected = rejections(ledger, entry)
            aside, seconds = count_aside(ledger, entry), mean_seconds(ledger, entry)
            ledger.narrow(entry)
            kept = ledger.count_alive()
            waiting = entered - kept - sum(rejected.values()) - aside
            found.append(Passage(entry.stage, entered, kept, rejected, aside, waiting, seconds))
            if entry.stage == SPLIT:
                ledger.expand(entry.key)
    return found


@dataclass(frozen=True)
class Progress:
    """How far a curation is.

    Args:
        run: the last one. per_minute: clips that it has taken through a phase, on the average.
        minutes_left: what waits at the mean time of its stage, divided among the processes; at least, since files that
            wait for the split have an unknown number of clips to come.
    """

    stages: list[Passage]
    run: Run | None
    per_minute: float | None
    minutes_left: float


def progress(ledger: LedgerReader, now: float) -> Progress:
    """Of the last run, which may be going on; `now` in seconds since 1970."""
    found, run = passages(ledger), ledger.last_run()
    left = sum(passage.waiting * (passage.seconds or 0.0) for passage in found) / 60
    if run is None:
        return Progress(found, None, None, left)
    minutes = ((run.ended or now) - run.began) / 60
    rate = run.jobs / minutes if run.jobs and minutes > 0 else None
    return Progress(found, run, rate, left / max(run.workers, 1))


@dataclass(frozen=True)
class KeptClips:
    """What all stages of the last run kept before shards were written, in the order of the ids, with all columns. It
    can be gone through again and again, and holds one page of clips at a time; only one who goes through it at a time.
    """

    ledger: LedgerReader

    def __iter__(self) -> Iterator[Clip]:
        entries = [entry for entry in self.ledger.plan() if entry.stage != ENCODE]
        with self.ledger.reading():
            self.ledger.begin_alive()
            for entry in entries:
                self.ledger.narrow(entry)
                if entry.stage == SPLIT:
                    self.ledger.expand(entry.key)
        yield from self.ledger.alive([entry for entry in entries if entry.stage != SPLIT])


@dataclass(frozen=True)
class Chapter:
    """What one stage found of one clip.

    Args:
        verdict: "kept", "rejected", "set aside", "failed" (and to be tried again) or "not reached".
        reason: of a rejection by name and in words, or the error.
        columns: as measured and decided. bounds: of the stage.
    """

    stage: str
    verdict: str
    reason: str
    columns: dict[str, Any]
    bounds: dict[str, Bound]


def story(ledger: LedgerReader, clip: Clip) -> list[Chapter]:
    """A clip's way through the stages of the last run; of a part of a file, the stages after the split."""
    entries = ledger.plan()
    parted = [entry.stage for entry in entries].index(SPLIT) + 1 if any(e.stage == SPLIT for e in entries) else 0
    chosen = entries[parted:] if is_part(ledger, clip.id) else entries[:parted] or entries
    return [_chapter(ledger, clip, entry) for entry in chosen]


def _chapter(ledger: LedgerReader, clip: Clip, entry: Entry) -> Chapter:
    known = ledger.with_columns([clip.id], [entry])[0].columns
    prefix = f"{entry.stage}."
    columns = {name.removeprefix(prefix): value for name, value in known.items() if name.startswith(prefix)}
    bounds = {reason: Bound.model_validate(values) for reason, values in entry.settings["bounds"].items()}
    verdict, reason = verdict_on(ledger, clip.id, entry)
    return Chapter(entry.stage, verdict, reason, columns, bounds)
