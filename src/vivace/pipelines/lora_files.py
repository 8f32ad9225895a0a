"""Which files an adapter is: PEFT's two in a folder, or one of whatever name. Needs no torch."""

from __future__ import annotations

from pathlib import Path

from vivace.pipelines.folder import is_folder

WEIGHTS, SETTINGS = "adapter_model.safetensors", "adapter_config.json"


def weights_of(place: Path) -> Path:
    """An adapter's weights file: `place` itself, or PEFT's in this folder."""
    return place / WEIGHTS if is_folder(str(place)) else place


def settings_of(weights: Path) -> Path | None:
    """PEFT's settings beside a weights file of its name, which hold the adapter's alpha; None where there are none."""
    beside = weights.parent / SETTINGS
    return beside if weights.name == WEIGHTS and beside.is_file() else None
