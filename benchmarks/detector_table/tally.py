"""What is counted: events and steps that are so or not, and values beside the true ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from vivace.evaluation.matching import match_times

Row = dict[str, float | int | str | None]


@dataclass
class Tally:
    """Right, found and true events or steps, and by how much the right ones are off."""

    right: int = 0
    found: int = 0
    true: int = 0
    shifts: list[float] = field(default_factory=list)

    def add_times(self, true: Sequence[float], found: Sequence[float], tolerance: float) -> None:
        pairs = match_times(true, found, tolerance)
        self.right += len(pairs)
        self.found += len(found)
        self.true += len(true)
        self.shifts += [1000.0 * (found[j] - true[i]) for i, j in pairs]

    def add_steps(self, true: np.ndarray, found: np.ndarray) -> None:
        """Whether each step is so and is found so, bool [N] both."""
        self.right += int((true & found).sum())
        self.found += int(found.sum())
        self.true += int(true.sum())

    def add_choice(self, true: str | int, found: str | int | None) -> None:
        """One of several names, or none."""
        self.right += found == true
        self.found += found is not None
        self.true += 1

    def row(self) -> Row:
        """A share of nothing is None."""
        return {
            "precision": self.right / self.found if self.found else None,
            "recall": self.right / self.true if self.true else None,
            "true": self.true,
            "found": self.found,
            "bias_ms": float(np.mean(self.shifts)) if self.shifts else None,
            "mae_ms": float(np.abs(self.shifts).mean()) if self.shifts else None,
        }


@dataclass
class Values:
    """What is measured beside what is true, in `unit`; without a unit only whether the two rise together counts."""

    unit: str
    true: list[float] = field(default_factory=list)
    found: list[float] = field(default_factory=list)
    missing: int = 0

    def add(self, true: float, found: float | None) -> None:
        if found is None:
            self.missing += 1
        else:
            self.true.append(float(true))
            self.found.append(float(found))

    def row(self) -> Row:
        """A figure that is undefined is None."""
        true, found = np.array(self.true), np.array(self.found)
        off = found - true
        varied = len(true) > 2 and np.ptp(true) > 0 and np.ptp(found) > 0
        return {
            "unit": self.unit,
            "bias": float(off.mean()) if self.unit and len(off) else None,
            "mae": float(np.abs(off).mean()) if self.unit and len(off) else None,
            "rank_correlation": _rank_correlation(true, found) if varied else None,
            "values": len(true),
            "missing": self.missing,
        }


def _rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(first, second).statistic)


class Tallies:
    """All that is counted, by detector and condition."""

    def __init__(self) -> None:
        self.events: dict[tuple[str, str], Tally] = {}
        self.values: dict[tuple[str, str], Values] = {}

    def of(self, detector: str, condition: str) -> Tally:
        return self.events.setdefault((detector, condition), Tally())

    def value(self, detector: str, condition: str, unit: str = "") -> Values:
        return self.values.setdefault((detector, condition), Values(unit))
