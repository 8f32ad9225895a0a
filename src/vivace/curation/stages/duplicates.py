"""De-duplicate: near-duplicates in picture and sound over the whole set, and of what other runs kept."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field, field_validator

from vivace.curation.clip import Clip, Rejected
from vivace.curation.ledger_reader import FILE, Entry, LedgerReader
from vivace.curation.stage import Decision, StageSettings
from vivace.errors import VivaceError

_PAGE = 2000  # candidates that are compared at once
_SOUND = 1 << 16  # the place of keys of sound, beyond those of any part of a picture's hash


class DuplicateSettings(StageSettings):
    """How alike two clips may be."""

    DECIDING: ClassVar = frozenset({"picture", "picture_alone", "sound", "keys", "against"})

    picture: float = Field(default=0.25, ge=0, le=0.5, description="share of the picture's bits that may differ")
    picture_alone: float = Field(
        default=0.1, ge=0, le=0.5, description="the same where one of the two has too little sound to compare"
    )
    sound: float = Field(
        default=0.22, ge=0, le=0.5, description="distance of the prints, 0 for a copy, about 0.5 for unrelated"
    )
    keys: int = Field(
        default=2, ge=1, description="keys of picture and sound that two clips share before they are compared"
    )
    against: tuple[Path, ...] = Field(
        default=(), description="ledgers (ledger.sqlite) of other runs; what repeats a clip that they kept goes"
    )

    @field_validator("against")
    @classmethod
    def _are_ledgers(cls, paths: tuple[Path, ...]) -> tuple[Path, ...]:
        for path in paths:
            if path.name != FILE or not path.is_file():
                raise ValueError(f"{str(path)!r} is no ledger; name the {FILE} in another run's output folder")
        return paths

    def deciding(self) -> dict[str, Any]:
        """As of any stage, and when the other runs were: after a new one it is decided anew.

        Raises:
            VivaceError: another run that did not come to its end, or whose clips were measured in another way.
        """
        runs = []
        for path in self.against:
            with LedgerReader(path.parent) as ledger:
                _measured_alike(ledger)
                run = ledger.last_run()
            if run is None or run.ended is None:
                raise VivaceError(
                    f"Run {str(path.parent)!r} in duplicates.against did not come to its end; finish it first."
                )
            runs.append([run.began, run.ended])
        return {**super().deciding(), "runs": runs}


class Duplicates:
    """The best of several near-duplicates is kept: of another run, else most pixels, then longest, then first by id."""

    name: ClassVar[str] = "duplicates"
    version: ClassVar[int] = 3
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: DuplicateSettings) -> None:
        self.settings = settings

    def measure(self, clip: Clip) -> Clip | Rejected:
        from vivace.perception.audio_print import audio_print
        from vivace.perception.video_hash import video_hash

        material = clip.material()
        assert material.frames is not None
        bits = video_hash(material.frames)
        words = np.zeros(0, np.uint16) if material.audio is None else audio_print(material.audio, material.sample_rate)
        return clip.with_columns(
            self.name,
            picture=np.packbits(bits).tobytes().hex(),
            sound=words.astype("<u2").tobytes().hex(),
            pixels=int(material.frames.shape[1] * material.frames.shape[2]),
            frames=len(material.frames),
        )

    def decide(self, clips: Iterable[Clip]) -> Iterator[Decision]:
        """Hashes and their keys lie in a temporary database, so that memory does not grow with the set.

        Raises:
            VivaceError: as `DuplicateSettings.deciding`.
        """
        with sqlite3.connect("") as store:
            store.execute(
                "CREATE TABLE seen(number INTEGER PRIMARY KEY, run TEXT, id TEXT, worth INTEGER, picture BLOB, "
                "sound BLOB)"
            )
            store.execute("CREATE TABLE kept(key INTEGER, number INTEGER, PRIMARY KEY (key, number)) WITHOUT ROWID")
            add = "INSERT INTO seen(run, id, worth, picture, sound) VALUES (?, ?, ?, ?, ?)"
            for path in self.settings.against:
                with LedgerReader(path.parent) as ledger:
                    store.executemany(add, (_row(clip, str(path)) for clip in _kept_clips(ledger)))
            for number, picture, sound in store.execute("SELECT number, picture, sound FROM seen"):
                _keep(store, number, picture, sound)
            store.executemany(add, (_row(clip, "") for clip in clips))
            store.execute("CREATE INDEX of_worth ON seen(run, worth DESC, id)")
            rows = "SELECT number, id, picture, sound FROM seen WHERE run = '' ORDER BY worth DESC, id"
            for number, clip, picture, sound in store.execute(rows):
                found = self._original(store, picture, sound)
                if found is None:
                    _keep(store, number, picture, sound)
                else:
                    yield Decision(clip, Rejected("duplicate", found))

    def _original(self, store: sqlite3.Connection, picture: bytes, sound: bytes) -> str | None:
        """Which kept clip this one repeats, as it is or mirrored, and how far they are apart; None for a new one."""
        from vivace.perception.audio_print import print_distance
        from vivace.perception.video_hash import mirrored

        own = np.frombuffer(picture, np.uint8)
        mirror = np.packbits(mirrored(np.unpackbits(own).astype(bool)))
        words = np.frombuffer(sound, "<u2")
        wanted = {*_keys_of(picture, sound), *_keys_of(mirror.tobytes(), b"")}
        candidates = store.execute(
            "SELECT s.run, s.id, s.picture, s.sound FROM seen s JOIN (SELECT number, COUNT(*) AS n FROM kept "
            f"WHERE key IN ({','.join('?' * len(wanted))}) GROUP BY number HAVING n >= ?) k ON k.number = s.number "
            "ORDER BY s.run DESC, s.worth DESC, s.id",
            [*wanted, self.settings.keys],
        )
        while page := candidates.fetchmany(_PAGE):
            shown = np.frombuffer(b"".join(row[2] for row in page), np.uint8).reshape(len(page), -1)
            apart = np.minimum(_apart(shown, own), _apart(shown, mirror))
            for n in np.flatnonzero(apart <= self.settings.picture):
                run, other, _, heard = page[n]
                sounds = print_distance(words, np.frombuffer(heard, "<u2"))
                alike = apart[n] <= self.settings.picture_alone if sounds is None else sounds <= self.settings.sound
                if alike:
                    return f"of {other}{run and f' in {run!r}'}, {apart[n]:.3f} of its bits differ"
        return None


def _row(clip: Clip, run: str) -> tuple[str, str, int, bytes, bytes]:
    worth = clip["duplicates.pixels"] * clip["duplicates.frames"]
    return run, clip.id, worth, bytes.fromhex(clip["duplicates.picture"]), bytes.fromhex(clip["duplicates.sound"])


def _keep(store: sqlite3.Connection, number: int, picture: bytes, sound: bytes) -> None:
    store.executemany("INSERT INTO kept VALUES (?, ?)", [(key, number) for key in _keys_of(picture, sound)])


def _keys_of(picture: bytes, sound: bytes) -> list[int]:
    """Numbers by which a clip is looked up: each two bytes of its hash with their place, and parts of its sound."""
    from vivace.perception.audio_print import print_keys

    # A key of one byte would be shared with every 256th clip, and the time would grow with the square of the clips.
    shown = [(place << 32) | bits for place, bits in enumerate(np.frombuffer(picture, ">u2").tolist())]
    return shown + [(_SOUND << 32) | key for key in print_keys(np.frombuffer(sound, "<u2"))]


def _apart(shown: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Share of the bits in which packed hashes uint8 [N, B] differ from one [B]."""
    apart: np.ndarray = np.bitwise_count(shown ^ own).sum(axis=1) / (8 * len(own))
    return apart


def _measured_alike(ledger: LedgerReader) -> Entry:
    """The stage as another run had it.

    Raises:
        VivaceError: it was left out there, or of another version, whose hashes cannot be compared with these.
    """
    for entry in ledger.plan():
        if entry.stage == Duplicates.name and entry.version == Duplicates.version:
            return entry
    raise VivaceError(
        f"Ledger {str(ledger.path)!r} in duplicates.against has no hashes of this release; run its recipe again with "
        "duplicates in use."
    )


def _kept_clips(ledger: LedgerReader) -> Iterator[Clip]:
    """What all stages of another run kept, with what this stage measured there."""
    from vivace.curation.funnel import passages

    entry = _measured_alike(ledger)
    passages(ledger)
    yield from ledger.alive([entry], measured_by=entry)
