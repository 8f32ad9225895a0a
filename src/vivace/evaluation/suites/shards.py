"""Several processes that share one run: which items each has, what it writes, and whether the others are done.

They need nothing but the results folder. Each shard says in shards/IofN.json that it has begun, is done or has failed,
and on what work; a shard of other items, batches, metrics or weights is none of the same run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vivace.errors import VivaceError
from vivace.evaluation.digests import content_digest
from vivace.evaluation.suites.ledger import SuiteMetric
from vivace.evaluation.suites.suite import SuiteItem
from vivace.media import replacing

_FORM = re.compile(r"([1-9]\d{0,3})/([1-9]\d{0,3})")
_FILE = re.compile(r"(\d+)of(\d+)\.json")
_FOLDER = "shards"

State = Literal["begun", "done", "failed"]


@dataclass(frozen=True, order=True)
class Shard:
    """The `number`th of `of` shares of a run's items, from 1."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """ "2/4" -> the second of four.

        Raises:
            VivaceError: anything else.
        """
        match = _FORM.fullmatch(text.strip())
        if match is None or int(match[1]) > int(match[2]):
            raise VivaceError(
                f"shard {text!r} is not I/N with I from 1 to N; give one such as 2/4, the second of four."
            )
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @property
    def part(self) -> str:
        """What its part of a ledger is called."""
        return f"{self.number}of{self.of}"

    def share(self, batches: Sequence[Sequence[SuiteItem]]) -> list[SuiteItem]:
        """Its items: a stretch of the batches in which one process would make all of them.

        Batches stay whole, since a clip's last bits depend on what it was made beside.
        """
        first, past = ((number * len(batches)) // self.of for number in (self.number - 1, self.number))
        return [item for batch in batches[first:past] for item in batch]


@dataclass(frozen=True)
class Doing:
    """What this process does of a run.

    Args:
        part: of the ledgers, that it writes; "" for the whole. ids: of the items that it makes and measures; None: all.
    """

    part: str = ""
    ids: frozenset[str] | None = None

    def of(self, items: Iterable[SuiteItem]) -> list[SuiteItem]:
        """Those of the items that it makes and measures."""
        return [item for item in items if self.ids is None or item.id in self.ids]


EVERYTHING = Doing()


def work_digest(
    identity: Mapping[str, Any],
    batches: Sequence[Sequence[SuiteItem]],
    metrics: Sequence[SuiteMetric],
    floor_networks: bool,
) -> str:
    """What tells the work of a run from another's: its items as they are shared, and what they are measured by."""
    asked = [
        [[item.id, item.prompt, item.seed, item.seconds, dict(item.texts), sorted(item.files)] for item in batch]
        for batch in batches
    ]
    judged = [[metric.name, metric.version, metric.weights] for metric in metrics]
    return content_digest([dict(identity), asked, judged, floor_networks])


class ShardRecord:
    """What the shards of a run say of themselves.

    Args:
        folder: results folder. work: `work_digest`.
    """

    def __init__(self, folder: Path, work: str) -> None:
        self._folder, self._work = folder, work

    def say(self, shard: Shard, state: State, why: str = "") -> None:
        """Write a shard's state. why: it has failed."""
        with replacing(self._path(shard)) as path:
            told = {"shard": str(shard), "state": state, "why": why, "work": self._work}
            path.write_text(json.dumps(told) + "\n", encoding="utf-8")

    def unfinished(self, of: int) -> dict[Shard, str]:
        """The shards of so many that are not done, and how it stands with each, in words."""
        told = {}
        for shard in (Shard(number, of) for number in range(1, of + 1)):
            state, why = self._read(shard)
            if state == "failed":
                told[shard] = f"has failed ({why.rstrip('.')})"
            elif state != "done":
                told[shard] = "has not finished" if state == "begun" else "has not begun"
        return told

    def check_finished(self) -> None:
        """Whether the work may go on without shards.

        Raises:
            VivaceError: shards have begun it and not all of them are done.
        """
        names = [_FILE.fullmatch(path.name) for path in (self._folder / _FOLDER).glob("*.json")]
        found = sorted(Shard(int(name[1]), int(name[2])) for name in names if name is not None)
        counts = {shard.of for shard in found if self._read(shard)[0] is not None}
        lacking = {of: self.unfinished(of) for of in sorted(counts)}
        if lacking and all(lacking.values()):
            unfinished = min(lacking.values(), key=len)
            raise VivaceError(
                f"{unfinished_told(unfinished)} in {self._folder}; give the same command with "
                f"--shard {next(iter(unfinished))} first, which goes on where it stopped."
            )

    def _read(self, shard: Shard) -> tuple[str | None, str]:
        """A shard's state and why; no state where it has said nothing of this work."""
        path = self._path(shard)
        if not path.is_file():
            return None, ""
        told = json.loads(path.read_text(encoding="utf-8"))
        return (told["state"], told["why"]) if told["work"] == self._work else (None, "")

    def _path(self, shard: Shard) -> Path:
        return self._folder / _FOLDER / f"{shard.part}.json"


def unfinished_told(unfinished: Mapping[Shard, str] | Mapping[str, str]) -> str:
    """ "Shard 1/3 has failed (no room), and 3/3 has not begun"."""
    return "Shard " + ", and ".join(f"{shard} {how}" for shard, how in unfinished.items())
