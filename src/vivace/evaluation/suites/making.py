"""The clips of a suite that a model makes: what is missing, and what was asked for otherwise when it was made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vivace.errors import VivaceError
from vivace.evaluation.digests import content_digest
from vivace.evaluation.parted_lines import PartedLines
from vivace.evaluation.suites.measuring import Progress
from vivace.evaluation.suites.suite import IMAGE_REFERENCE, SOUND_REFERENCES, Suite, SuiteItem
from vivace.media import Clip, write_clip

_SHOWN = 3
_VOICE = SOUND_REFERENCES[0]

MakeClips = Callable[[Sequence[SuiteItem]], list[Clip]]


@dataclass(frozen=True)
class ModelRun:
    """A model that makes what is missing.

    Args:
        make: items of one length to clips. name, model_hash, settings: what identifies the clips.
        batch: clips made at a time.
        check: raises VivaceError for an item that the model would refuse, at no cost; None where that is not known.
    """

    make: MakeClips
    name: str
    model_hash: str
    settings: Mapping[str, Any]
    batch: int = 4
    check: Callable[[SuiteItem], None] | None = None


def made_clips(
    suite: Suite,
    items: Sequence[SuiteItem],
    output: Path,
    model: ModelRun,
    allow_missing: bool,
    progress: Progress | None,
    part: str = "",
) -> tuple[dict[str, Path], dict[str, str]]:
    """The model's clips of these items of a suite by id, and why the others could not be made.

    made.jsonl says of each clip what was asked for; a clip of an item that asks for something else by now is made anew.
    `part` is the part of it that this process writes.

    Raises:
        VivaceError: items that the model would refuse, before anything is made, unless missing clips are allowed.
    """
    paths = {item.id: clip_path(suite, output, item) for item in items}
    record = PartedLines(output, "made", part)
    asked = {str(row["id"]): str(row["asked"]) for row in record.rows}

    def is_there(item: SuiteItem) -> bool:
        return paths[item.id].is_file() and asked.get(item.id) in (None, _asked(item))

    due = [item for item in items if not is_there(item)]
    failed = _refused(due, model)
    if failed and not allow_missing:
        raise VivaceError(
            f"{len(failed)} of {len(items)} prompts would be refused ({first_of(list(failed))}; the first "
            f"reason: {next(iter(failed.values())).rstrip('.')}), so nothing is generated; correct them, choose "
            "another model, or give --allow-missing to count them as undefined."
        )
    due = [item for item in due if item.id not in failed]
    done = len(items) - len(due)
    for group in batches_of(due, model.batch):
        for item, clip in _one_by_one(group, model.make, failed):
            paths[item.id].parent.mkdir(parents=True, exist_ok=True)
            write_clip(paths[item.id], clip, {"title": item.prompt})
            record.add({"id": item.id, "asked": _asked(item)})
        done += len(group)
        if progress is not None:
            progress("generating", done, len(items))
    return {name: path for name, path in paths.items() if name not in failed}, failed


def clip_path(suite: Suite, output: Path, item: SuiteItem) -> Path:
    """Where a model's clip of an item lies."""
    return output / "clips" / f"{item.id}{suite.suffix}"


def first_of(names: Sequence[str]) -> str:
    """The first few names."""
    return ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")


def _asked(item: SuiteItem) -> str:
    """A digest of what a clip is made from."""
    given = item.digests()
    return content_digest([item.prompt, item.seed, item.seconds, given.get(IMAGE_REFERENCE), given.get(_VOICE)])


def _refused(items: Sequence[SuiteItem], model: ModelRun) -> dict[str, str]:
    """The items that the model would refuse, and why."""
    refused: dict[str, str] = {}
    if model.check is None:
        return refused
    for item in items:
        try:
            model.check(item)
        except VivaceError as error:
            refused[item.id] = str(error)
    return refused


def batches_of(items: Sequence[SuiteItem], size: int) -> Iterator[list[SuiteItem]]:
    """Items of one length, and with the same kinds of references, at a time."""
    alike: dict[tuple[Any, ...], list[SuiteItem]] = {}
    for item in items:
        alike.setdefault((item.seconds, tuple(sorted(item.files)), item.prompt.count("<S>")), []).append(item)
    for part in alike.values():
        for start in range(0, len(part), size):
            yield part[start : start + size]


def _one_by_one(items: list[SuiteItem], make: MakeClips, failed: dict[str, str]) -> Iterator[tuple[SuiteItem, Clip]]:
    """The clips of a batch; where it is refused, of each item that is not. What is refused goes into `failed`."""
    try:
        yield from zip(items, make(items), strict=True)
        return
    except VivaceError as error:
        if len(items) == 1:
            failed[items[0].id] = str(error)
            return
    for item in items:
        yield from _one_by_one([item], make, failed)
