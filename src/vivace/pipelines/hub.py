"""What a repository on the Hugging Face hub holds, asked before anything of it is downloaded. No torch here."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vivace.errors import VivaceError

HUB = "https://huggingface.co"
TIMEOUT = 30.0
MAX_BYTES = 32 * 2**20
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


@dataclass(frozen=True)
class Repository:
    """name: owner/name. files: bytes of each by its path. licence: as its card states it."""

    name: str
    files: Mapping[str, int]
    licence: str


def repository(name: str, endpoint: str | None = None) -> Repository:
    """Files, sizes and licence of a repository: one question to the hub, of a few kilobytes.

    Args:
        endpoint: of the hub; $HF_ENDPOINT or the public one when not given.

    Raises:
        VivaceError: the environment forbids it, no such repository, or no answer.
    """
    off = next(
        (variable for variable in _OFFLINE if os.environ.get(variable, "0").upper() in ("1", "ON", "YES", "TRUE")), None
    )
    if endpoint is None and off is not None:
        raise VivaceError(f"Repository {name!r} cannot be looked up, because {off} is set; unset it.")
    place = (endpoint or os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")
    url = f"{place}/api/models/{urllib.parse.quote(name)}?blobs=true"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
            found: Any = json.loads(response.read(MAX_BYTES))
        files = {str(entry["rfilename"]): int(entry.get("size") or 0) for entry in found["siblings"]}
        return Repository(name, dict(sorted(files.items())), _licence(found))
    except urllib.error.HTTPError as error:
        error.close()
        reason = "there is none, or it is private" if error.code in (401, 403, 404) else f"it answers {error.code}"
        raise VivaceError(f"Repository {name!r} cannot be looked up ({reason}); check its name.") from None
    except OSError as error:
        reason = str(getattr(error, "reason", None) or error)
        raise VivaceError(f"Repository {name!r} cannot be looked up ({reason}); check the network.") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise VivaceError(f"The answer of {place} about {name!r} cannot be read; check HF_ENDPOINT.") from None


def _licence(found: Mapping[str, Any]) -> str:
    card = found.get("cardData") or {}
    name = str(card.get("license_name") or card.get("license") or "not stated in the repository")
    link = card.get("license_link")
    return f"{name} ({link})" if link else name


def cached_files(name: str) -> set[str]:
    """Paths of a repository's files that are on this machine already."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        cache = scan_cache_dir()
    except CacheNotFound:
        return set()
    return {
        file.file_path.relative_to(revision.snapshot_path).as_posix()
        for repo in cache.repos
        if repo.repo_id == name and repo.repo_type == "model"
        for revision in repo.revisions
        if "main" in revision.refs
        for file in revision.files
    }


def cached_folder(name: str) -> Path | None:
    """The folder of a repository's newest revision here, whole or not; None where nothing of it is here."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except Exception:  # The hub's client raises many kinds; here all of them say that it is not there.
        return None
