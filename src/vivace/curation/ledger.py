"""Writing what is known of every clip: measurements, verdicts and failures.

A run that is killed at any moment leaves the ledger whole, less the batch in flight. Measurements are kept under the
key of what they depend on, and verdicts under what was decided with, so that a changed setting asks for new ones of
just those stages that it concerns, and a setting that is put back finds the old ones.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any

from vivace.curation.chain import Step
from vivace.curation.clip import Clip, Columns, Rejected
from vivace.curation.ledger_reader import FILE, FORMAT, LOCK, PAGE, Entry, LedgerReader
from vivace.curation.stage import Decision, Planned, judge
from vivace.curation.stamp import stamp
from vivace.errors import VivaceError

_TABLES = """
CREATE TABLE IF NOT EXISTS clips(
    id TEXT PRIMARY KEY, parent TEXT, path TEXT NOT NULL, start REAL NOT NULL, seconds REAL, columns TEXT NOT NULL,
    stamp TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS parents ON clips(parent);
CREATE TABLE IF NOT EXISTS parts(
    parent TEXT, key TEXT, place INTEGER, clip TEXT, PRIMARY KEY (parent, key, place)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS measured(
    clip TEXT, stage TEXT, key TEXT, columns TEXT, reason TEXT, detail TEXT, seconds REAL,
    PRIMARY KEY (clip, stage, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS verdicts(
    stage TEXT, key TEXT, bounds TEXT, clip TEXT, kept INTEGER, reason TEXT, detail TEXT, columns TEXT,
    PRIMARY KEY (stage, key, bounds, clip)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS failures(
    clip TEXT, stage TEXT, key TEXT, attempts INTEGER, error TEXT, quarantined INTEGER, PRIMARY KEY (clip, stage, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS decided(
    stage TEXT, key TEXT, bounds TEXT, digest TEXT, PRIMARY KEY (stage, key, bounds)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS plan(
    place INTEGER PRIMARY KEY, stage TEXT, version INTEGER, key TEXT, bounds TEXT, over_set INTEGER, settings TEXT
);
CREATE TABLE IF NOT EXISTS runs(
    number INTEGER PRIMARY KEY, began REAL, ended REAL, workers INTEGER, recipe TEXT, doing TEXT, jobs INTEGER
);
CREATE TABLE IF NOT EXISTS facts(name TEXT PRIMARY KEY, value TEXT);
"""


class Ledger(LedgerReader):
    """One folder's ledger, for the run that writes it; only one may at a time.

    Args:
        folder: of the curation; is made where it is not there.

    Raises:
        VivaceError: another process that writes, a ledger of a later release, a file that is none.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / FILE
        self._lock = _locked(folder)
        self.connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        try:
            with self._told():
                self.connection.execute("PRAGMA journal_mode = WAL")
                self.connection.execute("PRAGMA synchronous = NORMAL")
                self.connection.executescript(_TABLES)
                self.connection.execute("INSERT OR IGNORE INTO facts VALUES ('format', ?)", (str(FORMAT),))
                self._prepare()
        except VivaceError:
            self.close()
            raise

    def close(self) -> None:
        super().close()
        self._lock.close()

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it is kept, or nothing."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield self.connection
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    # Clips

    def add_files(self, clips: Iterable[Clip]) -> tuple[int, int]:
        """Note files. Those that are known stay as they are; where the file was replaced or the input says something
        else of it, all that was found of it and of its parts is forgotten. Returns how many are new, and forgotten."""
        new = forgotten = 0
        queue = iter(clips)
        while page := list(islice(queue, PAGE)):
            rows = {clip.id: (*_clip_row(clip), stamp(clip.path)) for clip in page}
            marks = ",".join("?" * len(rows))
            known = self.connection.execute(
                f"SELECT id, path, start, seconds, columns, stamp FROM clips WHERE id IN ({marks})", list(rows)
            ).fetchall()
            changed = [str(row[0]) for row in known if row != rows[row[0]]]
            new, forgotten = new + len(rows) - len(known), forgotten + len(changed)
            with self.writing() as connection:
                for clip in changed:
                    self._forget(clip)
                connection.executemany("INSERT OR IGNORE INTO clips VALUES (?, NULL, ?, ?, ?, ?, ?)", rows.values())
        return new, forgotten

    def _forget(self, file: str) -> None:
        """Everything of a file; what was decided over the whole set has to be decided again."""
        ids = "(SELECT id FROM clips WHERE id = ?1 OR parent = ?1)"
        for table in ("measured", "verdicts", "failures"):
            self.connection.execute(f"DELETE FROM {table} WHERE clip IN {ids}", (file,))
        self.connection.execute("DELETE FROM parts WHERE parent = ?", (file,))
        self.connection.execute("DELETE FROM clips WHERE id = ?1 OR parent = ?1", (file,))
        self.connection.execute("DELETE FROM decided")

    def add_parts(self, parent: Clip, key: str, parts: Sequence[Clip]) -> None:
        """Note the parts that a split found in a file; to be called within `writing`."""
        rows = [(row[0], parent.id, *row[1:], "") for row in map(_clip_row, parts)]
        self.connection.executemany("INSERT OR IGNORE INTO clips VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        placed = [(parent.id, key, place, clip.id) for place, clip in enumerate(parts)]
        self.connection.executemany("INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?)", placed)

    # Results

    def record_step(self, clip: str, entry: Entry, step: Step, attempts: int) -> None:
        """Keep a step; to be called within `writing`. An error counts, and from `attempts` on the clip is set aside; it
        stands in the place of what the stage found before, where something has to be done once more."""
        if step.error is not None:
            for table in ("measured", "verdicts"):
                self.connection.execute(
                    f"DELETE FROM {table} WHERE clip = ? AND stage = ? AND key = ?", (clip, entry.stage, entry.key)
                )
            self.connection.execute(
                "INSERT INTO failures VALUES (?, ?, ?, 1, ?, ?) ON CONFLICT DO UPDATE SET attempts = attempts + 1, "
                "error = excluded.error, quarantined = attempts + 1 >= ?",
                (clip, entry.stage, entry.key, step.error, attempts <= 1, attempts),
            )
            return
        columns = None if step.columns is None else json.dumps(step.columns)
        reason, detail = (None, None) if step.rejected is None else (step.rejected.reason, step.rejected.detail)
        self.connection.execute(
            "INSERT OR REPLACE INTO measured VALUES (?, ?, ?, ?, ?, ?, ?)",
            (clip, entry.stage, entry.key, columns, reason, detail, round(step.seconds, 6)),
        )
        self.connection.execute(
            "DELETE FROM failures WHERE clip = ? AND stage = ? AND key = ?", (clip, entry.stage, entry.key)
        )

    def record_verdict(self, clip: str, entry: Entry, rejected: Rejected | None, columns: Columns) -> None:
        """Keep a verdict with the columns that it gives; to be called within `writing`."""
        reason, detail = (None, None) if rejected is None else (rejected.reason, rejected.detail)
        self.connection.execute(
            "INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(entry.stage, entry.key, entry.bounds, clip, rejected is None, reason, detail),
                json.dumps(dict(columns)) if columns else None,
            ),
        )

    def record_decisions(self, entry: Entry, digest: str, decisions: Iterable[Decision]) -> None:
        """Replace the verdicts of a set stage on all clips that are left, in one transaction."""
        with self.writing() as connection:
            place = (entry.stage, entry.key, entry.bounds)
            connection.execute("DELETE FROM verdicts WHERE stage = ? AND key = ? AND bounds = ?", place)
            connection.execute(
                "INSERT INTO verdicts SELECT ?, ?, ?, id, 1, NULL, NULL, NULL FROM alive WHERE EXISTS "
                "(SELECT 1 FROM measured m WHERE m.clip = alive.id AND m.stage = ? AND m.key = ? "
                "AND m.columns IS NOT NULL)",
                (*place, entry.stage, entry.key),
            )
            connection.execute(
                "INSERT INTO verdicts SELECT ?, ?, ?, id, 0, m.reason, m.detail, NULL FROM alive "
                "JOIN measured m ON m.clip = alive.id AND m.stage = ? AND m.key = ? AND m.columns IS NULL",
                (*place, entry.stage, entry.key),
            )
            for decision in decisions:
                rejected = decision.rejected
                reason, detail = (None, None) if rejected is None else (rejected.reason, rejected.detail)
                columns = json.dumps(dict(decision.columns)) if decision.columns else None
                connection.execute(
                    "UPDATE verdicts SET kept = ?, reason = ?, detail = ?, columns = ? "
                    "WHERE stage = ? AND key = ? AND bounds = ? AND clip = ?",
                    (rejected is None, reason, detail, columns, *place, decision.clip),
                )
            connection.execute("INSERT OR REPLACE INTO decided VALUES (?, ?, ?, ?)", (*place, digest))

    def release(self) -> int:
        """Let clips that were set aside be tried again. Returns how many."""
        with self.writing() as connection:
            return connection.execute("DELETE FROM failures WHERE quarantined").rowcount

    # Plan and runs

    def set_plan(self, entries: Sequence[Entry]) -> None:
        with self.writing() as connection:
            connection.execute("DELETE FROM plan")
            connection.executemany(
                "INSERT INTO plan VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (n, e.stage, e.version, e.key, e.bounds, e.over_set, json.dumps(e.settings))
                    for n, e in enumerate(entries)
                ],
            )

    def begin_run(self, now: float, recipe: str, workers: int) -> int:
        cursor = self.connection.execute(
            "INSERT INTO runs(began, workers, recipe, doing, jobs) VALUES (?, ?, ?, 'looking for footage', 0)",
            (now, workers, recipe),
        )
        return int(cursor.lastrowid or 0)

    def note_run(self, number: int, doing: str, jobs: int, ended: float | None = None) -> None:
        """What a run does at the moment, and how many clips it has taken through a phase since it began."""
        self.connection.execute(
            "UPDATE runs SET doing = ?, jobs = ?, ended = ? WHERE number = ?", (doing, jobs, ended, number)
        )


def entry_of(planned: Planned) -> Entry:
    """A planned stage as the ledger keeps it."""
    settings = planned.stage.settings.model_dump(mode="json")
    return Entry(planned.name, planned.key, planned.bounds, planned.over_set, settings, planned.stage.version)


def settle(planned: Planned, clip: Clip, step: Step) -> tuple[Clip, Rejected | None]:
    """The clip with a step's columns, and the verdict of a stage that decides clip by clip."""
    if step.columns is None:
        return clip, step.rejected
    clip = clip.with_columns(planned.name, **step.columns)
    return clip, judge(planned.stage.settings, clip)


def _clip_row(clip: Clip) -> tuple[Any, ...]:
    return clip.id, _stored(clip.path), clip.start, clip.seconds, json.dumps(dict(clip.columns))


def _stored(path: str) -> str | bytes:
    """SQLite's text is UTF-8; a name that is not goes in as bytes."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return os.fsencode(path)
    return path


def _locked(folder: Path) -> IO[str]:
    """The open lock file, which the system unlocks when this process ends, however it does."""
    file = (folder / LOCK).open("w")
    try:
        import fcntl
    except ImportError:
        return file  # only POSIX has it; elsewhere SQLite's own locks keep the ledger whole
    for attempt in range(10):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            # Whoever asks whether a run goes on holds it too, for a moment.
            time.sleep(0.02 * (attempt + 1))
        else:
            return file
    file.close()
    raise VivaceError(f"Folder {str(folder)!r} is being curated by another process; wait for it.")
