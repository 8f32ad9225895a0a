"""What every file of a model folder's components must be: its length and SHA-256, listed beside model_index.json.

The list is a file of its own, so that neither the index nor the folder's hash depends on it. The record of a conversion
holds the same of the weights that it wrote, and so do lists of earlier versions. Folders without either are taken as
they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vivace.errors import VivaceError
from vivace.pipelines.folder import CHECKSUMS, DECISIVE, INDEX
from vivace.plain_json import read_object

_CONVERSION = "conversion.json"  # written by `vivace convert`; holds "files" of the same form
_FORMAT = 1
# Reading a larger file only to hash it would make loading noticeably slower; `vivace verify --weights` does it.
LARGEST_AT_LOADING = 256 * 2**20


def write_checksums(folder: Path) -> None:
    """List all weights, configurations and tokenizer files of a model folder as they are now."""
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": _digest(path)}
        for path in sorted(folder.glob("*/*"))
        if path.suffix in DECISIVE and path.is_file()
    }
    (folder / CHECKSUMS).write_text(json.dumps({"format": _FORMAT, "files": files}, indent=1) + "\n", encoding="utf-8")


def has_checksums(folder: Path) -> bool:
    """Whether a folder says what its files must be."""
    return _list_of(folder) is not None


def check_weights(folder: Path, parts: Sequence[str] | None = None, largest: int | None = LARGEST_AT_LOADING) -> None:
    """Compare a model folder's weights, and what else is listed, with its list; without one nothing can be compared.

    Args:
        parts: names of the components whose files are compared; all when None.
        largest: bytes; of larger files only the length is compared. None: all are hashed.

    Raises:
        VivaceError: a list that cannot be read, or a listed file that is missing or another one.
    """
    listing = _list_of(folder)
    if listing is None:
        return
    for name, entry in _entries(listing).items():
        path = folder / name
        if parts is not None and Path(name).parts[0] not in parts:
            continue
        if not path.is_file():
            missing = "are missing, and {} lists them" if _is_weights(path) else "is missing, and {} lists it"
            raise VivaceError(f"{_called(path)} {missing.format(listing.name)}; {_remedy(listing.name)}.")
        size = path.stat().st_size
        if size != entry["bytes"] or ((largest is None or size <= largest) and _digest(path) != entry["sha256"]):
            other = "are not those" if _is_weights(path) else "is not the one"
            raise VivaceError(
                f"{_called(path)} {other} that {listing.name} lists (damaged or exchanged); {_remedy(listing.name)}."
            )


def check_part(part: Path, largest: int | None = LARGEST_AT_LOADING) -> None:
    """Compare the weights of one component, where it is in a model folder that lists them.

    Args:
        largest: as of `check_weights`.

    Raises:
        VivaceError: as `check_weights`.
    """
    if (part.parent / INDEX).is_file():
        check_weights(part.parent, [part.name], largest)


def _list_of(folder: Path) -> Path | None:
    return next((path for name in (CHECKSUMS, _CONVERSION) if (path := folder / name).is_file()), None)


def _entries(listing: Path) -> dict[str, dict[str, Any]]:
    """Of each listed file by its path in the folder."""
    files = read_object(listing, f"{_remedy(listing.name)}", what="List").get("files")
    whole = isinstance(files, dict) and all(
        isinstance(entry, dict) and {"bytes", "sha256"} <= entry.keys() and _is_inside(name)
        for name, entry in files.items()
    )
    if not whole:
        raise VivaceError(f"List {str(listing)!r} is damaged (files: no lengths and sums); {_remedy(listing.name)}.")
    assert isinstance(files, dict)
    return files


def _is_inside(name: str) -> bool:
    """Whether a name is that of a file in a component's folder."""
    parts = Path(name).parts
    return len(parts) == 2 and ".." not in parts and not Path(name).is_absolute() and "\0" not in name


def _is_weights(path: Path) -> bool:
    return path.suffix == ".safetensors"


def _called(path: Path) -> str:
    return f"{'Weights' if _is_weights(path) else 'File'} {str(path)!r}"


def _remedy(name: str) -> str:
    return f"copy or download the model folder again, or remove {name} if you changed the weights yourself"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
