"""Cross pairs: the same person in two clips, for training on references.

Of each clip the 1.5 s in which lips and voice go best together are the identity's anchor. Clips whose anchors look
alike within a window form a cluster; the partner of a clip is the one nearest to `near`, so that copies are not
preferred. Alive's window is on face and CLIP embeddings, near 0.9; ours, without weights, is on the colours of face and
hair, in which one person's clips are nearer to 1.

Faces are found by a detector that is fitted to the procedural world's: where it finds none, no clip has a partner.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import ClassVar

import numpy as np
from pydantic import Field

from vivace.curation.clip import Clip, Rejected
from vivace.curation.stage import Decision, StageSettings

ANCHOR = 1.5  # seconds
BLOCK = 1024  # faces that are compared with as many others at a time
_GRID = 6


class PairSettings(StageSettings):
    """The window of likeness."""

    DECIDING: ClassVar = frozenset({"least", "most", "near", "same_file"})

    least: float = Field(default=0.85, ge=-1, le=1, description="cosine from which two faces may be one person's")
    most: float = Field(default=0.995, ge=-1, le=1, description="above which they are copies of one picture")
    near: float = Field(default=0.98, ge=-1, le=1, description="the likeness that is preferred")
    same_file: bool = Field(default=True, description="whether partners may come from one file")


class Pairs:
    """A partner and an anchor for every clip with a face; all clips are kept."""

    name: ClassVar[str] = "pairs"
    version: ClassVar[int] = 3
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: PairSettings) -> None:
        self.settings = settings

    def measure(self, clip: Clip) -> Clip | Rejected:
        from vivace.curation.appearance import appearances

        material = clip.material()
        assert material.frames is not None
        seen = appearances(material.frames)
        if len(seen) != 1:
            return clip.with_columns(self.name, face=None, anchor=None, file=clip.path, head=None, at=None)
        anchor = self._anchor(clip)
        colours = seen[0].head.reshape(_GRID, 2, _GRID, 2, 3).mean(axis=(1, 3)).ravel()
        at = round(anchor[0] + min(ANCHOR, float(material.seconds) - anchor[0]) / 2, 4)
        return clip.with_columns(
            self.name,
            face=[round(float(v), 3) for v in colours],
            anchor=anchor,
            file=clip.path,
            head=_head(material.frames, at, float(material.fps)),
            at=at,
        )

    def _anchor(self, clip: Clip) -> list[float]:
        """Start in seconds and lip-sync score of the best stretch."""
        from vivace.perception.lip_sync import RATE, lip_sync, sounding_opening
        from vivace.perception.lips import Mouth, mouths

        material = clip.material()
        assert material.frames is not None
        fps, count = float(material.fps), len(material.frames)
        length = min(round(ANCHOR * fps), count)
        if material.audio is None:
            return [0.0, 0.0]
        mouth = mouths(material.frames)[0]
        heard = sounding_opening(material.audio, material.sample_rate)
        best = (0.0, 0.0)
        for first in range(0, count - length + 1, max(1, round(fps / 4))):
            part = Mouth(mouth.x, mouth.y, mouth.size, mouth.opening[first : first + length])
            begin = round(first / fps * RATE)
            found = lip_sync([part], heard[begin : begin + round(length / fps * RATE)], fps)
            if found is not None and found.correlation > best[1]:
                best = first / fps, found.correlation
        return [round(best[0], 4), round(best[1], 4)]

    def decide(self, clips: Iterable[Clip]) -> Iterator[Decision]:
        """Faces lie in a temporary database and are compared block by block; what is held is one number for each."""
        with closing(sqlite3.connect("")) as store:
            faces = _Faces(store, clips)
            clusters = _Clusters(faces.count)
            for start in range(0, faces.count, BLOCK):
                faces.keep_partners(self._partners(faces, clusters, start))
            for place, clip, partner, alike, path, at in faces.partners():
                columns = {
                    "partner": partner,
                    "likeness": round(alike, 4),
                    "cluster": faces.id_of(clusters.root(place)),
                    # Where the partner shows who it is.
                    "partner_path": os.fsdecode(path),
                    "partner_at": at,
                }
                yield Decision(clip, columns=columns)

    def _partners(self, faces: _Faces, clusters: _Clusters, start: int) -> list[tuple[int, int, float]]:
        """Place, place of the partner and likeness for those of the block at `start` that have one."""
        own, files = faces.block(start)
        rows = np.arange(len(own))
        partner, alike = np.zeros(len(own), np.int64), np.zeros(len(own), np.float32)
        apart = np.full(len(own), np.inf, np.float32)  # from the likeness that is preferred
        for first in range(0, faces.count, BLOCK):
            others, other_files = faces.block(first)
            values = own @ others.T
            fits = (values >= self.settings.least) & (values <= self.settings.most)
            if first == start:
                np.fill_diagonal(fits, False)
            if not self.settings.same_file:
                fits &= files[:, None] != other_files
            distances = np.where(fits, np.abs(values - self.settings.near), np.inf)
            best = distances.argmin(axis=1)
            closer = distances[rows, best] < apart  # of equals, the first
            partner[closer] = first + best[closer]
            alike[closer], apart[closer] = values[rows, best][closer], distances[rows, best][closer]
            mine, theirs = np.nonzero(fits)
            clusters.join(start + mine, first + theirs)
        found = np.flatnonzero(np.isfinite(apart))
        return [(start + n, int(partner[n]), float(alike[n])) for n in found.tolist()]


def _head(frames: np.ndarray, at: float, fps: float) -> list[float]:
    """Middle of the only face's head at a time, and half its width, in shares of width, height and shorter side."""
    from vivace.perception.faces import face_tracks

    track = face_tracks(frames)[0]
    height, width = frames.shape[1:3]
    n = min(int(at * fps), len(frames) - 1)
    places = track.columns[n] / width, track.rows[n] / height, track.sizes[n] / min(height, width)
    return [round(float(value), 4) for value in places]


class _Faces:
    """The clips with one face, by place in the order in which they came, on disk."""

    def __init__(self, store: sqlite3.Connection, clips: Iterable[Clip]) -> None:
        self.store = store
        self.count = 0
        self._sum = np.zeros(0)
        store.execute(
            "CREATE TABLE seen(place INTEGER PRIMARY KEY, id TEXT, file INTEGER, face BLOB, path BLOB, at REAL)"
        )
        store.execute("CREATE TABLE partners(place INTEGER PRIMARY KEY, other INTEGER, alike REAL)")
        store.executemany("INSERT INTO seen VALUES (?, ?, ?, ?, ?, ?)", self._rows(clips))
        self._mean = (self._sum / max(self.count, 1)).astype(np.float32)

    def _rows(self, clips: Iterable[Clip]) -> Iterator[tuple[int, str, int, bytes, bytes, float]]:
        for clip in clips:
            if clip["pairs.face"]:
                face = np.array(clip["pairs.face"], "<f4")
                # Names of files may hold bytes that are no text, which SQLite does not take.
                file = hashlib.sha256(clip["pairs.file"].encode(errors="surrogateescape")).digest()[:8]
                number, at = int.from_bytes(file, "big", signed=True), round(clip.start + clip["pairs.at"], 4)
                yield self.count, clip.id, number, face.tobytes(), os.fsencode(clip.path), at
                self._sum = self._sum + face if self.count else face.astype(np.float64)
                self.count += 1

    def block(self, start: int) -> tuple[np.ndarray, np.ndarray]:
        """The faces from this place on as unit vectors [n, D], without what all share, whose cosine would be near 1
        for any two; and a number for each one's file [n]."""
        rows = self.store.execute(
            "SELECT face, file FROM seen WHERE place >= ? AND place < ? ORDER BY place", (start, start + BLOCK)
        ).fetchall()
        faces = np.frombuffer(b"".join(row[0] for row in rows), "<f4").reshape(len(rows), -1) - self._mean
        faces /= np.maximum(np.linalg.norm(faces, axis=1, keepdims=True), 1e-6)
        return faces, np.array([row[1] for row in rows], np.int64)

    def keep_partners(self, rows: Iterable[tuple[int, int, float]]) -> None:
        self.store.executemany("INSERT INTO partners VALUES (?, ?, ?)", rows)

    def partners(self) -> Iterator[tuple[int, str, str, float, bytes, float]]:
        """Place, clip, partner, likeness, and the partner's file and time in it, in order of place."""
        yield from self.store.execute(
            "SELECT p.place, a.id, b.id, p.alike, b.path, b.at FROM partners p JOIN seen a ON a.place = p.place "
            "JOIN seen b ON b.place = p.other ORDER BY p.place"
        )

    def id_of(self, place: int) -> str:
        return str(self.store.execute("SELECT id FROM seen WHERE place = ?", (place,)).fetchone()[0])


class _Clusters:
    """Which places belong together; the first of each names it."""

    def __init__(self, count: int) -> None:
        # What comes before each, itself for a root: always a smaller number, so that there are no rings.
        self._parents = np.arange(count)

    def join(self, first: np.ndarray, second: np.ndarray) -> None:
        """Put the places [n] and [n] together, pair by pair."""
        while True:
            a, b = self._roots(first), self._roots(second)
            apart = a != b
            if not apart.any():
                return
            first, second, a, b = first[apart], second[apart], a[apart], b[apart]
            # Where a root meets several others it goes to the smallest; the rest come in the next round.
            np.minimum.at(self._parents, np.maximum(a, b), np.minimum(a, b))

    def root(self, place: int) -> int:
        return int(self._roots(np.array([place]))[0])

    def _roots(self, places: np.ndarray) -> np.ndarray:
        found = self._parents[places]
        while not np.array_equal(found, self._parents[found]):
            found = self._parents[found]
        self._parents[places] = found
        return found
