"""Phrases shared by the captions of all kinds of scene."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from vivace.world.wording import NUMBERS

T = TypeVar("T")


class Telling:
    """A caption in the making: its random choices, and what it has stated so far."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.stated: dict[str, Any] = {}

    def one_of(self, choices: Sequence[T]) -> T:
        return choices[int(self.rng.integers(len(choices)))]

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def state(self, name: str, value: Any) -> None:
        self.stated[name] = value

    def number(self, count: int) -> str:
        return NUMBERS[count] if self.chance(0.7) else str(count)

    def times(self, count: int) -> str:
        """'twice', 'three times', '3 times', '3x'; states nothing by itself."""
        if count == 1:
            return self.one_of(("once", "once", "one time", "a single time"))
        if count == 2 and self.chance(0.6):
            return "twice"
        return f"{count}x" if self.chance(0.08) else f"{self.number(count)} times"

    def of_them(self, count: int, noun: str) -> str:
        """'three bounces', 'a single stroke'."""
        if count == 1:
            return self.one_of((f"one {noun}", f"a single {noun}", f"1 {noun}", f"just one {noun}"))
        ending = "es" if noun.endswith(("s", "x", "ch")) else "s"
        return f"{self.number(count)} {noun}{ending}"


def article(noun_phrase: str) -> str:
    """'a' or 'an' before the phrase."""
    return f"an {noun_phrase}" if noun_phrase[:1] in "aeio" else f"a {noun_phrase}"


def joined(*parts: str) -> str:
    """The parts that are not empty, with spaces."""
    return " ".join(part for part in parts if part)
