"""JSON lines that several processes write together: each appends to a part of its own, and all read every part.

Of items.jsonl the part "1of2" is items.1of2.jsonl. A row says by its `turn` when it was written: one more than any row
that its writer had found. Of two rows on the same thing so the later one is known, whatever file it is in; processes
that work at the same time have things of their own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vivace.evaluation.ledger import rows_in, whole_rows

TURN = "turn"


class PartedLines:
    """Args:
    folder, stem: the lines lie in folder/STEM.jsonl and its parts. part: that this process writes; "" for STEM.jsonl.
    """

    def __init__(self, folder: Path, stem: str, part: str = "") -> None:
        self._own = folder / (f"{stem}.{part}.jsonl" if part else f"{stem}.jsonl")
        whole_rows(self._own)  # what a crash cut off in the own part is cut off the file
        self.rows = rows_of_all(folder, stem)
        self._turn = 1 + max((_turn(row) for row in self.rows), default=0)

    def add(self, row: Mapping[str, Any]) -> None:
        """Append a row to the own part."""
        line = json.dumps({**row, TURN: self._turn}, ensure_ascii=False) + "\n"
        with self._own.open("a", encoding="utf-8") as lines:
            lines.write(line)


def rows_of_all(folder: Path, stem: str) -> list[Any]:
    """The rows of all parts, later ones last; lines that are being written, or were cut off, are left out.

    Raises:
        VivaceError: a line holds no row.
    """
    rows: list[Any] = []
    for path in parts_of(folder, stem):
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        rows += rows_in(path, whole)
    return sorted(rows, key=_turn)


def _turn(row: Mapping[str, Any]) -> int:
    turn = row.get(TURN)
    return turn if isinstance(turn, int) else 0  # as lines of earlier versions, which have none


def parts_of(folder: Path, stem: str) -> list[Path]:
    """The files that there are: STEM.jsonl, then its parts by number."""
    whole, form = folder / f"{stem}.jsonl", re.compile(rf"{re.escape(stem)}\.(\d+)of(\d+)\.jsonl")
    found = {path: form.fullmatch(path.name) for path in folder.glob(f"{stem}.*.jsonl")}
    numbers = {path: (int(name[2]), int(name[1])) for path, name in found.items() if name is not None}
    return [*([whole] if whole.is_file() else []), *sorted(numbers, key=numbers.__getitem__)]
