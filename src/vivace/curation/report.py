"""What a curation's report shows: the funnel, what was rejected and why, with examples, and what balance changed."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar

import numpy as np

from vivace.curation.chain import Job
from vivace.curation.clip import Clip, Rejected
from vivace.curation.funnel import Passage, passages
from vivace.curation.guard import Guard, Limits
from vivace.curation.ledger_answers import Histogram, examples_of, histogram_of, shares_of, verdict_on
from vivace.curation.ledger_reader import LedgerReader
from vivace.curation.stage import Bound, StageSettings

PICTURES, HEIGHT = 6, 72  # of a strip
LONGEST = 4.0  # seconds of an example that are shown
RATE = 8000  # Hz of its sound: enough to tell hiss, hum and speech
BALANCED = {"speaking": "speech", "kind": "coherence", "domain": "domain", "label": "label"}


@dataclass(frozen=True)
class Example:
    """A clip as a strip of pictures (JPEG) with its sound (WAV), both base64; empty where it cannot be decoded."""

    clip: Clip
    told: str
    picture: str
    sound: str


@dataclass(frozen=True)
class Group:
    """Clips that a stage rejected for one reason; `reason` is None for those that all stages kept."""

    stage: str
    reason: str | None
    count: int
    examples: list[Example]


@dataclass(frozen=True)
class Distribution:
    """A measured column with the bound on it."""

    stage: str
    reason: str
    bound: Bound
    found: Histogram


@dataclass(frozen=True)
class Shares:
    """Values of a column with the numbers of clips before balance and after."""

    title: str
    rows: list[tuple[str, int, int]]


@dataclass(frozen=True)
class Report:
    """All that the page shows."""

    title: str
    stages: list[Passage]
    groups: list[Group]
    distributions: list[Distribution]
    shares: list[Shares]


class Strip:
    """Makes an example out of a clip. A stage, so that a guarded process does it: rejected clips may be broken ones."""

    name: ClassVar[str] = "strip"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self.settings = StageSettings()

    def measure(self, clip: Clip) -> Clip | Rejected:
        seconds = LONGEST if clip.seconds is None else min(LONGEST, clip.seconds)
        material = clip.part(0.0, seconds).material()
        picture = "" if material.frames is None else base64.b64encode(_strip(material.frames)).decode()
        sound = ""
        if material.audio is not None and material.audio.shape[1]:
            sound = base64.b64encode(_wav(material.audio, material.sample_rate)).decode()
        return clip.with_columns(self.name, picture=picture, sound=sound)


def gather(ledger: LedgerReader, title: str, examples: int, limits: Limits | None = None) -> Report:
    """Everything of the last run.

    Args:
        examples: clips that are shown for each reason.
    """
    found = passages(ledger)  # leaves those that all stages kept
    entries = ledger.plan()
    groups = []
    with closing(Guard([Strip()], limits or Limits(seconds=30.0))) as guard:
        for entry, passage in zip(entries, found, strict=True):
            for reason, count in passage.rejected.items():
                clips = examples_of(ledger, entry, reason, examples)
                told = [verdict_on(ledger, clip.id, entry)[1] for clip in clips]
                groups.append(Group(entry.stage, reason, count, _examples(guard, clips, told)))
        if ledger.count_alive():
            ids = list(islice(ledger.alive_ids(), examples))
            captions = [entry for entry in entries if entry.stage in ("captions", "subjects")]
            clips = ledger.with_columns(ids, captions)
            told = [str(clip.get("subjects.text") or clip.get("captions.text") or "") for clip in clips]
            groups.append(Group("", None, ledger.count_alive(), _examples(guard, clips, told)))
    distributions = []
    for entry in entries:
        bounds = {reason: Bound.model_validate(values) for reason, values in entry.settings["bounds"].items()}
        if entry.stage == "clarity":
            bounds["unclear"] = Bound(column="clarity.level", least=entry.settings["least"])
        for reason, bound in bounds.items():
            stage, _, column = bound.column.partition(".")
            drawn = stage == entry.stage and not bound.on_text
            histogram = histogram_of(ledger, entry, column) if drawn else None
            if histogram is not None:
                distributions.append(Distribution(entry.stage, reason, bound, histogram))
    shares = []
    for entry in entries:
        if entry.stage == "balance":
            for column, name in BALANCED.items():
                rows = [(_name(column, value), *counts) for value, counts in shares_of(ledger, entry, column).items()]
                shares.append(Shares(name, rows))
    return Report(title, found, groups, distributions, shares)


def _examples(guard: Guard, clips: Sequence[Clip], told: Sequence[str]) -> list[Example]:
    found = []
    for clip, words in zip(clips, told, strict=True):
        step = guard.run(Job(clip, (Strip.name,)))[-1]
        columns: dict[str, Any] = step.columns or {"picture": "", "sound": ""}
        found.append(Example(clip, words, columns["picture"], columns["sound"]))
    return found


def _name(column: str, value: Any) -> str:
    if column == "speaking":
        return "speaking" if value else "not speaking"
    return str(value)


def _strip(frames: np.ndarray) -> bytes:
    """Some pictures of uint8 [T, H, W, 3] beside one another, as JPEG."""
    from PIL import Image

    chosen = frames[np.linspace(0, len(frames) - 1, PICTURES).round().astype(int)]
    width = max(1, round(HEIGHT * frames.shape[2] / frames.shape[1]))
    strip = Image.new("RGB", (PICTURES * (width + 2) - 2, HEIGHT))
    for n, picture in enumerate(chosen):
        strip.paste(Image.fromarray(picture).resize((width, HEIGHT)), (n * (width + 2), 0))
    out = io.BytesIO()
    strip.save(out, "JPEG", quality=80)
    return out.getvalue()


def _wav(audio: np.ndarray, sample_rate: int) -> bytes:
    from vivace.curation.captioner import wav_bytes
    from vivace.media.decode_audio import resample

    return wav_bytes(resample(audio.mean(axis=0, keepdims=True), sample_rate, RATE), RATE)
