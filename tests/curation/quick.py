"""Quick stages of the tests' own: they follow the same protocol as ours and misbehave on demand."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar

from vivace.curation.clip import Clip, Rejected
from vivace.curation.stage import Bound, Decision, StageSettings


class LengthSettings(StageSettings):
    DEFAULT_BOUNDS: ClassVar = {"short": Bound(column="length.bytes", least=2)}
    factor: int = 1
    pause: float = 0.0


class Length:
    """How long the file is. What stands in it may be an order to fail."""

    name: ClassVar[str] = "length"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: LengthSettings | None = None) -> None:
        self.settings = settings or LengthSettings()

    def measure(self, clip: Clip) -> Clip | Rejected:
        text = Path(clip.path).read_text()
        time.sleep(self.settings.pause)
        match text:
            case "crash":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "hang":
                time.sleep(60)
            case "eat":
                bytearray(16 * 2**30)
            case "raise":
                raise RuntimeError("no good")
            case "refuse":
                return Rejected("refused", "because it says so")
        return clip.with_columns("length", bytes=len(text) * self.settings.factor)


class Double:
    """Twice the length."""

    name: ClassVar[str] = "double"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("length",)

    def __init__(self) -> None:
        self.settings = StageSettings()

    def measure(self, clip: Clip) -> Clip | Rejected:
        return clip.with_columns("double", bytes=2 * clip["length.bytes"])


class FirstSettings(StageSettings):
    DECIDING: ClassVar = frozenset({"keep"})
    keep: int = 1


class First:
    """The first clips of each length; a stage over the whole set."""

    name: ClassVar[str] = "first"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("length",)

    def __init__(self, settings: FirstSettings | None = None) -> None:
        self.settings = settings or FirstSettings()

    def measure(self, clip: Clip) -> Clip | Rejected:
        return clip.with_columns("first", parity=clip["length.bytes"] % 2)

    def decide(self, clips: Iterable[Clip]) -> Iterator[Decision]:
        seen: dict[int, int] = {}
        for clip in clips:
            length = clip["length.bytes"]
            seen[length] = seen.get(length, 0) + 1
            if seen[length] > self.settings.keep:
                yield Decision(clip.id, Rejected("again", str(length)))
            else:
                yield Decision(clip.id, columns={"place": seen[length]})
