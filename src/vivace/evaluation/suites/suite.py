"""What a suite is: items that ask for a clip each, references to judge it by, and the figures that it publishes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vivace.errors import VivaceError
from vivace.evaluation.digests import content_digest, file_digest
from vivace.evaluation.speaker_transcripts import TRANSCRIPTS, read_transcripts
from vivace.media import read_clip, read_image

# Names under which published metrics look for a reference (`vivace.evaluation.published`), and how it is read.
SOUND_REFERENCES = ("voice", "sound")
VIDEO_REFERENCE, IMAGE_REFERENCE, FACE_TRACKS = "video", "image", "face_tracks"
WORDS = "words"  # what digests call prompt and texts
LONGEST_REFERENCE = 60.0  # seconds of a true clip that are read

Pooling = Literal["items", "sets"]


@dataclass(frozen=True)
class SuiteItem:
    """One clip that is asked for.

    Args:
        id: unique in its suite; may hold "/" (then also the folders of its clip).
        group: the part of the suite that it belongs to.
        prompt: as the model reads it, with what is spoken between <S> and <E>; "" where none is known (foreign clips).
        seed: for generation. language: "en", "zh" or "".
        texts: references in words: "said", "audio_prompt".
        files: references in files: "voice" and "sound" (sounds), "video" (the true clip), "image" (the first picture),
            "face_tracks", "transcripts".
        tags: dimensions that it probes.
        seconds: the length that is asked for; None is the run's.
    """

    id: str
    group: str
    prompt: str
    seed: int = 0
    language: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    seconds: float | None = None

    def read(self, name: str) -> Any:
        """The reference of `files` as metrics find it in `Sample.refs`.

        Raises:
            VivaceError: it cannot be read.
        """
        path = self.files[name]
        if name in SOUND_REFERENCES:
            return read_clip(path, pictures=False)
        if name == VIDEO_REFERENCE:
            return read_clip(path, at_most=LONGEST_REFERENCE)
        if name == FACE_TRACKS:
            return read_face_tracks(path)
        return read_transcripts(path) if name == TRANSCRIPTS else read_image(path)

    def digests(self) -> dict[str, str]:
        """SHA-256 of what a clip is judged by: of all words together (`WORDS`), and of each file by its name in
        `files`, "" where it is not there."""
        told = {WORDS: content_digest([self.prompt, dict(self.texts)])}
        return told | {name: file_digest(path) if path.is_file() else "" for name, path in self.files.items()}


def read_face_tracks(path: Path) -> list[Any]:
    """Tracks of faces that the user's detector has found, `vivace.perception.published.syncnet.FaceTrack` each.

    The file is JSON: [{"first": 0, "boxes": [[left, top, right, bottom], ...]}, ...], a box for each picture from the
    `first` on, in pixels.

    Raises:
        VivaceError: a file that cannot be read or of another form.
    """
    from vivace.perception.published.syncnet import FaceTrack

    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        tracks = [FaceTrack(int(row["first"]), np.asarray(row["boxes"], dtype=float)) for row in rows]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise VivaceError(
            f"Face tracks {str(path)!r} cannot be read ({error}); "
            'give JSON such as [{"first": 0, "boxes": [[left, top, right, bottom], ...]}].'
        ) from error
    if any(track.first < 0 or track.boxes.ndim != 2 or track.boxes.shape[1:] != (4,) for track in tracks):
        raise VivaceError(f"Face tracks {str(path)!r} hold a track that is none; give four numbers for each picture.")
    return tracks


@dataclass(frozen=True)
class Column:
    """A figure as a benchmark publishes it, and what it is made of here.

    Args:
        name: as published, such as "LSE-C"; a corrected twin has a name of its own.
        metric: ours that gives it; None where vivace has no adapter of its network.
        groups: parts of the suite that count; empty for all.
        terms: metrics and their weights, for a figure that is a sum of several, item by item; undefined for an item
            that lacks one of them.
        needs: texts that an item must have to count ("said", "audio_prompt"); the others are no part of the figure.
        pooling: "items": over all items; "sets": the mean of the parts' values.
        rule: what must be known to read it: its definition where it is special, and what ours does not share.
        twin: the column that it is a correction of.
    """

    name: str
    metric: str | None
    groups: tuple[str, ...] = ()
    pooling: Pooling = "items"
    rule: str = ""
    twin: str | None = None
    terms: tuple[tuple[str, float], ...] = ()
    needs: tuple[str, ...] = ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """All metrics that the figure is made of."""
        return tuple(name for name, _ in self.terms) or (() if self.metric is None else (self.metric,))

    def counts(self, item: SuiteItem) -> bool:
        """Whether an item is part of the figure."""
        return (not self.groups or item.group in self.groups) and all(item.texts.get(name) for name in self.needs)

    @property
    def made_of(self) -> str | None:
        """`metrics` in words; None where there are none."""
        return " + ".join(f"{weight:.3g} {name}" for name, weight in self.terms) or self.metric


@dataclass(frozen=True)
class Suite:
    """A benchmark.

    Args:
        name: as on the command line. protocol: under which its figures may be compared; never across protocols.
        note: where the items come from and what differs from the original, one or two sentences.
        items: in order.
        columns: figures as published; empty where nothing is.
        overall: figures that a benchmark makes of its columns, by the columns as the summary has them.
        dimensions: tag -> our metrics that stand for it; an empty tuple is "human only".
        sides: which sides a clip has.

    Raises:
        VivaceError: no items, or an id that two of them have.
    """

    name: str
    protocol: str
    note: str
    items: Sequence[SuiteItem]
    columns: Sequence[Column] = ()
    overall: Callable[[Mapping[str, Mapping[str, Any]]], dict[str, dict[str, Any]]] | None = None
    dimensions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sides: Literal["both", "audio"] = "both"

    def __post_init__(self) -> None:
        if not self.items:
            raise VivaceError(f"{self.name} has no items; check its folder and the parts that are asked for.")
        double = [name for name, count in Counter(item.id for item in self.items).items() if count > 1]
        if double:
            raise VivaceError(f"{self.name} has the id {double[0]!r} twice; give each item an id of its own.")

    @property
    def suffix(self) -> str:
        return ".wav" if self.sides == "audio" else ".mp4"
