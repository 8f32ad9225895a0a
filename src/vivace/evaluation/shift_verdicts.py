"""Which measures of sound and picture together tell sound that is 200 ms off from sound in time, by the calibration.

`benchmarks/calibrate_measures.py` writes shift_verdicts.json; reports mark a measure that does not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from vivace.evaluation.metric import Result

FILE = Path(__file__).with_name("shift_verdicts.json")
MARK = "†"
NOTE = (
    f"{MARK} On true clips this measure does not tell sound that is 200 ms early or late from sound in time, so that "
    "it says nothing of synchrony (docs/results/calibration.md)."
)
# Groups of the world benchmark -> calibrated material; of other clips the first of `_ANY` count.
_MATERIALS = {
    **dict.fromkeys(("all", "seen", "unseen", "hand"), "impacts"),
    "camera": "moving camera",
    **dict.fromkeys(("talk-seen", "talk-unseen"), "talk"),
    **dict.fromkeys(("talk-effect", "talk-hand"), "talk with effect"),
    **{name: name for name in ("silence", "ambience", "vehicle", "shots")},
}
_ANY = ("impacts", "talk")


def verdicts_of_rows(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Measure -> material -> "yes", "no" or "too few clips", from the rows of a calibration."""
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        if row["tells_200_ms"] is not None:
            found.setdefault(row["measure"], {})[row["material"]] = row["tells_200_ms"]
    return {name: found[name] for name in sorted(found)}


@lru_cache(maxsize=1)
def shipped_verdicts() -> Mapping[str, Mapping[str, str]]:
    """`verdicts_of_rows` of the project's calibration."""
    found: dict[str, dict[str, str]] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def is_blind(measure: str, group: str | None = None) -> bool:
    """Whether a measure does not tell a shift of 200 ms.

    Args:
        group: of the world benchmark, whose material counts; where it was not calibrated, and for None (clips of any
            kind), a "no" of impacts or of talk counts.
    """
    verdicts = shipped_verdicts().get(measure, {})
    material = _MATERIALS.get(group or "", "")
    if material in verdicts:
        return verdicts[material] == "no"
    return any(verdicts.get(name) == "no" for name in _ANY)


def entry_of(result: Result, group: str | None = None) -> dict[str, Any]:
    """A result as a summary holds it: with "shift_blind" where the measure is (`is_blind`)."""
    return result.to_json() | ({"shift_blind": True} if is_blind(result.name, group) else {})


def mark_of(entry: Mapping[str, Any]) -> str:
    """What stands behind a measure's name, by its entry in a summary."""
    return f" {MARK}" if entry.get("shift_blind") else ""


def any_marked(groups: Mapping[str, Mapping[str, Mapping[str, Mapping[str, Any]]]]) -> bool:
    """Whether a summary's groups have a measure with the mark."""
    every = (scores for conditions in groups.values() for scores in conditions.values())
    return any(entry.get("shift_blind") for scores in every for entry in scores.values())
