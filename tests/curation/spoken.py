"""A stage of the tests' own that stands in for `speech` where only its columns are needed."""

from __future__ import annotations

from typing import ClassVar

from vivace.curation.clip import Clip, Rejected
from vivace.curation.stage import StageSettings


class Unspoken:
    """Nobody says anything."""

    name: ClassVar[str] = "speech"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self.settings = StageSettings()

    def measure(self, clip: Clip) -> Clip | Rejected:
        return clip.with_columns("speech", sentences=[])
