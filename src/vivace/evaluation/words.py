"""Word errors: how far what was heard is from what should have been said."""

from __future__ import annotations

from collections.abc import Sequence


def word_errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """The least number of words to insert, delete or replace that turns one into the other (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for i, true in enumerate(said, start=1):
        above, row = row, [i]
        for j, word in enumerate(heard, start=1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (true != word)))
    return row[-1]
