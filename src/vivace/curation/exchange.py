"""Curated clips in the forms that other programs read, and back: NAVA's JSON lines, and webdataset's archives.

Both are written from shards of clips, whose pictures and sound are encoded anew. Archives that others made are unpacked
into a folder with a manifest, from which a curation starts.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np

from vivace.curation.nava_rows import STATED, to_nava_row
from vivace.curation.shards import SAMPLE_RATE, clip_shards
from vivace.curation.sources import FIELDS
from vivace.curation.stated_speech import checked_times
from vivace.errors import VivaceError
from vivace.media import Clip, replacing, write_clip

ROWS = "rows.jsonl"
VIDEOS = (".mp4", ".webm", ".mkv", ".mov", ".avi", ".m4v")
ARCHIVE_BYTES = 1_000_000_000  # of an archive, as webdataset recommends
_LONGEST_TEXT = 2**20
# What others call it, by what we do.
_NAMES = {"caption": ("caption", "text", "prompt"), "licence": ("licence", "license"), "source": ("source", "url")}


def export_nava(shards: Path, folder: Path) -> dict[str, int]:
    """Write `folder/clips/ID.mp4` and `folder/rows.jsonl`; videos that are there already stay.

    Paths in the rows are relative to the folder. A clip whose speech has no known times is left out of the rows, since
    NAVA would drop it. Returns the numbers of clips written and left out.

    Raises:
        VivaceError: no shards of curated clips there.
    """
    counts = {"clips": 0, "without_times": 0}
    with replacing(folder / ROWS) as temporary, temporary.open("w", encoding="utf-8") as lines:
        for row, material in _clips(shards):
            name = f"clips/{row['id']}.mp4"
            stated = {key: row[key] for key in STATED if row.get(key)}
            speech = json.loads(row["speech"] or "[]")
            shape = {key: row[key] for key in ("fps", "seconds", "width", "height")}
            try:
                written = to_nava_row(name, row["caption"], speech, **shape, stated=stated)
            except ValueError:
                counts["without_times"] += 1
                continue
            if not (folder / name).is_file():
                write_clip(folder / name, material)
            lines.write(json.dumps(written, ensure_ascii=False) + "\n")
            counts["clips"] += 1
    return counts


def export_webdataset(shards: Path, folder: Path, archive_bytes: int = ARCHIVE_BYTES) -> dict[str, int]:
    """Write `folder/00000.tar` and so on: of each clip `ID.mp4`, and `ID.json` with its row.

    The same shards give the same archives but for what a video encoder changes. Returns the numbers of clips and
    archives.

    Raises:
        VivaceError: no shards of curated clips there.
    """
    counts = {"clips": 0, "archives": 0}
    queue = _clips(shards)
    pending = next(queue, None)
    while pending is not None:
        with (
            replacing(folder / f"{counts['archives']:05d}.tar") as temporary,
            tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as archive,
        ):
            while pending is not None and (not archive.offset or archive.offset < archive_bytes):
                row, material = pending
                _add_clip(archive, row, material, folder)
                counts["clips"] += 1
                pending = next(queue, None)
        counts["archives"] += 1
    return counts


def _clips(shards: Path) -> Iterator[tuple[dict[str, Any], Clip]]:
    reader = clip_shards(shards)
    if len(reader) and "speech" not in reader.table.column_names:
        raise VivaceError(f"The clips in {str(shards)!r} are not of a curation; name its folder shards/train.")
    for row, tensors in reader:
        audio = tensors["audio"].numpy().astype(np.float32) / 32768
        yield row, Clip(tensors["video"].numpy(), Fraction(row["fps"]), audio, SAMPLE_RATE)


def _add_clip(archive: tarfile.TarFile, row: dict[str, Any], material: Clip, folder: Path) -> None:
    video = folder / f".{row['id']}.mp4"
    try:
        write_clip(video, material)
        with video.open("rb") as content:
            _add(archive, f"{row['id']}.mp4", content, video.stat().st_size)
    finally:
        video.unlink(missing_ok=True)
    told = {key: value for key, value in row.items() if key not in ("shard", "seed", "scene")}
    told["speech"] = json.loads(row["speech"] or "[]")
    text = json.dumps(told, ensure_ascii=False).encode()
    _add(archive, f"{row['id']}.json", io.BytesIO(text), len(text))


def _add(archive: tarfile.TarFile, name: str, content: IO[bytes], size: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    archive.addfile(entry, content)


@dataclass
class _Sample:
    """What an archive holds under one key."""

    key: str
    path: str = ""
    told: dict[str, Any] = field(default_factory=dict)


def unpack(archives: Sequence[Path], folder: Path) -> dict[str, int]:
    """Videos out of webdataset's archives (plain or compressed) into `folder/clips`, and their manifest, `rows.jsonl`.

    Captions are taken from `KEY.json` (caption, text or prompt) or `KEY.txt`. Links, devices and keys without a video
    are left out and counted; names are made harmless, so that nothing is written elsewhere.

    Raises:
        VivaceError: an archive that is none or is damaged, two archives of one name.
    """
    counts = {"clips": 0, "left_out": 0}
    names = [_harmless(path.name.partition(".")[0]) for path in archives]
    if len(set(names)) < len(names):
        raise VivaceError("Two of the archives have one name; unpack them into folders of their own.")
    with replacing(folder / ROWS) as temporary, temporary.open("w", encoding="utf-8") as lines:
        for path, name in zip(archives, names, strict=True):
            try:
                with tarfile.open(path, "r|*") as archive:
                    for sample in _samples(archive, folder, name):
                        if not sample.path:
                            counts["left_out"] += 1
                            continue
                        counts["clips"] += 1
                        lines.write(json.dumps({"path": sample.path, **_with_times(sample.told)}) + "\n")
            except (tarfile.TarError, OSError, EOFError) as error:
                raise VivaceError(f"Archive {str(path)!r} cannot be read ({error}); fetch it again.") from None
    return counts


def _samples(archive: tarfile.TarFile, folder: Path, name: str) -> Iterator[_Sample]:
    """Neighbouring members of one key, as webdataset groups them; what is no file is a sample without a path."""
    sample: _Sample | None = None
    for member in archive:
        if member.isdir():
            continue
        if not member.isfile():
            yield _Sample(member.name)
            continue
        place = PurePosixPath(member.name)
        stem, _, suffix = place.name.partition(".")
        key = str(place.with_name(stem or place.name))
        if sample is None or key != sample.key:
            if sample is not None:
                yield sample
            sample = _Sample(key)
        content = archive.extractfile(member)
        assert content is not None
        suffix = f".{suffix.lower()}"
        if suffix in VIDEOS:
            sample.path = f"clips/{name}-{_harmless(key)}{suffix}"
            with replacing(folder / sample.path) as temporary, temporary.open("wb") as file:
                shutil.copyfileobj(content, file)
        elif suffix in (".json", ".txt") and member.size <= _LONGEST_TEXT:
            sample.told |= _told(content.read(), suffix)
    if sample is not None:
        yield sample


def _told(content: bytes, suffix: str) -> dict[str, Any]:
    """The fields of a manifest's row that a member gives; none where it cannot be read."""
    try:
        text = content.decode()
        row = {"caption": text.strip()} if suffix == ".txt" else json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(row, dict):
        return {}
    found = {}
    for ours in FIELDS:
        given = _first(row, _NAMES.get(ours, (ours,)))
        if given:
            found[ours] = given
    return found


def _with_times(told: dict[str, Any]) -> dict[str, Any]:
    """Without what others may call speech and is no times of the caption's speeches."""
    try:
        return {**told, "speech": checked_times(told["speech"], told.get("caption"))}
    except (KeyError, ValueError):
        return {name: value for name, value in told.items() if name != "speech"}


def _first(row: dict[str, Any], names: Iterable[str]) -> Any:
    return next((row[name] for name in names if row.get(name)), None)


def _harmless(name: str) -> str:
    """A name of letters, digits, "_" and "-" alone; another one than any other name has."""
    kept = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:80]
    return kept if kept == name else f"{kept}-{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:8]}"
