"""Clips that somebody else has made: a folder of them, with or without a manifest that says what was asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vivace.errors import VivaceError
from vivace.evaluation.speaker_transcripts import TRANSCRIPTS
from vivace.evaluation.suites.suite import (
    FACE_TRACKS,
    IMAGE_REFERENCE,
    SOUND_REFERENCES,
    VIDEO_REFERENCE,
    Suite,
    SuiteItem,
)

# In the order in which one is taken where an item has several: pictures with sound before sound alone.
SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".wav", ".flac", ".mp3", ".m4a", ".ogg")
TEXTS = ("said", "audio_prompt")
_FILES = (*SOUND_REFERENCES, VIDEO_REFERENCE, IMAGE_REFERENCE, FACE_TRACKS, TRANSCRIPTS)
_KEYS = {"id", "clip", "group", "prompt", "language", *TEXTS, *_FILES}


def clips_in(folder: Path) -> dict[str, Path]:
    """The clips of a folder and its subfolders, by their path in it without suffix.

    Raises:
        VivaceError: no folder.
    """
    if not folder.is_dir():
        raise VivaceError(f"There is no folder {str(folder)!r}; check the path given to --clips.")
    found: dict[str, Path] = {}
    for suffix in SUFFIXES:
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() == suffix and path.is_file():
                found.setdefault(path.relative_to(folder).with_suffix("").as_posix(), path)
    return dict(sorted(found.items()))


def clips_of(suite: Suite, folder: Path) -> dict[str, Path]:
    """The clips of a suite's items in a folder: `ID.mp4` (or another suffix) each, also where ids have folders.

    Raises:
        VivaceError: no folder, or one in which not a single item has a clip.
    """
    there = clips_in(folder)
    found = {item.id: there[item.id] for item in suite.items if item.id in there}
    if not found:
        raise VivaceError(
            f"Folder {str(folder)!r} holds no clip of {suite.name}; name clips by their items, "
            f"such as {suite.items[0].id}{suite.suffix}."
        )
    return found


def with_files(suite: Suite, name: str, folder: Path) -> Suite:
    """The suite with a reference `ID.json` from a folder, for the items that have one.

    Args:
        name: of the reference, "face_tracks" or "transcripts".

    Raises:
        VivaceError: no folder.
    """
    if not folder.is_dir():
        raise VivaceError(f"There is no folder {str(folder)!r}; check the path given for {name.replace('_', ' ')}.")
    items = []
    for item in suite.items:
        path = folder / f"{item.id}.json"
        items.append(replace(item, files={**item.files, name: path}) if path.is_file() else item)
    return replace(suite, items=tuple(items))


def folder_suite(folder: Path, manifest: Path | None = None) -> tuple[Suite, dict[str, Path]]:
    """A suite of the clips in a folder, and the clips by id.

    Args:
        manifest: JSON lines; of each the keys are `id`, and optionally `clip` (path from the folder; the id's clip
            where it is not given), `group`, `prompt`, `language`, `said`, `audio_prompt`, and `voice`, `sound`,
            `video`, `image`, `face_tracks`, `transcripts` (paths from the manifest's folder).

    Raises:
        VivaceError: no clips; a manifest that cannot be read, with an unknown key, without an id or with one twice.
    """
    there = clips_in(folder)
    note = "Clips made elsewhere."
    if manifest is None:
        if not there:
            raise VivaceError(
                f"Folder {str(folder)!r} holds no clips; give one with {', '.join(SUFFIXES[:3])} or others."
            )
        items = tuple(SuiteItem(name, "clips", "") for name in there)
        return Suite("clips", "vivace-clips", note, items), there
    rows = _rows(manifest)
    suite = Suite("clips", "vivace-clips", note, tuple(_item(row, manifest) for row in rows))
    found: dict[str, Path] = {}
    for row in rows:
        path = folder / row["clip"] if "clip" in row else there.get(row["id"])
        if path is not None and path.is_file():
            found[row["id"]] = path
    return suite, found


def read_json_lines(path: Path) -> list[Any]:
    """The objects of a file with one on each line; empty lines are passed over.

    Raises:
        VivaceError: a file that cannot be read, or a line that is no JSON.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise VivaceError(f"File {str(path)!r} cannot be read ({error}); check the path.") from error
    rows = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except (json.JSONDecodeError, RecursionError) as error:
                reason = getattr(error, "msg", "nested too deeply")
                raise VivaceError(f"File {str(path)!r}, line {number}, is no JSON ({reason}); correct it.") from None
    return rows


def _rows(manifest: Path) -> Sequence[Mapping[str, Any]]:
    rows = read_json_lines(manifest)
    for number, row in enumerate(rows, 1):
        where = f"Manifest {str(manifest)!r}, entry {number},"
        if not isinstance(row, dict) or not isinstance(row.get("id"), str) or not row["id"]:
            raise VivaceError(f'{where} has no id; give each an "id" in quotation marks.')
        unknown = [key for key in row if key not in _KEYS]
        if unknown:
            raise VivaceError(f"{where} has the unknown key {unknown[0]!r}; use some of {', '.join(sorted(_KEYS))}.")
        wrong = [key for key, value in row.items() if not isinstance(value, str)]
        if wrong:
            raise VivaceError(f"{where} has {wrong[0]!r} that is no text; put it into quotation marks.")
    return rows


def _item(row: Mapping[str, str], manifest: Path) -> SuiteItem:
    return SuiteItem(
        id=row["id"],
        group=row.get("group", "clips"),
        prompt=row.get("prompt", ""),
        language=row.get("language", ""),
        texts={name: row[name] for name in TEXTS if row.get(name)},
        files={name: manifest.parent / row[name] for name in _FILES if row.get(name)},
    )
