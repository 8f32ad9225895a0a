"""Where the parts of a NAVA folder come from, how large they are, and under which licence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vivace.errors import VivaceError
from vivace.pipelines.folder import RELEASED

# How a licence file begins.
LICENCE_FILES = ("LICENSE*", "LICENCE*")


@dataclass(frozen=True)
class Origin:
    """Of one part.

    repository: whose. names: of its folder in diffusers' layout and of its original file. stored: bytes, about.
    licence: of the weights, as far as it was known when this was written.
    """

    repository: str
    names: tuple[str, ...]
    stored: int
    licence: str


_LTX = "LTX-2 community licence, which is no open-source licence; read it before you use or share the weights"
ORIGINS: Mapping[str, Origin] = {
    "transformer": Origin(
        "NAVA", (RELEASED,), 25_200_000_000, "as NAVA's repository states it; its program is Apache-2.0"
    ),
    "vae": Origin("Wan2.2-TI2V-5B", ("vae", "Wan2.2_VAE.pth"), 2_800_000_000, "Apache-2.0"),
    "text_encoder": Origin(
        "Wan2.2-TI2V-5B", ("text_encoder", "models_t5_umt5-xxl-enc-bf16.pth"), 11_400_000_000, "Apache-2.0"
    ),
    "tokenizer": Origin("Wan2.2-TI2V-5B", ("tokenizer", "google/umt5-xxl"), 20_000_000, "Apache-2.0"),
    "audio_vae": Origin("LTX-2.3", ("audio_vae",), 200_000_000, _LTX),
    "vocoder": Origin("LTX-2.3", ("vocoder",), 200_000_000, _LTX),
}
WAN = {name: origin.names for name, origin in ORIGINS.items() if origin.repository == "Wan2.2-TI2V-5B"}
LTX = {name: origin.names for name, origin in ORIGINS.items() if origin.repository == "LTX-2.3"}


def licences_of(places: Mapping[str, Path]) -> dict[str, str]:
    """The licence of each part: what is known of the public one, and the first line of a licence file with it."""
    found = {}
    for name, place in places.items():
        stated = _stated(place)
        origin = ORIGINS[name]
        known = f"{origin.licence}, if it is that of {origin.repository}"
        found[name] = f"{known} (with it: {stated})" if stated else known
    return found


def _stated(place: Path) -> str | None:
    """The first line of the nearest licence file: in the part's folder, or in the one that it lies in."""
    folders = [place] if place.is_dir() else []
    for folder in (*folders, place.parent):
        for pattern in LICENCE_FILES:
            for path in sorted(folder.glob(pattern)):
                lines = (
                    path.read_text(encoding="utf-8", errors="replace").strip().splitlines() if path.is_file() else []
                )
                if lines:
                    return " ".join(lines[0].split())[:100]
    return None


def official_weights(place: Path) -> Path | None:
    """The transformer's official file: `place` itself, or the one in this folder; None where there is none."""
    if place.is_file():
        return place
    found = [place / RELEASED, *sorted(place.glob("*.ckpt"))] if place.is_dir() else []
    return next((path for path in found if path.is_file()), None)


def parts_at(place: Path | None, layout: Mapping[str, Iterable[str]]) -> dict[str, Path]:
    """The parts in a public repository's folder as far as they are there; a single file holds all of them.

    Raises:
        VivaceError: there is no such file or folder.
    """
    if place is None:
        return {}
    if not place.exists():
        raise VivaceError(f"{str(place)!r} does not exist; check the path.")
    if not place.is_dir():
        return dict.fromkeys(layout, place)
    there = {part: [place / name for name in names if (place / name).exists()] for part, names in layout.items()}
    return {part: found[0] for part, found in there.items() if found}


def bytes_at(place: Path) -> int:
    """Of a file, or of the files in a folder."""
    files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files)
