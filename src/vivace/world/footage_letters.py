"""Lettering of dots, as it is laid over footage."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Five by seven dots of a few capitals; enough for lettering that looks like lettering.
GLYPHS = {
    "A": (14, 17, 17, 31, 17, 17, 17),
    "E": (31, 16, 16, 30, 16, 16, 31),
    "H": (17, 17, 17, 31, 17, 17, 17),
    "L": (16, 16, 16, 16, 16, 16, 31),
    "N": (17, 25, 21, 19, 17, 17, 17),
    "O": (14, 17, 17, 17, 17, 17, 14),
    "R": (30, 17, 17, 30, 20, 18, 17),
    "S": (15, 16, 16, 14, 1, 1, 30),
    "T": (31, 4, 4, 4, 4, 4, 4),
    "U": (17, 17, 17, 17, 17, 17, 14),
}


def lettering(letters: Sequence[str], dot: int) -> np.ndarray:
    """A line of `letters`, a column of dots after each, dots of `dot` pixels, bool [7 dot, 6 dot letters]."""
    rows = [[] for _ in range(7)]  # type: list[list[int]]
    for letter in letters:
        for line, bits in enumerate(GLYPHS[str(letter)]):
            rows[line] += [bits >> (4 - k) & 1 for k in range(5)] + [0]
    ink: np.ndarray = np.kron(np.array(rows, dtype=np.uint8), np.ones((dot, dot), np.uint8)).astype(bool)
    return ink
