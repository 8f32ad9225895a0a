"""Where a run of the world benchmark keeps its clips: clips/CONDITION/ID.mp4, or .wav for sound alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vivace.evaluation.prompts import WorldItem
from vivace.media import Clip, write_clip

_SUFFIXES = (".mp4", ".wav")


@dataclass(frozen=True)
class KeptClips:
    """The clips of a run, made and true.

    Args:
        run: its results folder.
    """

    run: Path

    def find(self, condition: str, item: WorldItem) -> Path | None:
        """The file of a clip; None where it is not kept."""
        places = (self._place(condition) / f"{item.id}{suffix}" for suffix in _SUFFIXES)
        return next((path for path in places if path.is_file()), None)

    def keep(self, condition: str, item: WorldItem, clip: Clip) -> None:
        """Write a clip with its prompt as title; one that is there is replaced.

        Raises:
            VivaceError: it cannot be written.
        """
        folder = self._place(condition)
        folder.mkdir(parents=True, exist_ok=True)
        write_clip(folder / f"{item.id}{'.wav' if clip.frames is None else '.mp4'}", clip, {"title": item.prompt})

    def _place(self, condition: str) -> Path:
        return self.run / "clips" / folder_name(condition)


def folder_name(condition: str) -> str:
    """A condition's name as that of a folder."""
    return condition.replace(" ", "-")
