"""Model folders: finding one by its name, and telling a whole one from a broken or foreign one.

Torch is needed only where a folder's weights are compared with its classes (`weights_files`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from vivace.errors import VivaceError
from vivace.pipelines.weights_files import check_fit, class_of, shapes_in
from vivace.plain_json import read_object

# What a folder may hold, by the public names of the pipelines; each is vivace.NAME.
PIPELINES = ("NavaPipeline", "AlivePipeline")
# And by those that change a finished clip; their folders name a base model that holds what both use.
REFINERS = ("AliveRefinerPipeline",)
INDEX = "model_index.json"
CHECKSUMS = "checksums.json"  # what `vivace.pipelines.checksums` writes beside it
DECISIVE = (".json", ".safetensors", ".model", ".txt")  # endings of the files that decide what a component is
RELEASE = "nava"  # what `vivace plan` calls the released model
RELEASED = "NAVA.safetensors"  # its weights as they are published
_MAKE = "make a model folder of NAVA's official files with `vivace convert nava`"
_AGAIN = "copy or download the model folder again"
_WEIGHTLESS = ("scheduler", "tokenizer")
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def shipped_models() -> dict[str, Path]:
    """Models inside of the package: name -> folder."""
    room = Path(str(files("vivace"))) / "nano"
    if not room.is_dir():
        return {}
    return {folder.name: folder for folder in sorted(room.iterdir()) if (folder / INDEX).is_file()}


def find_model(name: str, *, allow_download: bool = False, kinds: Sequence[str] = PIPELINES) -> Path:
    """The folder of a model: a shipped name, a local folder, or (only when allowed) a repository on the hub.

    Args:
        kinds: pipelines of which it may be.

    Raises:
        VivaceError: none of these, or a folder that is not a whole model of ours.
    """
    folder = locate_model(name, allow_download=allow_download, kinds=kinds)
    check_folder(folder, kinds=kinds)
    return folder


def locate_model(name: str, *, allow_download: bool = False, kinds: Sequence[str] = PIPELINES) -> Path:
    """As `find_model`, before what is in the folder is checked.

    Raises:
        VivaceError: neither a shipped name nor a folder, nor a repository that may be fetched and can be.
    """
    shipped = shipped_models()
    if name in shipped:
        return shipped[name]
    if is_folder(name):
        return Path(name)
    if _HUB_NAME.fullmatch(name) and allow_download:
        return _download(name)
    if _is_file(name):
        raise VivaceError(
            f"Model {name!r} is a file, and a model is a folder; `vivace convert nava` makes one of NAVA's files."
        )
    if name == RELEASE:
        raise VivaceError(
            f"Model {name!r} is no folder yet; {_MAKE}, and name that (`vivace plan` says what it takes)."
        )
    every = (*PIPELINES, *REFINERS)
    fitting = [own for own, folder in shipped.items() if read_index(folder, every)["_class_name"] in kinds]
    known = ", ".join(fitting) or "none in this installation"
    allow = "--allow-download, or in Python allow_download=True"
    hub = f"; to fetch it from the Hugging Face hub add {allow}" if _HUB_NAME.fullmatch(name) else ""
    shown = name if len(name) <= 100 else f"{name[:100]}..."
    raise VivaceError(f"Model {shown!r} is neither a shipped model ({known}) nor a folder; check its name{hub}.")


def is_hub_name(name: str) -> bool:
    """Whether a name may be that of a repository on the hub, owner/name."""
    return _HUB_NAME.fullmatch(name) is not None


def is_folder(name: str) -> bool:
    """Whether a name is that of a folder here; names that the system cannot even look up are none."""
    try:
        return bool(name) and Path(name).is_dir()
    except (OSError, ValueError):
        return False


def _is_file(name: str) -> bool:
    try:
        return bool(name) and Path(name).is_file()
    except (OSError, ValueError):
        return False


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name))
    except Exception as error:  # The hub's client raises many kinds; to a user all of them say "not to be had".
        reason = str(error).strip().split("\n")[0]
        raise VivaceError(
            f"Model {name!r} could not be downloaded ({reason}); check the name and the network."
        ) from None


def read_index(folder: Path, kinds: Sequence[str] = PIPELINES) -> dict[str, Any]:
    """A folder's model_index.json.

    Args:
        kinds: pipelines of which it may be.

    Raises:
        VivaceError: missing, unreadable, or of another kind of model.
    """
    path = folder / INDEX
    if not path.is_file() and (folder / RELEASED).is_file():
        raise VivaceError(f"Folder {str(folder)!r} holds {RELEASED}, which is no model folder yet; {_MAKE}.")
    if not path.is_file():
        raise VivaceError(f"Folder {str(folder)!r} has no {INDEX}, so it is no model; give a folder that has one.")
    index = _read_json(path)
    kind = index.get("_class_name")
    if kind in REFINERS and kind not in kinds:
        raise VivaceError(
            f"Folder {str(folder)!r} holds a refiner, which enlarges finished clips; give it to vivace refine."
        )
    if kind not in kinds:
        wanted = " or ".join(kinds)
        raise VivaceError(f"Folder {str(folder)!r} holds a {kind}, not a {wanted}; give a model made for vivace.")
    return index


def check_folder(folder: Path, kind: str | None = None, kinds: Sequence[str] = PIPELINES) -> None:
    """Raises VivaceError where a component is missing, a configuration or a weights file is damaged, weights are not
    those of a component's class, or the model is not of the pipeline `kind`."""
    index = read_index(folder, kinds)
    found = index["_class_name"]
    if kind is not None and found != kind:
        raise VivaceError(
            f"Folder {str(folder)!r} is a model for {found}, not for {kind}; load it with vivace.{found}."
        )
    for name, entry in index.items():
        # Components are [library, class]; anything else is configuration.
        if not (isinstance(entry, list) and len(entry) == 2 and all(isinstance(part, str) for part in entry)):
            continue
        _check_component(folder, folder / name, *entry)


def _check_component(folder: Path, part: Path, library: str, kind: str) -> None:
    if not part.is_dir():
        raise VivaceError(f"Model folder {str(folder)!r} lacks its {part.name}; copy or download the folder again.")
    configuration = _checked_configuration(folder, part)
    found = class_of(part.name, library, kind)
    if part.name not in _WEIGHTLESS:
        _check_weights(folder, part)
        check_fit(part, library, kind)
    # Whatever diffusers writes names its class; of a configuration without values a class takes its own, silently.
    if not configuration or (library != "transformers" and "_class_name" not in configuration):
        path = part / _configuration_of(part.name)
        raise VivaceError(f"Configuration {str(path)!r} is damaged (it says nothing of the {part.name}); {_AGAIN}.")
    if part.name == "tokenizer":
        _check_tokenizer(folder, part, found, configuration)


def _checked_configuration(folder: Path, part: Path) -> dict[str, Any]:
    found = {config.name: _read_json(config) for config in part.glob("*.json")}
    named = _configuration_of(part.name)
    if named not in found:
        raise VivaceError(f"Model folder {str(folder)!r} lacks the configuration of its {part.name}; copy it again.")
    return found[named]


def _configuration_of(name: str) -> str:
    """The file with a component's configuration."""
    return f"{name}_config.json" if name in _WEIGHTLESS else "config.json"


def _check_tokenizer(folder: Path, part: Path, kind: Any, configuration: Mapping[str, Any]) -> None:
    """Raises VivaceError where files are missing without which a tokenizer of this class is another one, or was not
    written so."""
    vocabularies = getattr(kind, "vocab_files_names", {}).values()
    if vocabularies:
        if not any((part / name).is_file() for name in vocabularies):
            raise VivaceError(
                f"Model folder {str(folder)!r} lacks the vocabulary of its tokenizer ({' or '.join(vocabularies)}); "
                f"{_AGAIN}."
            )
    # A class without one is written with its added tokens beside its configuration. Others may have left them out.
    elif (
        configuration.get("added_tokens_decoder")
        and (folder / CHECKSUMS).is_file()
        and not (part / "added_tokens.json").is_file()
    ):
        raise VivaceError(f"Model folder {str(folder)!r} lacks the added_tokens.json of its tokenizer; {_AGAIN}.")


def _check_weights(folder: Path, part: Path) -> None:
    found = sorted(part.glob("*.safetensors"))
    wanted = [part / name for index in part.glob("*.safetensors.index.json") for name in _shards(index)]
    missing = [path.name for path in wanted if not path.is_file()]
    if missing or not found:
        what = missing[0] if missing else "its weights (*.safetensors)"
        raise VivaceError(f"Model folder {str(folder)!r} lacks {what} in {part.name}; copy or download it again.")
    for path in found:
        shapes_in(path)


def _shards(index: Path) -> set[str]:
    weight_map = _read_json(index).get("weight_map", {})
    return {str(name) for name in weight_map.values()} if isinstance(weight_map, dict) else set()


def _read_json(path: Path) -> dict[str, Any]:
    return read_object(path, _AGAIN, what="Configuration")


def folder_hash(folder: Path) -> str:
    """SHA-256 over everything that decides what the model makes: configurations and weights, names and contents."""
    digest = hashlib.sha256()
    index = read_index(folder, (*PIPELINES, *REFINERS))
    parts = [folder / INDEX, *(p for name in index for p in sorted((folder / name).glob("*")) if p.suffix in DECISIVE)]
    for path in parts:
        digest.update(path.relative_to(folder).as_posix().encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
