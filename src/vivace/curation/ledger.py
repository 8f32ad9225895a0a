"""What is known of every clip, on disk: measurements, verdicts and failures, readable while a run writes.

SQLite with a write-ahead log: a run that is killed at any moment leaves the ledger whole, less the batch in flight.
Measurements are kept under the key of what they depend on, and verdicts under what was decided with, so that a changed
setting asks for new ones of just those stages that it concerns, and a setting that is put back finds the old ones.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from vivace.curation.chain import Step
from vivace.curation.clip import Clip, Rejected
from vivace.curation.stage import Decision, Planned, judge
from vivace.curation.stamp import stamp
from vivace.errors import VivaceError

FILE, LOCK = "ledger.sqlite", "ledger.lock"
FORMAT = 1
PAGE = 500  # clips that are looked at together
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


class Ledger:
    """One folder's ledger.

    Args:
        folder: of the curation.
        write: whether a run is to write here; only one at a time may.

    Raises:
        VivaceError: reading where no ledger is, another process that writes, a ledger of a later release, a folder
            that cannot be written.
    """

    def __init__(self, folder: Path, write: bool = False) -> None:
        self.path = folder / FILE
        self._lock: IO[str] | None = None
        if write:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(folder)
            self.connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            self.connection.execute("PRAGMA journal_mode = WAL")
            self.connection.execute("PRAGMA synchronous = NORMAL")
            self.connection.executescript(_TABLES)
            self.connection.execute("INSERT OR IGNORE INTO facts VALUES ('format', ?)", (str(FORMAT),))
        elif not self.path.is_file():
            raise VivaceError(f"Folder {str(folder)!r} holds no curation; name the output folder of a recipe.")
        else:
            # Read-only in deed; the write-ahead log's own index must be writable for any reader.
            self.connection = sqlite3.connect(self.path, isolation_level=None)
        self.connection.execute("PRAGMA temp_store = FILE")
        self.connection.execute("PRAGMA busy_timeout = 30000")
        found = self.fact("format")
        if found != str(FORMAT):
            raise VivaceError(f"Ledger {str(self.path)!r} has format {found!r}; use the release that wrote it.")

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self.connection.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

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

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """One state of the ledger for several questions, whatever a run writes meanwhile."""
        self.connection.execute("BEGIN")
        try:
            yield
        finally:
            self.connection.execute("COMMIT")

    def fact(self, name: str) -> str | None:
        with contextlib.suppress(sqlite3.DatabaseError):
            row = self.connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
            return None if row is None else str(row[0])
        return None

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

    def clip(self, clip: str) -> Clip | None:
        """A clip by its id or the beginning of it, with the input's columns alone; None where none or several are."""
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

    def judged(self, ids: Sequence[str], entry: Entry) -> set[str]:
        """Those of these clips on which the stage has a verdict."""
        marks = ",".join("?" * len(ids))
        rows = self.connection.execute(
            f"SELECT clip FROM verdicts WHERE stage = ? AND key = ? AND bounds = ? AND clip IN ({marks})",
            (entry.stage, entry.key, entry.bounds, *ids),
        )
        return {str(row[0]) for row in rows}

    def record_step(self, clip: str, entry: Entry, step: Step, attempts: int) -> None:
        """Keep a step; to be called within `writing`. An error counts, and from `attempts` on the clip is set aside."""
        if step.error is not None:
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

    def record_verdict(self, clip: str, entry: Entry, rejected: Rejected | None) -> None:
        """Keep a verdict; to be called within `writing`."""
        reason, detail = (None, None) if rejected is None else (rejected.reason, rejected.detail)
        self.connection.execute(
            "INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?, ?, ?, ?, NULL)",
            (entry.stage, entry.key, entry.bounds, clip, rejected is None, reason, detail),
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

    def decided(self, entry: Entry) -> str | None:
        """The digest of the set that a set stage has decided on."""
        row = self.connection.execute(
            "SELECT digest FROM decided WHERE stage = ? AND key = ? AND bounds = ?",
            (entry.stage, entry.key, entry.bounds),
        ).fetchone()
        return None if row is None else str(row[0])

    def release(self) -> int:
        """Let clips that were set aside be tried again. Returns how many."""
        with self.writing() as connection:
            return connection.execute("DELETE FROM failures WHERE quarantined").rowcount

    def failures(self) -> list[Failure]:
        """What failed under the plan in force, the clips set aside first."""
        rows = self.connection.execute(
            "SELECT f.clip, f.stage, f.attempts, f.error, f.quarantined FROM failures f JOIN plan p "
            "ON p.stage = f.stage AND p.key = f.key ORDER BY f.quarantined DESC, p.place, f.clip"
        )
        return [Failure(clip, stage, attempts, error, bool(aside)) for clip, stage, attempts, error, aside in rows]

    # What is asked of it

    def rejected(self, entry: Entry) -> dict[str, int]:
        """Reasons of a stage and how many of the clips that are left it rejected for each, the most frequent first."""
        rows = self.connection.execute(
            "SELECT v.reason, COUNT(*) AS n FROM verdicts v JOIN alive a ON a.id = v.clip "
            "WHERE v.stage = ? AND v.key = ? AND v.bounds = ? AND NOT v.kept GROUP BY v.reason ORDER BY n DESC, 1",
            (entry.stage, entry.key, entry.bounds),
        )
        return {str(reason): int(count) for reason, count in rows}

    def count_aside(self, entry: Entry) -> int:
        """How many of the clips that are left the stage has failed on too often."""
        rows = self.connection.execute(
            "SELECT COUNT(*) FROM failures f JOIN alive a ON a.id = f.clip "
            "WHERE f.stage = ? AND f.key = ? AND f.quarantined",
            (entry.stage, entry.key),
        )
        return int(rows.fetchone()[0])

    def mean_seconds(self, entry: Entry) -> float | None:
        """Of one measurement of the stage."""
        row = self.connection.execute(
            "SELECT AVG(seconds) FROM measured WHERE stage = ? AND key = ?", (entry.stage, entry.key)
        ).fetchone()
        return None if row[0] is None else float(row[0])

    def parts_of(self, clip: str) -> list[str]:
        """The ids of the clips that the last run's split found in a file, in order."""
        rows = self.connection.execute(
            "SELECT DISTINCT p.place, p.clip FROM parts p JOIN plan q ON q.key = p.key WHERE p.parent = ? ORDER BY 1",
            (clip,),
        )
        return [str(row[1]) for row in rows]

    def is_part(self, clip: str) -> bool:
        """Whether a clip is a part of a file."""
        row = self.connection.execute("SELECT parent FROM clips WHERE id = ?", (clip,)).fetchone()
        return row is not None and row[0] is not None

    def verdict(self, clip: str, entry: Entry) -> tuple[str, str]:
        """What became of a clip at a stage, in words, and why."""
        row = self.connection.execute(
            "SELECT kept, reason, detail FROM verdicts WHERE stage = ? AND key = ? AND bounds = ? AND clip = ?",
            (entry.stage, entry.key, entry.bounds, clip),
        ).fetchone()
        if row is not None:
            return ("kept", "") if row[0] else ("rejected", f"{row[1]}: {row[2]}" if row[2] else str(row[1]))
        row = self.connection.execute(
            "SELECT quarantined, attempts, error FROM failures WHERE clip = ? AND stage = ? AND key = ?",
            (clip, entry.stage, entry.key),
        ).fetchone()
        if row is None:
            return "not reached", ""
        return "set aside" if row[0] else "failed", f"{row[2]} ({row[1]} attempts)"

    def values(self, entry: Entry, column: str) -> list[Any]:
        """A column as the stage measured it, of all clips."""
        rows = self.connection.execute(
            "SELECT json_extract(columns, ?) FROM measured WHERE stage = ? AND key = ? AND columns IS NOT NULL",
            (f'$."{column}"', entry.stage, entry.key),
        )
        return [row[0] for row in rows]

    def examples(self, entry: Entry, reason: str | None, count: int) -> list[Clip]:
        """Some of the clips that the stage rejected for a reason, or kept for None; the first by id."""
        rows = self.connection.execute(
            "SELECT clip FROM verdicts WHERE stage = ? AND key = ? AND bounds = ? AND reason IS ? "
            "ORDER BY clip LIMIT ?",
            (entry.stage, entry.key, entry.bounds, reason, count),
        ).fetchall()
        return self.with_columns([str(row[0]) for row in rows], [])

    def histogram(self, entry: Entry, column: str, bins: int = 40) -> Histogram | None:
        """How a column of numbers is distributed; None where nothing was measured. The outermost half percent at each
        end counts to the last bins, so that one clip does not make all others a line."""
        name = f'$."{column}"'
        where = "FROM measured WHERE stage = ? AND key = ? AND columns IS NOT NULL"
        place = (entry.stage, entry.key)
        total, known = self.connection.execute(
            f"SELECT COUNT(*), COUNT(json_extract(columns, ?)) {where}", (name, *place)
        ).fetchone()
        if not known:
            return None
        ends = [
            float(
                self.connection.execute(
                    f"SELECT json_extract(columns, ?) AS x {where} AND x IS NOT NULL ORDER BY x LIMIT 1 OFFSET ?",
                    (name, *place, offset),
                ).fetchone()[0]
            )
            for offset in (known // 200, known - 1 - known // 200)
        ]
        low, high = ends[0], ends[1] if ends[1] > ends[0] else ends[0] + 1e-6
        counts = [0] * bins
        rows = self.connection.execute(
            f"SELECT MAX(0, MIN(?, CAST((json_extract(columns, ?) - ?) / ? * ? AS INTEGER))) AS bin, COUNT(*) {where} "
            "AND json_extract(columns, ?) IS NOT NULL GROUP BY bin",
            (bins - 1, name, low, high - low, bins, *place, name),
        )
        for place_of, count in rows:
            counts[place_of] = count
        return Histogram(low, high, tuple(counts), total - known)

    def shares(self, entry: Entry, column: str) -> dict[Any, tuple[int, int]]:
        """Each value of a column with how many clips have it that came to the stage, and that it kept."""
        rows = self.connection.execute(
            "SELECT json_extract(m.columns, ?) AS x, COUNT(*), SUM(v.kept) FROM verdicts v JOIN measured m "
            "ON m.clip = v.clip AND m.stage = v.stage AND m.key = v.key "
            "WHERE v.stage = ? AND v.key = ? AND v.bounds = ? AND m.columns IS NOT NULL GROUP BY x ORDER BY 2 DESC, x",
            (f'$."{column}"', entry.stage, entry.key, entry.bounds),
        )
        return {value: (int(before), int(after)) for value, before, after in rows}

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

    def plan(self) -> list[Entry]:
        """The stages of the last run, in order."""
        rows = self.connection.execute(
            "SELECT stage, key, bounds, over_set, settings, version FROM plan ORDER BY place"
        )
        return [Entry(s, k, b, bool(over), json.loads(settings), v) for s, k, b, over, settings, v in rows]

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

    def last_run(self) -> Run | None:
        """The last run, going on or not; None before the first."""
        row = self.connection.execute(
            "SELECT began, ended, workers, doing, jobs FROM runs ORDER BY number DESC LIMIT 1"
        ).fetchone()
        if row is None:
            return None
        began, ended, workers, doing, jobs = row
        return Run(began, ended, workers, doing, jobs, ended is None and _is_locked(self.path.parent))


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


def _clip(row: Sequence[Any]) -> Clip:
    return Clip(row[0], os.fsdecode(row[1]), row[2], row[3], json.loads(row[4]))


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
