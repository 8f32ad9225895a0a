"""The pair of modalities that everything in the house maps over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

T = TypeVar("T")
R = TypeVar("R")
Modality = Literal["video", "audio"]
MODALITIES: tuple[Modality, Modality] = ("video", "audio")


@dataclass(frozen=True)
class AV(Generic[T]):
    """A value for the picture and one for the sound; a side that is absent is None."""

    video: T | None = None
    audio: T | None = None

    def items(self) -> Iterator[tuple[Modality, T]]:
        """The present sides with their names, video first."""
        if self.video is not None:
            yield "video", self.video
        if self.audio is not None:
            yield "audio", self.audio

    def get(self, modality: Modality) -> T | None:
        return self.video if modality == "video" else self.audio

    def map(self, function: Callable[..., R], *others: AV[Any]) -> AV[R]:
        """Apply `function(mine, *theirs)` to each present side; `others` must have every side that this pair has.

        Raises:
            ValueError: a side present here is absent in one of `others`.
        """
        sides: dict[Modality, R] = {}
        for modality, value in self.items():
            theirs = [other.get(modality) for other in others]
            if any(value is None for value in theirs):
                raise ValueError(f"the {modality} side is present in one pair and absent in another")
            sides[modality] = function(value, *theirs)
        return AV(**sides)

    @classmethod
    def of(cls, value: T) -> AV[T]:
        """The same value on both sides."""
        return cls(value, value)
