"""What a ledger tells of a stage or a clip: counts, verdicts, failures, distributions and examples.

Counts are of the clips that are left (`LedgerReader.begin_alive` and `narrow`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vivace.curation.clip import Clip
from vivace.curation.ledger_reader import Entry, LedgerReader


@dataclass(frozen=True)
class Failure:
    """A stage that failed on a clip."""

    clip: str
    stage: str
    attempts: int
    error: str
    quarantined: bool


@dataclass(frozen=True)
class Histogram:
    """Counts in equal steps from `low` to `high`, and how many clips have no value."""

    low: float
    high: float
    counts: tuple[int, ...]
    without: int


def failures(ledger: LedgerReader) -> list[Failure]:
    """What failed under the plan in force, the clips set aside first."""
    rows = ledger.connection.execute(
        "SELECT f.clip, f.stage, f.attempts, f.error, f.quarantined FROM failures f JOIN plan p "
        "ON p.stage = f.stage AND p.key = f.key ORDER BY f.quarantined DESC, p.place, f.clip"
    )
    return [Failure(clip, stage, attempts, error, bool(aside)) for clip, stage, attempts, error, aside in rows]


def rejections(ledger: LedgerReader, entry: Entry) -> dict[str, int]:
    """Reasons of a stage and how many of the clips that are left it rejected for each, the most frequent first."""
    rows = ledger.connection.execute(
        "SELECT v.reason, COUNT(*) AS n FROM verdicts v JOIN alive a ON a.id = v.clip "
        "WHERE v.stage = ? AND v.key = ? AND v.bounds = ? AND NOT v.kept GROUP BY v.reason ORDER BY n DESC, 1",
        (entry.stage, entry.key, entry.bounds),
    )
    return {str(reason): int(count) for reason, count in rows}


def count_aside(ledger: LedgerReader, entry: Entry) -> int:
    """How many of the clips that are left the stage has failed on too often."""
    rows = ledger.connection.execute(
        "SELECT COUNT(*) FROM failures f JOIN alive a ON a.id = f.clip "
        "WHERE f.stage = ? AND f.key = ? AND f.quarantined",
        (entry.stage, entry.key),
    )
    return int(rows.fetchone()[0])


def mean_seconds(ledger: LedgerReader, entry: Entry) -> float | None:
    """Of one measurement of the stage."""
    row = ledger.connection.execute(
        "SELECT AVG(seconds) FROM measured WHERE stage = ? AND key = ?", (entry.stage, entry.key)
    ).fetchone()
    return None if row[0] is None else float(row[0])


def parts_of(ledger: LedgerReader, clip: str) -> list[str]:
    """The ids of the clips that the last run's split found in a file, in order."""
    rows = ledger.connection.execute(
        "SELECT DISTINCT p.place, p.clip FROM parts p JOIN plan q ON q.key = p.key WHERE p.parent = ? ORDER BY 1",
        (clip,),
    )
    return [str(row[1]) for row in rows]


def is_part(ledger: LedgerReader, clip: str) -> bool:
    """Whether a clip is a part of a file."""
    row = ledger.connection.execute("SELECT parent FROM clips WHERE id = ?", (clip,)).fetchone()
    return row is not None and row[0] is not None


def verdict_on(ledger: LedgerReader, clip: str, entry: Entry) -> tuple[str, str]:
    """What became of a clip at a stage, in words, and why."""
    row = ledger.connection.execute(
        "SELECT kept, reason, detail FROM verdicts WHERE stage = ? AND key = ? AND bounds = ? AND clip = ?",
        (entry.stage, entry.key, entry.bounds, clip),
    ).fetchone()
    if row is not None:
        return ("kept", "") if row[0] else ("rejected", f"{row[1]}: {row[2]}" if row[2] else str(row[1]))
    row = ledger.connection.execute(
        "SELECT quarantined, attempts, error FROM failures WHERE clip = ? AND stage = ? AND key = ?",
        (clip, entry.stage, entry.key),
    ).fetchone()
    if row is None:
        return "not reached", ""
    return "set aside" if row[0] else "failed", f"{row[2]} ({row[1]} attempts)"


def values_of(ledger: LedgerReader, entry: Entry, column: str) -> list[Any]:
    """A column as the stage measured it, of all clips."""
    rows = ledger.connection.execute(
        "SELECT json_extract(columns, ?) FROM measured WHERE stage = ? AND key = ? AND columns IS NOT NULL",
        (f'$."{column}"', entry.stage, entry.key),
    )
    return [row[0] for row in rows]


def examples_of(ledger: LedgerReader, entry: Entry, reason: str | None, count: int) -> list[Clip]:
    """Some of the clips that the stage rejected for a reason, or kept for None; the first by id."""
    rows = ledger.connection.execute(
        "SELECT clip FROM verdicts WHERE stage = ? AND key = ? AND bounds = ? AND reason IS ? ORDER BY clip LIMIT ?",
        (entry.stage, entry.key, entry.bounds, reason, count),
    ).fetchall()
    return ledger.with_columns([str(row[0]) for row in rows], [])


def histogram_of(ledger: LedgerReader, entry: Entry, column: str, bins: int = 40) -> Histogram | None:
    """How a column of numbers is distributed; None where nothing was measured. The outermost half percent at each
    end counts to the last bins, so that one clip does not make all others a line."""
    name = f'$."{column}"'
    where = "FROM measured WHERE stage = ? AND key = ? AND columns IS NOT NULL"
    place = (entry.stage, entry.key)
    total, known = ledger.connection.execute(
        f"SELECT COUNT(*), COUNT(json_extract(columns, ?)) {where}", (name, *place)
    ).fetchone()
    if not known:
        return None
    ends = [
        float(
            ledger.connection.execute(
                f"SELECT json_extract(columns, ?) AS x {where} AND x IS NOT NULL ORDER BY x LIMIT 1 OFFSET ?",
                (name, *place, offset),
            ).fetchone()[0]
        )
        for offset in (known // 200, known - 1 - known // 200)
    ]
    low, high = ends[0], ends[1] if ends[1] > ends[0] else ends[0] + 1e-6
    counts = [0] * bins
    rows = ledger.connection.execute(
        f"SELECT MAX(0, MIN(?, CAST((json_extract(columns, ?) - ?) / ? * ? AS INTEGER))) AS bin, COUNT(*) {where} "
        "AND json_extract(columns, ?) IS NOT NULL GROUP BY bin",
        (bins - 1, name, low, high - low, bins, *place, name),
    )
    for place_of, count in rows:
        counts[place_of] = count
    return Histogram(low, high, tuple(counts), total - known)


def shares_of(ledger: LedgerReader, entry: Entry, column: str) -> dict[Any, tuple[int, int]]:
    """Each value of a column with how many clips have it that came to the stage, and that it kept."""
    rows = ledger.connection.execute(
        "SELECT json_extract(m.columns, ?) AS x, COUNT(*), SUM(v.kept) FROM verdicts v JOIN measured m "
        "ON m.clip = v.clip AND m.stage = v.stage AND m.key = v.key "
        "WHERE v.stage = ? AND v.key = ? AND v.bounds = ? AND m.columns IS NOT NULL GROUP BY x ORDER BY 2 DESC, x",
        (f'$."{column}"', entry.stage, entry.key, entry.bounds),
    )
    return {value: (int(before), int(after)) for value, before, after in rows}
