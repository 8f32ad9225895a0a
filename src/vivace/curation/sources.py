"""Where clips come from: a folder of files, or a manifest with one JSON object a line. Nothing is left out unsaid."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vivace.curation.clip import Clip
from vivace.curation.stated_speech import checked_times
from vivace.errors import VivaceError

# What lies beside footage and is about it.
BESIDE = (".json", ".jsonl", ".txt", ".md", ".csv")
FIELDS = ("licence", "source", "caption", "speech")


class InputSettings(BaseModel):
    """Either a folder or a manifest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: Path | None = Field(
        default=None, description="is gone through with all folders in it; links are not followed"
    )
    manifest: Path | None = Field(
        default=None, description="JSON lines: path, licence, source, caption, speech; or NAVA's"
    )
    licence: str = Field(default="", description="of everything that states none itself")
    source: str = Field(default="", description="likewise")

    @model_validator(mode="after")
    def _one_of_both(self) -> InputSettings:
        if (self.folder is None) == (self.manifest is None):
            raise ValueError("give either input.folder or input.manifest")
        return self


def clips_of(settings: InputSettings) -> Iterator[Clip]:
    """The files of an input; one that cannot be used comes with the column `input.problem`, which ingest rejects.

    Raises:
        VivaceError: no such folder or manifest.
    """
    if settings.folder is not None:
        if not settings.folder.is_dir():
            raise VivaceError(f"Input folder {str(settings.folder)!r} does not exist; correct input.folder.")
        found = _of_folder(settings.folder)
    else:
        assert settings.manifest is not None
        if not settings.manifest.is_file():
            raise VivaceError(f"Manifest {str(settings.manifest)!r} does not exist; correct input.manifest.")
        found = _of_manifest(settings.manifest)
    for path, columns in found:
        stated = {"licence": settings.licence, "source": settings.source, **columns}
        yield Clip.of_file(path, {f"input.{name}": value for name, value in stated.items()})


def _of_folder(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    root = folder.resolve()
    closed: list[OSError] = []
    for place, folders, names in os.walk(root, onerror=closed.append, followlinks=False):
        # Sorted, so that the same files come in the same order on every machine; hidden ones are nobody's footage.
        for name in sorted(folders):
            if (Path(place) / name).is_symlink():
                yield Path(place) / name, {"problem": "link", "detail": "a folder that is a link is not followed"}
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(place) / name
            if name.startswith(".") or path.suffix.lower() in BESIDE:
                continue
            yield path, _problem_of(path, root)
    for error in closed:
        detail = f"the folder cannot be gone through: {error.strerror}"
        yield Path(error.filename), {"problem": "unreadable", "detail": detail}


def _problem_of(path: Path, root: Path) -> dict[str, Any]:
    """A link out of the folder, or one that leads nowhere or in a circle."""
    if not path.is_symlink():
        return {}
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return {"problem": "link", "detail": "it leads nowhere"}
    if not target.is_relative_to(root):
        return {"problem": "link", "detail": "it leads out of the folder"}
    return {"problem": "link", "detail": "its target is in the folder too"}


def _of_manifest(manifest: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Rows by path; equal rows count once, and those that contradict each other make a problem of their path."""
    folder = manifest.resolve().parent
    # On disk, so that a manifest of any length can be compared with itself.
    with sqlite3.connect("") as store, manifest.open(encoding="utf-8-sig", errors="surrogateescape") as lines:
        store.execute("CREATE TABLE rows(path BLOB PRIMARY KEY, place INTEGER, columns TEXT, clashes INTEGER)")
        for number, line in enumerate(lines):
            if not line.strip():
                continue
            path, columns = _row(line, number, manifest, folder)
            store.execute(
                "INSERT INTO rows VALUES (?, ?, ?, 0) ON CONFLICT DO UPDATE SET "
                "clashes = clashes OR columns <> excluded.columns",
                (os.fsencode(path), number, json.dumps(columns, sort_keys=True)),
            )
        for path, columns, clashes in store.execute("SELECT path, columns, clashes FROM rows ORDER BY place"):
            stated = json.loads(columns)
            if clashes:
                stated |= {"problem": "contradictory_rows", "detail": "the manifest says different things of it"}
            yield Path(os.fsdecode(path)), stated


def _row(line: str, number: int, manifest: Path, folder: Path) -> tuple[Path, dict[str, Any]]:
    nowhere = manifest.with_name(f"{manifest.name}:{number + 1}")
    try:
        row = json.loads(line)
        if "video_info" in row:
            from vivace.curation.nava_rows import from_nava_row

            row = from_nava_row(row)
        path, columns = row["path"], {name: row[name] for name in FIELDS if row.get(name)}
        if not isinstance(path, str) or not path or "\0" in path:
            raise ValueError("the path is no text, empty or holds a NUL character")
        if "speech" in columns:
            columns["speech"] = checked_times(columns["speech"], columns.get("caption"))
        os.fsencode(path)  # halves of characters are no name on any system
        json.dumps(columns, ensure_ascii=False).encode()  # nor text that could be stored
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        detail = f"line {number + 1}: {error}".encode(errors="replace").decode()
        return nowhere, {"problem": "bad_row", "detail": detail}
    return folder / path, columns
