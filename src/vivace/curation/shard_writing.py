"""Writing the shards that a curation ends in: once, in the order of the clips, with every clip accounted for."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from vivace.curation.chain import Job, Step
from vivace.curation.clip import Clip
from vivace.curation.encode import Encode, EncodeSettings, encode_stage
from vivace.curation.engine import ENCODE, Round
from vivace.curation.guard import Limits
from vivace.curation.latents import LatentEncoder
from vivace.curation.ledger import Ledger, entry_of
from vivace.curation.ledger_reader import PAGE
from vivace.curation.local import cores, run_local
from vivace.curation.shards import ShardSettings, codecs_of, is_validation, place_of, shard_format
from vivace.curation.stage import Planned
from vivace.errors import VivaceError

PARTS = ("train", "validation")
AHEAD = 16  # clips for each worker that may lie prepared, waiting for one before them


def write_shards(clips: Iterable[Clip], settings: ShardSettings, folder: Path) -> dict[str, int]:
    """`fill_shards` of clips that stand in no ledger: nothing is known of what an earlier call left out."""
    planned = encode_stage(settings, (), folder)
    assert isinstance(planned.stage, Encode)
    parts = _Parts(folder, clips, planned.stage.settings)
    if parts.finished:
        return parts.counts()
    with TemporaryDirectory() as place, Ledger(Path(place)) as ledger:
        return fill_shards(clips, planned, folder, ledger)


def fill_shards(
    clips: Iterable[Clip],
    planned: Planned,
    folder: Path,
    ledger: Ledger,
    limits: Limits | None = None,
    workers: int = 0,
    attempts: int = 2,
    patience: int = 50,
    report: Callable[[str, int], None] = lambda doing, done: None,
) -> dict[str, int]:
    """Write `folder/train` and `folder/validation`; what is there and of the same clips stays as it is.

    A folder of other clips or settings is put aside under its own digest, since shards never change. What becomes of
    each clip is written down in the ledger as of any stage; one whose decoding crashes or hangs, whose file is not what
    was measured, or which the codecs cannot encode, is set aside. Returns the numbers of clips in both parts, of those
    left out by reason, and of those set aside (`set_aside`).

    Args:
        clips: is gone through several times; few are held at a time.
        planned: of `encode_stage`. ledger, limits, workers, attempts, patience, report: as in `Engine`.

    Raises:
        VivaceError: codecs that cannot be loaded; decoding that fails on clip after clip; pyarrow is not installed.
    """
    stage = planned.stage
    assert isinstance(stage, Encode)
    parts = _Parts(folder, clips, stage.settings)
    filling = _Filling(parts, planned, ledger, attempts, patience, stage.settings.shards.references != "none")
    # Shards that are complete lack nothing, unless what was set aside is to be tried again.
    parts.renew({parts.part(clip) for clip, _ in filling.missing(clips) if clip not in parts})
    shutil.rmtree(stage.spool, ignore_errors=True)
    stage.spool.mkdir()
    try:
        filling.fill(clips, limits or Limits(), workers or cores(), report)
    finally:
        shutil.rmtree(stage.spool, ignore_errors=True)
    parts.close()
    return parts.counts() | filling.left_out(clips)


class _Parts:
    """The two folders of shards. Which clips are in them stands in each one's digest."""

    def __init__(self, folder: Path, clips: Iterable[Clip], settings: EncodeSettings) -> None:
        self.folder = folder
        self.settings = settings.shards
        told = [settings.shards.model_dump(mode="json"), settings.codecs]
        digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
        lowest: list[float] = []  # places of two clips, since one may still be left out
        files: set[str] = set()
        for clip in clips:
            digest.update(json.dumps(json.loads(clip.to_json()), sort_keys=True).encode())
            lowest = sorted([*lowest, place_of(clip)])[:2]
            if len(files) < 4:
                files.add(clip.path)
        self.digest = digest.hexdigest()[:16]
        self.share = settings.shards.validation
        if self.share and len(files) > 1:
            # Of few files all might be above the share, and a training must have something held out.
            self.share = max(self.share, math.nextafter(lowest[-1 if len(files) > 3 else 0], 1.0))
        self.writers = {part: self._writer(part) for part in PARTS}

    @cached_property
    def encoder(self) -> LatentEncoder | None:
        return LatentEncoder(*codecs_of(self.settings)) if self.settings.content == "latents" else None

    @property
    def finished(self) -> bool:
        return all(writer.finished for writer in self.writers.values())

    def part(self, clip: Clip) -> str:
        return "validation" if is_validation(clip, self.share) else "train"

    def __contains__(self, clip: Clip) -> bool:
        return clip.id in self.writers[self.part(clip)]

    def renew(self, lacking: Iterable[str]) -> None:
        """Begin those of these parts anew that are complete."""
        for part in lacking:
            if self.writers[part].finished:
                _put_aside(self.folder / part, self.digest)
                self.writers[part] = self._writer(part)

    def add(self, clip: Clip, tensors: Mapping[str, Any], row: Mapping[str, Any]) -> None:
        part = self.part(clip)
        self.writers[part].add(clip.id, tensors, {**row, "split": "val" if part == "validation" else "train"})

    def counts(self) -> dict[str, int]:
        return {part: len(writer) for part, writer in self.writers.items()}

    def close(self) -> None:
        for writer in self.writers.values():
            writer.close()

    def _writer(self, part: str) -> Any:
        shards, path = shard_format(), self.folder / part
        before = _metadata(path)
        if before is not None and before.get("curation") != self.digest:
            _put_aside(path, str(before.get("curation", "unknown")))
            before = None
        if before is None:
            before = {"curation": self.digest, "settings": self.settings.model_dump(mode="json")}
            if self.encoder is not None:
                before["codecs"] = self.encoder.hashes
        return shards.ShardWriter(path, shards.ShardHeader(self.settings.content, before))


class _Filling:
    """Takes the clips that shards lack through the guarded stage, and adds them in the order in which they come, so
    that a run that was stopped or lost a worker ends in the same shards."""

    def __init__(
        self, parts: _Parts, planned: Planned, ledger: Ledger, attempts: int, patience: int, references: bool
    ) -> None:
        self.parts = parts
        self.planned = planned
        self.entry = entry_of(planned)
        self.ledger = ledger
        self.attempts = attempts
        self.references = references
        self.results = Round(ledger, [planned], attempts, patience)
        self._left: dict[str, int] = {}  # attempts, of each clip on its way
        self._again: deque[Clip] = deque()
        self._order: deque[str] = deque()
        self._ready: dict[str, tuple[Job, Step] | None] = {}

    def missing(self, clips: Iterable[Clip]) -> Iterator[tuple[Clip, int]]:
        """The clips that are neither in the shards nor known to be left out, and those in the shards of which a killed
        run had no time to tell the ledger; with the attempts that failed."""
        for page, steps, aside in self._known(clips):
            failed = self.ledger.attempts_of([clip.id for clip in page], self.entry)
            for clip in page:
                step = steps.get(clip.id)
                lacking = step is None or (step.rejected is None and clip not in self.parts)
                if lacking and clip.id not in aside:
                    yield clip, failed.get(clip.id, 0)

    def left_out(self, clips: Iterable[Clip]) -> dict[str, int]:
        """Of these clips, by reason."""
        counts = Counter({"shorter": 0, "cut_speech": 0, "long_caption": 0, "set_aside": 0})
        for _, steps, aside in self._known(clips):
            counts["set_aside"] += len(aside)
            counts.update(step.rejected.reason for step in steps.values() if step.rejected is not None)
        return dict(counts)

    def _known(self, clips: Iterable[Clip]) -> Iterator[tuple[list[Clip], dict[str, Step], set[str]]]:
        queue = iter(clips)
        while page := list(islice(queue, PAGE)):
            ids = [clip.id for clip in page]
            yield page, self.ledger.steps_of(ids, self.entry), self.ledger.quarantined(ids, self.entry)

    def fill(self, clips: Iterable[Clip], limits: Limits, workers: int, report: Callable[[str, int], None]) -> None:
        queue = self.missing(clips)
        while True:
            moved = False
            for job, steps in run_local([self.planned.stage], self._jobs(queue, AHEAD * workers), limits, workers):
                moved = True
                self._take(job, steps[-1])
                self._write()
                report(ENCODE, self.results.done)
            self._write()
            self.results.commit()
            if not moved:
                return

    def _jobs(self, queue: Iterator[tuple[Clip, int]], most: int) -> Iterator[Job]:
        """What is to be decoded; ends early where so many wait for one that takes long, for each fills the disk."""
        while self._again or len(self._order) < most:
            if self._again:
                clip = self._again.popleft()
            else:
                found = next(queue, None)
                if found is None:
                    return
                clip = found[0]
                self._left[clip.id] = self.attempts - found[1]
                self._order.append(clip.id)
            job = Job(clip, (ENCODE,))
            if self.results.begin(job, self._files(clip)):
                yield job
            else:
                self._settled(clip.id, None)

    def _files(self, clip: Clip) -> dict[str, str]:
        """What is read, with its stamps, as far as the ledger knows them."""
        files = {clip.id: clip.path}
        if self.references and clip.get("pairs.partner"):
            files[clip["pairs.partner"]] = clip["pairs.partner_path"]
        known = self.ledger.stamps_of(list(files))
        return {path: known[name] for name, path in files.items() if name in known}

    def _take(self, job: Job, step: Step) -> None:
        """A result: an error is tried again, a clip that is prepared waits for its turn."""
        if step.columns is not None:
            self._settled(job.clip.id, (job, step))
            return
        kept = self.results.add(job, [step])
        self._left[job.clip.id] -= step.error is not None
        if kept and step.error is not None and self._left[job.clip.id] > 0:
            self._again.append(job.clip)
        else:
            self._settled(job.clip.id, None)

    def _settled(self, clip: str, result: tuple[Job, Step] | None) -> None:
        self._ready[clip] = result
        del self._left[clip]

    def _write(self) -> None:
        """Add to the shards what is ready and has no other before it."""
        while self._order and self._order[0] in self._ready:
            result = self._ready.pop(self._order.popleft())
            if result is not None:
                self._add(*result)

    def _add(self, job: Job, step: Step) -> None:
        began = time.perf_counter()
        assert isinstance(self.planned.stage, Encode)
        path = self.planned.stage.spool / f"{job.clip.id}.npz"
        with np.load(path) as made:
            row = json.loads(str(made["row"]))
            tensors = {name: made[name] for name in made.files if name != "row"}
        path.unlink()
        stored = job.clip in self.parts
        if self.parts.encoder is not None and not stored:
            try:
                tensors, row = self.parts.encoder(tensors, row)
            except (VivaceError, RuntimeError) as error:
                step = Step(ENCODE, step.seconds, error=f"{type(error).__name__}: {error}"[:2000])
        # What codecs cannot encode they will not encode later.
        step = replace(step, seconds=step.seconds + time.perf_counter() - began)
        if self.results.add(job, [step], last=True) and step.error is None and not stored:
            self.parts.add(job.clip, tensors, row)


def _metadata(folder: Path) -> dict[str, Any] | None:
    """Of the shards in a folder; None where there are none."""
    header = folder / "header.json"
    if not header.is_file():
        return None
    found: dict[str, Any] = json.loads(header.read_text()).get("metadata", {})
    return found


def _put_aside(folder: Path, digest: str) -> None:
    aside = folder.with_name(f"{folder.name}-{digest}")
    if aside.exists():
        shutil.rmtree(aside)
    folder.rename(aside)
