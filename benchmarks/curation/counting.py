"""What the tables are made of: recall, false alarms, curves over thresholds, word errors, and their Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vivace.curation.stage import Bound

STEPS = 8  # thresholds of a curve
Row = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """The figures of one stage.

    Args:
        stage: its name. told: what is counted, in a sentence or two.
        rows: mappings with the same keys, which are the columns.
        curves: over what, to points that begin with a threshold; the values are shares.
    """

    stage: str
    told: str
    rows: list[Row]
    curves: dict[str, list[Row]] = field(default_factory=dict)

    def markdown(self) -> list[str]:
        """Lines of a chapter."""
        lines = [f"## {self.stage}", "", self.told, ""]
        if not self.rows:
            return [*lines, "Nothing of it is in this footage.", ""]
        columns = list(self.rows[0])
        lines += ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
        lines += ["| " + " | ".join(_cell(row[name]) for name in columns) + " |" for row in self.rows]
        if any(self.curves.values()):
            lines.append("")
        for name, points in self.curves.items():
            if points:
                keys = list(points[0])[1:]
                told = ", ".join(f"{_cell(p['threshold'])}: {' / '.join(_cell(p[k]) for k in keys)}" for p in points)
                lines.append(f"- {name} ({' / '.join(keys)}): {told}")
        return [*lines, ""]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def share(part: float, whole: float) -> float | None:
    """None of nothing."""
    return float(part / whole) if whole else None


def judged(bound: Bound, own: Sequence[Any], clean: Sequence[Any]) -> Row:
    """Recall, false alarms and precision of a bound among the shots of its fault and the sound ones."""
    found, alarms = (sum(not bound.holds(value) for value in values) for values in (own, clean))
    return {
        "shots": len(own),
        "sound shots": len(clean),
        "recall": share(found, len(own)),
        "precision": share(found, found + alarms),
        "alarms": share(alarms, len(clean)),
        "area": area(bound, own, clean),
    }


def area(bound: Bound, own: Sequence[Any], clean: Sequence[Any]) -> float | None:
    """Chance that a shot with the fault lies farther on the bound's wrong side than a sound one; a shot without a value
    lies on the right side."""
    if not own or not clean:
        return None
    a, b = (np.array([_distance(bound, value) for value in values]) for values in (own, clean))
    return float((a[:, None] > b).mean() + 0.5 * (a[:, None] == b).mean())


def _distance(bound: Bound, value: Any) -> float:
    """How far on the wrong side; the two sides of motion have a bound each."""
    if value is None:
        return -np.inf
    return float(value) if bound.most is not None else -float(value)


def thresholds(values: Sequence[Any], stated: float | None = None) -> list[float]:
    """Up to `STEPS` of the values, spread over their ranks, and the stated one among them; None is left out."""
    known = sorted({float(value) for value in values if value is not None})
    chosen = {known[round(k * (len(known) - 1) / (STEPS - 1))] for k in range(STEPS)} if known else set()
    return sorted(chosen | (set() if stated is None or not known else {stated}))


def curve(bound: Bound, own: Sequence[Any], clean: Sequence[Any]) -> list[Row]:
    """Recall and false alarms over thresholds between the two groups' extremes, the bound itself among them."""
    side = "most" if bound.most is not None else "least"
    points = []
    for threshold in thresholds((*own, *clean), getattr(bound, side)):
        found = judged(bound.model_copy(update={side: threshold}), own, clean)
        points.append({"threshold": round(threshold, 4), "recall": found["recall"], "alarms": found["alarms"]})
    return points


def word_errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """Words put in, left out or exchanged between the two, as few as lead from one to the other."""
    row = list(range(len(heard) + 1))
    for n, word in enumerate(said, 1):
        before, row[0] = row[0], n
        for k, other in enumerate(heard, 1):
            before, row[k] = row[k], min(row[k] + 1, row[k - 1] + 1, before + (word != other))
    return row[-1]


def covered(spans: Sequence[Sequence[float]], others: Sequence[Sequence[float]]) -> float:
    """Seconds of `spans` in which one of `others` lasts too; neither overlap among themselves."""
    return sum(max(0.0, min(end, stop) - max(start, begin)) for start, end in spans for begin, stop in others)
