"""`vivace plan` for what `generate` cannot load yet: a repository on the hub, and NAVA's official files."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vivace.errors import VivaceError

if TYPE_CHECKING:
    from vivace.cli.options import Request
    from vivace.pipelines.footprint import Told
    from vivace.pipelines.memory import Strategy
    from vivace.pipelines.parts import Part


def hub_summary(name: str, online: bool) -> dict[str, Any]:
    """Files, sizes and licence of a repository, and how much of it is still to be downloaded.

    Raises:
        VivaceError: not to be looked up, or not allowed to.
    """
    from vivace.pipelines.folder import INDEX
    from vivace.pipelines.hub import cached_files, repository

    if not online:
        raise VivaceError(
            f"Model {name!r} is a hub repository that is not on this machine; "
            "add --online to look it up, which downloads nothing."
        )
    found = repository(name)
    here = cached_files(name)
    missing = {path: size for path, size in found.files.items() if path not in here}
    problem = None
    if INDEX not in found.files:
        problem = (
            f"Repository {name!r} has no {INDEX}, so it is no model folder; official files go through vivace convert."
        )
    return {
        "model": name,
        "files": dict(found.files),
        "bytes": sum(found.files.values()),
        "download": sum(missing.values()),
        "disk_free": shutil.disk_usage(_cache_disk()).free,
        "licences": {"all": found.licence},
        "problem": problem,
    }


def _cache_disk() -> Path:
    """An existing folder on the disk of the hub's cache."""
    from huggingface_hub.constants import HF_HUB_CACHE

    place = Path(HF_HUB_CACHE).absolute()
    return next(folder for folder in (place, *place.parents) if folder.exists())


def hub_text(summary: Mapping[str, Any]) -> str:
    """The summary of a repository for people."""
    from vivace.pipelines.memory import gigabytes

    total, left = gigabytes(summary["bytes"]), gigabytes(summary["download"])
    lines = [f"{summary['model']}: {total} in {len(summary['files'])} files, {left} to download"]
    lines += [f"  {path:60} {gigabytes(size)}" for path, size in summary["files"].items()]
    lines += [f"Licence ({name}): {licence}" for name, licence in summary["licences"].items()]
    lines.append(f"Free on the disk of the downloads: {gigabytes(summary['disk_free'])}")
    lines.append(summary["problem"] or "Its memory can be told when its configurations are here.")
    return "\n".join(lines)


def official_parts(place: Path | None, wan: Path | None, ltx: Path | None) -> dict[str, Path]:
    """Official files by their parts, as far as they are there: in a folder with NAVA's own, or where they are named.

    Args:
        place: NAVA's file or folder; None before it is there.

    Raises:
        VivaceError: nothing of NAVA's at `place`.
    """
    from vivace.conversion.origins import LTX, WAN, official_weights, parts_at
    from vivace.pipelines.folder import RELEASED

    named = parts_at(wan, WAN) | parts_at(ltx, LTX)
    if place is None:
        return named
    weights = official_weights(place)
    if weights is None:
        raise VivaceError(f"{str(place)!r} is neither a model folder nor a folder with {RELEASED}; check the path.")
    beside = place if place.is_dir() else place.parent
    return {"transformer": weights, **parts_at(beside, WAN | LTX), **named}


def official_summary(
    request: Request,
    paths: Mapping[str, Path],
    dtype: str,
    config: Path | None,
    memory: int | Strategy | None,
    told: Told | None = None,
) -> dict[str, Any]:
    """What official files hold, what is missing, what converting makes of them, and the memory that it will take.

    What is missing is taken to be as it is published; `told` of how far the forecast is.

    Raises:
        VivaceError: files that are damaged or another model's, or a request that no such model takes.
    """
    from vivace.conversion.expected import parts_ahead
    from vivace.conversion.origins import ORIGINS, bytes_at, licences_of

    made = parts_ahead(paths, dtype, config)
    missing = {
        name: {"repository": origin.repository, "names": list(origin.names), "bytes": origin.stored}
        for name, origin in ORIGINS.items()
        if name not in paths
    }
    there = {name: {"path": str(path), "bytes": bytes_at(path)} for name, path in paths.items()}
    licences = licences_of(paths) | {name: ORIGINS[name].licence for name in missing}
    summary: dict[str, Any] = {
        "model": str(paths.get("transformer", request.model)),
        "official": there,
        "missing": missing,
        # A file that holds several parts is there once.
        "bytes": sum(bytes_at(path) for path in set(paths.values())),
        "download": sum(entry["bytes"] for entry in missing.values()),
        "licences": {name: licences[name] for name in ORIGINS},
        "converted": sum(part.tensors.size(name) for part in made if part.tensors for name in part.tensors.names),
    }
    return summary | _memory(made, request, memory, told)


def _memory(made: list[Any], request: Request, memory: int | Strategy | None, told: Told | None) -> dict[str, Any]:
    """The forecast for the folder that these parts would make."""
    from vivace.cli.memory import foresee
    from vivace.cli.plan import forecast_entries
    from vivace.conversion.nava import model_index
    from vivace.pipelines.folder import INDEX
    from vivace.pipelines.parts import Part

    parts: dict[str, Part] = {
        part.name: Part(
            part.library,
            part.kind,
            part.config,
            {name: part.tensors.count(name) for name in part.tensors.names},
            sum(part.tensors.size(name) for name in part.tensors.names),
        )
        for part in made
        if part.tensors
    }
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / INDEX).write_text(json.dumps(model_index(made)), encoding="utf-8")
        return forecast_entries(*foresee(folder, parts, request, {}, memory, told))


def official_text(summary: Mapping[str, Any]) -> list[str]:
    """The beginning of the summary of official files for people."""
    from vivace.pipelines.memory import gigabytes

    lines = [f"{summary['model']}: official files, which vivace convert nava makes a model folder of"]
    for name, entry in summary["official"].items():
        lines.append(f"  {name:16} {gigabytes(entry['bytes']):>10}  {entry['path']}")
    for name, entry in summary["missing"].items():
        where = f"{' or '.join(entry['names'])} of {entry['repository']}"
        lines.append(f"  {name:16} {gigabytes(entry['bytes']):>10}  missing, about: {where}")
    lines += [f"Licence ({name}): {licence}" for name, licence in summary["licences"].items()]
    if summary["missing"]:
        left = gigabytes(summary["download"])
        lines.append(f"Still to be downloaded: about {left}; what is missing is planned as it is published.")
    lines.append(f"The model folder will take {gigabytes(summary['converted'])}.")
    return lines
