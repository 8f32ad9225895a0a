"""JSON that somebody may have damaged: whatever is wrong with it becomes one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vivace.errors import VivaceError


def parsed(text: str | bytes, what: str, remedy: str) -> Any:
    """The value of a JSON text, whose bytes are UTF-8.

    Args:
        what: names the text in the sentence, such as "File 'x.json'". remedy: what to do where it is damaged.

    Raises:
        VivaceError: no JSON, or nested more deeply than can be read.
    """
    try:
        return json.loads(text.decode() if isinstance(text, bytes) else text)
    except RecursionError:
        raise VivaceError(f"{what} is damaged (nested too deeply); {remedy}.") from None
    except ValueError as error:
        raise VivaceError(f"{what} is damaged ({error}); {remedy}.") from None


def parsed_object(text: str | bytes, what: str, remedy: str) -> dict[str, Any]:
    """As `parsed`, of a text that must hold an object.

    Raises:
        VivaceError: as `parsed`, or another value.
    """
    found = parsed(text, what, remedy)
    if not isinstance(found, dict):
        raise VivaceError(f"{what} is damaged (it holds no JSON object); {remedy}.")
    return found


def read_object(path: Path, remedy: str, what: str = "File") -> dict[str, Any]:
    """The object that a JSON file holds.

    Args:
        what: the sort of file, before its name. remedy: what to do where it is damaged.

    Raises:
        VivaceError: as `parsed_object`, or a file that cannot be read.
    """
    named = f"{what} {str(path)!r}"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise VivaceError(f"{named} cannot be read ({error.strerror or error}); {remedy}.") from None
    return parsed_object(content, named, remedy)
