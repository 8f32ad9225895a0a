"""Cross pairs: the same person in two clips, for training on references.

Of each clip the 1.5 s in which lips and voice go best together are the identity's anchor. Clips whose anchors look
alike within a window form a cluster; the partner of a clip is the one nearest to 0.9, so that copies are not preferred
(Alive's window is on face and CLIP embeddings; ours, without weights, on the colours of head and shoulders).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

import numpy as np
from pydantic import Field

from vivace.curation.clip import Clip, Rejected
from vivace.curation.stage import Decision, StageSettings

ANCHOR = 1.5  # seconds
_CHUNK = 512
_GRID = 6


class PairSettings(StageSettings):
    """The window of likeness."""

    DECIDING: ClassVar = frozenset({"least", "most", "near", "same_file"})

    least: float = Field(default=0.7, ge=-1, le=1, description="cosine from which two faces may be one person's")
    most: float = Field(default=0.995, ge=-1, le=1, description="above which they are copies of one picture")
    near: float = Field(default=0.9, ge=-1, le=1, description="the likeness that is preferred")
    same_file: bool = Field(default=True, description="whether partners may come from one file")


class Pairs:
    """A partner and an anchor for every clip with a face; all clips are kept."""

    name: ClassVar[str] = "pairs"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: PairSettings) -> None:
        self.settings = settings

    def measure(self, clip: Clip) -> Clip | Rejected:
        from vivace.curation.appearance import appearances

        material = clip.material()
        assert material.frames is not None
        seen = appearances(material.frames)
        if len(seen) != 1:
            return clip.with_columns(self.name, face=None, anchor=None, file=clip.path)
        anchor = self._anchor(clip)
        head = seen[0].head.reshape(_GRID, 2, _GRID, 2, 3).mean(axis=(1, 3)).ravel()
        return clip.with_columns(self.name, face=[round(float(v), 3) for v in head], anchor=anchor, file=clip.path)

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
        """Faces are compared in blocks; what is held is one short vector for each clip with one face."""
        known = [(c.id, c["pairs.file"], np.array(c["pairs.face"], np.float32)) for c in clips if c["pairs.face"]]
        if len(known) < 2:
            return
        faces = np.stack([face for *_, face in known])
        # Without what all faces share, whose cosine would be near 1 for any two.
        faces -= faces.mean(axis=0)
        faces /= np.maximum(np.linalg.norm(faces, axis=1, keepdims=True), 1e-6)
        parents = list(range(len(known)))
        partner: dict[int, tuple[int, float]] = {}
        for start in range(0, len(known), _CHUNK):
            alike = faces[start : start + _CHUNK] @ faces.T
            for row, values in enumerate(alike):
                n = start + row
                fits = (values >= self.settings.least) & (values <= self.settings.most)
                fits[n] = False
                if not self.settings.same_file:
                    fits &= np.array([file != known[n][1] for _, file, _ in known])
                others = np.flatnonzero(fits)
                if not len(others):
                    continue
                best = int(others[np.abs(values[others] - self.settings.near).argmin()])
                partner[n] = best, float(values[best])
                for neighbour in others.tolist():
                    _join(parents, n, neighbour)
        for n, (other, alike_by) in sorted(partner.items()):
            columns = {
                "partner": known[other][0],
                "likeness": round(alike_by, 4),
                "cluster": known[_root(parents, n)][0],
            }
            yield Decision(known[n][0], columns=columns)


def _root(parents: list[int], n: int) -> int:
    while parents[n] != n:
        parents[n] = parents[parents[n]]
        n = parents[n]
    return n


def _join(parents: list[int], first: int, second: int) -> None:
    a, b = _root(parents, first), _root(parents, second)
    parents[max(a, b)] = min(a, b)
