"""The recipe in a run's folder: read, compared with the one that is given, and kept with those that it replaces."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from vivace.errors import VivaceError
from vivace.media.atomic import replacing, sweep
from vivace.plain_json import read_object

RECIPE = "recipe.json"
HISTORY = "recipe-history.jsonl"
# Called by a unit once everything that it needs is open and its work begins.
Begun = Callable[[], None]


def unrecorded() -> None:
    """The `Begun` of a unit whose recipe nobody keeps."""


_Recipe = TypeVar("_Recipe", bound=BaseModel)


def stored_recipe(run: Path) -> dict[str, Any] | None:
    """What a run's folder holds as its recipe; None where there is none.

    Raises:
        VivaceError: the file is damaged.
    """
    path = run / RECIPE
    if not path.is_file():
        return None
    return read_object(path, "restore it from a copy, or remove it to go on without what it said", what="Recipe")


def as_recipe(kind: type[_Recipe], data: dict[str, Any], run: Path) -> _Recipe:
    """A run's stored recipe as one of its unit.

    Raises:
        VivaceError: it is none, such as one that was changed by hand.
    """
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise VivaceError(
            f"Recipe {str(run / RECIPE)!r} is not one of this release ({key}: {first['msg']}); restore it from a copy "
            "or train the run again."
        ) from None


def check_same(recipe: str, run: Path, accept_changes: bool) -> None:
    """Compare a recipe, as JSON, with the one that a run was begun with.

    Raises:
        VivaceError: the run was begun with another recipe and changes are not accepted, or its recipe is damaged.
    """
    before, now = stored_recipe(run), json.loads(recipe)
    if before is None or before == now or accept_changes:
        return
    keys = ", ".join(differing_keys(before, now))
    raise VivaceError(
        f"Run {str(run)!r} was begun with another recipe (different: {keys}); name a new folder with --run, or "
        "add --accept-changes to go on."
    )


def remember(recipe: str, run: Path) -> None:
    """Keep a recipe, as JSON, in the run's folder, and the one that it replaces in its history.

    What a kill left half-written in the folder goes, since the run is now this process's.

    Raises:
        VivaceError: the folder cannot be written, as on a full disk.
    """
    sweep(run)
    path, before = run / RECIPE, stored_recipe(run)
    if before == json.loads(recipe):
        return
    if before is not None:
        history = run / HISTORY
        kept = history.read_bytes() if history.is_file() else b""
        with replacing(history) as temporary:
            temporary.write_bytes(kept + json.dumps(before).encode() + b"\n")
    with replacing(path) as temporary:
        temporary.write_text(recipe)


def differing_keys(before: Any, now: Any, place: str = "") -> list[str]:
    """Dotted keys whose values differ."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [*before, *(key for key in now if key not in before)]
        return [k for key in keys for k in differing_keys(before.get(key), now.get(key), f"{place}.{key}".lstrip("."))]
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = enumerate(zip(before, now, strict=True))
        return [k for number, (old, new) in pairs for k in differing_keys(old, new, f"{place}.{number}")]
    return [] if before == now else [place]
