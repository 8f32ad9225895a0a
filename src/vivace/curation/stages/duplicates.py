"""De-duplicate: near-duplicates in picture and sound over the whole set."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import ClassVar

import numpy as np
from pydantic import Field

from vivace.curation.clip import Clip, Rejected
from vivace.curation.stage import Decision, StageSettings

_BAND = 16  # bits: two hashes that differ in a tenth of their bits still share several whole bands


class DuplicateSettings(StageSettings):
    """How alike two clips may be."""

    DECIDING: ClassVar = frozenset({"picture", "picture_alone", "sound", "bands"})

    picture: float = Field(default=0.16, ge=0, le=0.5, description="share of the picture's bits that may differ")
    picture_alone: float = Field(
        default=0.04, ge=0, le=0.5, description="the same where one of the two is silent, or the sounds differ"
    )
    sound: float = Field(
        default=0.22, ge=0, le=0.5, description="distance of the prints, 0 for a copy, about 0.5 for unrelated"
    )
    bands: int = Field(default=2, ge=1, description="whole bands of bits that two clips share before they are compared")


class Duplicates:
    """The best of several near-duplicates is kept: most pixels, then longest, then first by id."""

    name: ClassVar[str] = "duplicates"
    version: ClassVar[int] = 2
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
        """Hashes and their bands lie in a temporary database, so that memory does not grow with the set."""
        with sqlite3.connect("") as store:
            store.execute("CREATE TABLE seen(id TEXT PRIMARY KEY, worth INTEGER, picture BLOB, sound BLOB)")
            store.execute("CREATE TABLE kept(band INTEGER, bits INTEGER, id TEXT)")
            store.execute("CREATE INDEX of_band ON kept(band, bits)")
            store.executemany("INSERT INTO seen VALUES (?, ?, ?, ?)", map(self._row, clips))
            store.execute("CREATE INDEX of_worth ON seen(worth DESC, id)")
            for clip, picture, sound in store.execute("SELECT id, picture, sound FROM seen ORDER BY worth DESC, id"):
                found = self._original(store, picture, sound)
                if found is None:
                    bands = np.frombuffer(picture, ">u2").tolist()
                    store.executemany("INSERT INTO kept VALUES (?, ?, ?)", [(n, b, clip) for n, b in enumerate(bands)])
                else:
                    original, apart = found
                    yield Decision(clip, Rejected("duplicate", f"of {original}, {apart:.3f} of its bits differ"))

    def _row(self, clip: Clip) -> tuple[str, int, bytes, bytes]:
        worth = clip["duplicates.pixels"] * clip["duplicates.frames"]
        return clip.id, worth, bytes.fromhex(clip["duplicates.picture"]), bytes.fromhex(clip["duplicates.sound"])

    def _original(self, store: sqlite3.Connection, picture: bytes, sound: bytes) -> tuple[str, float] | None:
        """The kept clip that this one repeats, and how far they are apart."""
        from vivace.perception.audio_print import print_distance

        bands = np.frombuffer(picture, ">u2").tolist()
        where = " OR ".join("(band = ? AND bits = ?)" for _ in bands)
        values = [value for pair in enumerate(bands) for value in pair]
        candidates = store.execute(
            "SELECT s.id, s.picture, s.sound FROM seen s JOIN (SELECT id, COUNT(*) AS n FROM kept "
            f"WHERE {where} GROUP BY id HAVING n >= ?) k ON k.id = s.id ORDER BY s.worth DESC, s.id",
            [*values, self.settings.bands],
        )
        own = np.frombuffer(picture, np.uint8)
        words = np.frombuffer(sound, "<u2")
        for other, shown, heard in candidates:
            apart = float(np.bitwise_count(own ^ np.frombuffer(shown, np.uint8)).sum()) / (8 * len(own))
            if apart > self.settings.picture:
                continue
            sounds = print_distance(words, np.frombuffer(heard, "<u2"))
            if (sounds is not None and sounds <= self.settings.sound) or (
                apart <= self.settings.picture_alone and (sounds is None or not len(words))
            ):
                return other, apart
        return None
