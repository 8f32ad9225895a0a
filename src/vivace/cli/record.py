"""A clip's record: everything needed to make it again, inside of the file and beside it as JSON."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vivace.cli.options import Request
from vivace.cli.outputs import Outputs, mark_of, sheet_mark
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


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write a record as JSON, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path, tag: str = TAG) -> Any:
    """What a clip's file holds as JSON under a tag, or a JSON file as its content; None where that is no JSON.

    Raises:
        VivaceError: no such file, or one that cannot be read.
    """
    try:
        if path.suffix.lower() == ".json":
            return json.loads(path.read_text(encoding="utf-8"))
        return json.loads(read_metadata(path).get(tag, ""))
    except OSError as error:
        raise VivaceError(f"Record {str(path)!r} cannot be read ({error}); check the path.") from None
    except (ValueError, TypeError, RecursionError) as error:  # tags, too, may be JSON: of any kind and depth
        if isinstance(error, VivaceError):
            raise
        return None


def read_record(clip: Path) -> dict[str, Any]:
    """The record inside of a clip's file, or of a record's own JSON file.

    Raises:
        VivaceError: no such file, or none of ours.
    """
    record = read_json(clip)
    try:
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


def of_request(path: Path, request: Request) -> bool:
    """Whether a file is a clip, a record or a contact sheet of this very request."""
    if path.suffix.lower() == ".png":
        return sheet_mark(path) == mark_of(request.to_json())
    try:
        return Request.from_json(read_record(path)["request"]) == request
    except VivaceError:
        return False


def is_complete(outputs: Outputs, request: Request, model_hash: Callable[[], str]) -> bool:
    """Whether all of these files are there and whole, of this very request and of the model as it is now.

    Args:
        model_hash: gives the hash of the model's folder; asked only where all else fits.
    """
    from vivace.media.whole import is_whole

    try:
        record = read_record(outputs.clip)
        if record != read_record(outputs.record):
            return False
        parts = [outputs.clip, *([] if outputs.sheet is None else [outputs.sheet])]
        there = all(part.is_file() and of_request(part, request) and is_whole(part) for part in parts)
    except (VivaceError, OSError):
        return False
    return there and record["model_hash"] == model_hash()
