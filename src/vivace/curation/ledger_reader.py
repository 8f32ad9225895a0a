"""What is known of every clip, as it stands in a ledger: opened by anyone at any time, also while a run writes.

SQLite with a write-ahead log. Measurements lie under the key of what they depend on, and verdicts under what was
decided with; `vivace.curation.ledger` writes them, and `vivace.curation.ledger_answers` counts and tells them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vivace.curation.chain import Step
from vivace.curation.clip import Clip, Rejected
from vivace.errors import VivaceError

FILE, LOCK = "ledger.sqlite", "ledger.lock"
FORMAT = 1
PAGE = 500  # clips that are looked at together


@dataclass(frozen=True)
class Entry:
    """A stage as the last run planned it, which is what a reader needs to know of it."""

    stage: str
    key: str
    bounds: str
    over_set: bool
    settings: dict[str, Any]
    version: int


@dataclass(frozen=True)
class Run:
    """A run of a recipe.

    Args:
        began, ended: seconds since 1970; `ended` is None where it did not come to its end.
        workers: processes. doing: in words. jobs: clips that it took through a phase.
        going_on: whether its process is there.
    """

    began: float
    ended: float | None
    workers: int
    doing: str
    jobs: int
    going_on: bool


class LedgerReader:
    """One folder's ledger, for reading.

    Args:
        folder: of the curation.

    Raises:
        VivaceError: no ledger is there, or one of a later release.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        if not self.path.is_file():
            raise VivaceError(f"Folder {str(folder)!r} holds no curation; name the output folder of a recipe.")
        # Read-only in deed; the write-ahead log's own index must be writable for any reader.
        self.connection = sqlite3.connect(self.path, isolation_level=None)
        with self._told():
            self._prepare()

    def _prepare(self) -> None:
        """What every connection needs."""
        self.connection.execute("PRAGMA temp_store = FILE")
        self.connection.execute("PRAGMA busy_timeout = 30000")
        row = self.connection.execute("SELECT value FROM facts WHERE name = 'format'").fetchone()
        if row != (str(FORMAT),):
            found = None if row is None else row[0]
            raise VivaceError(f"Ledger {str(self.path)!r} has format {found!r}; use the release that wrote it.")

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """What SQLite cannot do, in a sentence."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise VivaceError(
                f"Ledger {str(self.path)!r} cannot be used ({error}); make room on the disk, or put it aside if it is "
                "damaged."
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
        if isinstance(error, sqlite3.DatabaseError):
            with self._told():
                raise error

    def close(self) -> None:
        self.connection.close()

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """One state of the ledger for several questions, whatever a run writes meanwhile."""
        self.connection.execute("BEGIN")
        try:
            yield
        finally:
            self.connection.execute("COMMIT")

    def clip(self, clip: str) -> Clip | None:
        """A clip by its id or the beginning of it, with the input's columns alone; None where none or several are."""
        if not clip.isascii():
            return None  # a name, which may be no text either
        rows = self.connection.execute(
            "SELECT id, path, start, seconds, columns FROM clips WHERE id >= ? AND id < ? LIMIT 2", (clip, clip + "g")
        ).fetchall()
        return _clip(rows[0]) if len(rows) == 1 or (rows and rows[0][0] == clip) else None

    # The clips that are left, from stage to stage

    def begin_alive(self) -> None:
        """Let all files be left."""
        self.connection.execute("CREATE TEMP TABLE IF NOT EXISTS alive(id TEXT PRIMARY KEY) WITHOUT ROWID")
        self.connection.execute("DELETE FROM alive")
        self.connection.execute("INSERT INTO alive SELECT id FROM clips WHERE parent IS NULL")

    def narrow(self, entry: Entry) -> None:
        """Leave only what the stage keeps."""
        self.connection.execute(
            "DELETE FROM alive WHERE NOT EXISTS (SELECT 1 FROM verdicts v WHERE v.stage = ? AND v.key = ? "
            "AND v.bounds = ? AND v.clip = alive.id AND v.kept)",
            (entry.stage, entry.key, entry.bounds),
        )

    def expand(self, key: str) -> None:
        """Put the parts that the split of this key found into the place of the files."""
        self.connection.execute(
            "CREATE TEMP TABLE IF NOT EXISTS parts_alive(id TEXT PRIMARY KEY) WITHOUT ROWID",
        )
        self.connection.execute("DELETE FROM parts_alive")
        self.connection.execute(
            "INSERT OR IGNORE INTO parts_alive SELECT p.clip FROM parts p JOIN alive a ON a.id = p.parent "
            "WHERE p.key = ?",
            (key,),
        )
        self.connection.execute("DELETE FROM alive")
        self.connection.execute("INSERT INTO alive SELECT id FROM parts_alive")

    def count_alive(self) -> int:
        return int(self.connection.execute("SELECT COUNT(*) FROM alive").fetchone()[0])

    def alive_ids(self) -> Iterator[str]:
        """The ids of the clips that are left, in order."""
        for page in self.alive_pages():
            yield from page

    def alive(self, entries: Sequence[Entry], measured_by: Entry | None = None) -> Iterator[Clip]:
        """The clips that are left, in the order of their ids, with the columns of these stages.

        Args:
            measured_by: leaves out what this stage has no measurement of.
        """
        for page in self.alive_pages():
            if measured_by is not None:
                steps = self.steps_of(page, measured_by)
                page = [clip for clip in page if clip in steps and steps[clip].columns is not None]
            yield from self.with_columns(page, entries)

    def set_digest(self, entry: Entry) -> str:
        """Of the clips that are left and measured. What is known of one under these keys never changes, so their ids
        say all."""
        digest = hashlib.sha256()
        for page in self.alive_pages():
            steps = self.steps_of(page, entry)
            digest.update(" ".join(clip for clip in page if clip in steps).encode())
        return digest.hexdigest()

    def drop(self, clips: Sequence[str]) -> None:
        """Let these be left no more."""
        self.connection.executemany("DELETE FROM alive WHERE id = ?", [(clip,) for clip in clips])

    def alive_pages(self) -> Iterator[list[str]]:
        """The ids of the clips that are left, in order, some at a time; those of a page may be dropped meanwhile."""
        last = ""
        while True:
            rows = self.connection.execute("SELECT id FROM alive WHERE id > ? ORDER BY id LIMIT ?", (last, PAGE))
            page = [str(row[0]) for row in rows]
            if not page:
                return
            yield page
            last = page[-1]

    def with_columns(self, ids: Sequence[str], entries: Sequence[Entry]) -> list[Clip]:
        """These clips (at most `PAGE` of them) with the columns that these stages measured or decided."""
        marks = ",".join("?" * len(ids))
        rows = self.connection.execute(
            f"SELECT id, path, start, seconds, columns FROM clips WHERE id IN ({marks}) ORDER BY id", ids
        )
        clips = {str(row[0]): _clip(row) for row in rows}
        for entry in entries:
            found = self.connection.execute(
                f"SELECT clip, columns FROM measured WHERE stage = ? AND key = ? AND clip IN ({marks}) "
                "AND columns IS NOT NULL",
                (entry.stage, entry.key, *ids),
            ).fetchall()
            found += self.connection.execute(
                f"SELECT clip, columns FROM verdicts WHERE stage = ? AND key = ? AND bounds = ? AND clip IN ({marks}) "
                "AND columns IS NOT NULL",
                (entry.stage, entry.key, entry.bounds, *ids),
            ).fetchall()
            for clip, columns in found:
                clips[clip] = clips[clip].with_columns(entry.stage, **json.loads(columns))
        return list(clips.values())

    def stamps_of(self, ids: Sequence[str]) -> dict[str, str]:
        """What the files of these clips were when they were taken in (`stamp`); unknown clips are left out."""
        marks = ",".join("?" * len(ids))
        rows = self.connection.execute(
            "SELECT c.id, COALESCE(p.stamp, c.stamp) FROM clips c LEFT JOIN clips p ON p.id = c.parent "
            f"WHERE c.id IN ({marks})",
            list(ids),
        )
        return {str(clip): str(found) for clip, found in rows}

    # Results

    def steps_of(self, ids: Sequence[str], entry: Entry) -> dict[str, Step]:
        """What a stage measured of these clips."""
        marks = ",".join("?" * len(ids))
        rows = self.connection.execute(
            "SELECT clip, columns, reason, detail, seconds FROM measured "
            f"WHERE stage = ? AND key = ? AND clip IN ({marks})",
            (entry.stage, entry.key, *ids),
        )
        found = {}
        for clip, columns, reason, detail, seconds in rows:
            rejected = None if reason is None else Rejected(reason, detail)
            found[clip] = Step(entry.stage, seconds, None if columns is None else json.loads(columns), rejected)
        return found

    def quarantined(self, ids: Sequence[str], entry: Entry) -> set[str]:
        """Those of these clips that the stage has failed on too often."""
        marks = ",".join("?" * len(ids))
        rows = self.connection.execute(
            f"SELECT clip FROM failures WHERE stage = ? AND key = ? AND quarantined AND clip IN ({marks})",
            (entry.stage, entry.key, *ids),
        )
        return {str(row[0]) for row in rows}

    def attempts_of(self, ids: Sequence[str], entry: Entry) -> dict[str, int]:
        """How often the stage has failed on those of these clips on which it has."""
        marks = ",".join("?" * len(ids))
        rows = self.connection.execute(
            f"SELECT clip, attempts FROM failures WHERE stage = ? AND key = ? AND clip IN ({marks})",
            (entry.stage, entry.key, *ids),
        )
        return {str(clip): int(attempts) for clip, attempts in rows}

    def judged(self, ids: Sequence[str], entry: Entry) -> set[str]:
        """Those of these clips on which the stage has a verdict."""
        marks = ",".join("?" * len(ids))
        rows = self.connection.execute(
            f"SELECT clip FROM verdicts WHERE stage = ? AND key = ? AND bounds = ? AND clip IN ({marks})",
            (entry.stage, entry.key, entry.bounds, *ids),
        )
        return {str(row[0]) for row in rows}

    def decided(self, entry: Entry) -> str | None:
        """The digest of the set that a set stage has decided on."""
        row = self.connection.execute(
            "SELECT digest FROM decided WHERE stage = ? AND key = ? AND bounds = ?",
            (entry.stage, entry.key, entry.bounds),
        ).fetchone()
        return None if row is None else str(row[0])

    # Plan and runs

    def plan(self) -> list[Entry]:
        """The stages of the last run, in order."""
        rows = self.connection.execute(
            "SELECT stage, key, bounds, over_set, settings, version FROM plan ORDER BY place"
        )
        return [Entry(s, k, b, bool(over), json.loads(settings), v) for s, k, b, over, settings, v in rows]

    def last_run(self) -> Run | None:
        """The last run, going on or not; None before the first."""
        row = self.connection.execute(
            "SELECT began, ended, workers, doing, jobs FROM runs ORDER BY number DESC LIMIT 1"
        ).fetchone()
        if row is None:
            return None
        began, ended, workers, doing, jobs = row
        return Run(began, ended, workers, doing, jobs, ended is None and _is_locked(self.path.parent))


def _clip(row: Sequence[Any]) -> Clip:
    return Clip(row[0], os.fsdecode(row[1]), row[2], row[3], json.loads(row[4]))


def _is_locked(folder: Path) -> bool:
    """Whether a process holds the lock."""
    try:
        import fcntl

        with (folder / LOCK).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (ImportError, FileNotFoundError):
        return False
    except OSError:
        return True
    return False
