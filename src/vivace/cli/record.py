"""A clip's record: everything needed to make it again, inside of the file and beside it as JSON."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vivace.cli.options import Request
from vivace.errors import VivaceError
from vivace.media import read_metadata, replacing

if TYPE_CHECKING:
    from vivace.conditioning.rewriting import Rewriting

FORMAT = 1
TAG = "vivace"
PACKAGES = ("vivace", "torch", "diffusers", "transformers", "numpy", "av")


def versions() -> dict[str, str]:
    """Of Python and of the packages that decide a clip's numbers."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def as_metadata(record: dict[str, Any]) -> dict[str, str]:
    """Tags for the clip's file."""
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    return {"title": record["request"]["prompt"], TAG: text}


def write_record(clip: Path, record: dict[str, Any]) -> Path:
    """Write the record beside the clip; the path is the clip's with .json."""
    path = clip.with_suffix(".json")
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def read_record(clip: Path) -> dict[str, Any]:
    """The record inside of a clip's file, or of a record's own JSON file.

    Raises:
        VivaceError: no such file, or none of ours.
    """
    if clip.suffix.lower() == ".json":
        try:
            text = clip.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise VivaceError(f"Record {str(clip)!r} cannot be read ({error}); check the path.") from None
    else:
        text = read_metadata(clip).get(TAG, "")
    try:
        record = json.loads(text)
        if record["format"] != FORMAT:
            raise VivaceError(f"The record of {str(clip)!r} has format {record['format']!r}; use a newer vivace.")
        Request.from_json(record["request"])
        str(record["model_hash"]), str(record["latents_sha256"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, VivaceError):
            raise
        raise VivaceError(f"Clip {str(clip)!r} has no record of vivace's; give a clip that vivace generated.") from None
    return dict(record)


def rewriting_of(record: dict[str, Any]) -> Rewriting | None:
    """What a rewriter made of the prompt of a record's clip; None where none was asked.

    Raises:
        VivaceError: an entry that is none.
    """
    if "rewriting" not in record:
        return None
    from vivace.conditioning.rewriting import Rewriting

    return Rewriting.from_json(record["rewriting"])


def same_clip(path: Path, request: Request) -> bool:
    """Whether the file at `path` is a clip made from this very request."""
    try:
        return Request.from_json(read_record(path)["request"]) == request
    except VivaceError:
        return False


def free_path(path: Path, request: Request) -> Path:
    """`path`, or with -2, -3, ... the first name that no other clip has; a clip of the same request is replaced."""
    candidate, number = path, 2
    while candidate.exists() and not same_clip(candidate, request):
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1
    return candidate
