"""What is complete, side by side: means, the difference of the arms and its interval."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.curation_training.sets import ARMS
from benchmarks.curation_training.unit import FIGURES

DRAWS = 4000


def compared(folder: Path) -> dict[str, Any]:
    """The sets and, over the seeds that both arms have finished, a row for each figure."""
    results = {
        (result["arm"], result["seed"]): result
        for result in (json.loads(path.read_text()) for path in sorted((folder / "runs").glob("*/result.json")))
    }
    seeds = sorted(seed for arm, seed in results if arm == ARMS[0] and (ARMS[1], seed) in results)
    sets = folder / "sets.json"
    found: dict[str, Any] = {
        "sets": json.loads(sets.read_text()) if sets.is_file() else None,
        "seeds": seeds,
        "rows": [],
    }
    if not seeds:
        return found
    first = results[ARMS[0], seeds[0]]
    found |= {name: first[name] for name in ("steps", "seen", "parameters")}
    for figure, lower in FIGURES.items():
        arms = {arm: [results[arm, seed]["records"][figure] for seed in seeds] for arm in ARMS}
        found["rows"].append({"figure": figure, "lower_is_better": lower, **difference(arms)})
    return found


def difference(arms: Mapping[str, Sequence[Sequence[Sequence[float]]]], draws: int = DRAWS) -> dict[str, Any]:
    """Pooled ratio of each arm and curated minus raw, with 95 % bootstrap intervals over seeds and items.

    Both arms have the same seeds and items, so each draw takes the same ones of both: what is hard for both cancels.

    Args:
        arms: by name, numerator and denominator [seeds][items][2].
    """
    values = {arm: np.asarray(arms[arm], dtype=float) for arm in ARMS}
    seeds, items = values[ARMS[0]].shape[:2]
    rng = np.random.default_rng(20260101)
    drawn: dict[str, list[float]] = {arm: [] for arm in ARMS}
    for _ in range(draws):
        chosen, which = rng.integers(0, seeds, seeds), rng.integers(0, items, items)
        for arm in ARMS:
            drawn[arm].append(_ratio(values[arm][chosen][:, which]))
    gaps = np.array(drawn[ARMS[1]]) - np.array(drawn[ARMS[0]])
    means = {arm: _ratio(values[arm]) for arm in ARMS}
    return {
        "items": items,
        "counted": {arm: int((values[arm][..., 1] > 0).sum()) for arm in ARMS},
        "by_seed": {arm: [_plain(_ratio(each)) for each in values[arm]] for arm in ARMS},
        **{arm: [_plain(means[arm]), *_ends(np.array(drawn[arm]))] for arm in ARMS},
        "difference": [_plain(means[ARMS[1]] - means[ARMS[0]]), *_ends(gaps)],
    }


def _ratio(records: np.ndarray) -> float:
    top, bottom = records.reshape(-1, 2).sum(axis=0)
    return float(top / bottom) if bottom else float("nan")


def _ends(values: np.ndarray) -> list[float | None]:
    values = values[np.isfinite(values)]
    return [None, None] if not len(values) else [float(v) for v in np.quantile(values, [0.025, 0.975])]


def _plain(value: float) -> float | None:
    return value if np.isfinite(value) else None


def markdown(found: dict[str, Any]) -> str:
    """Table and what it is of, for a reader."""
    lines = ["# Does curation matter?", ""]
    if found["sets"] is not None:
        clips, faults = found["sets"]["clips"], found["sets"]["faults"]
        shares = {arm: 1 - faults[arm].get("none", 0) / clips[arm] for arm in ARMS}
        lines += [
            f"{clips['raw']} clips for each arm; a fault has {shares['raw']:.0%} of the raw ones and "
            f"{shares['curated']:.0%} of the curated ones. {clips['held-out']} faultless clips are held out.",
            "",
        ]
    if not found["rows"]:
        return "\n".join([*lines, "No seed is complete in both arms yet.", ""])
    lines += [
        f"Seeds {', '.join(map(str, found['seeds']))}; {found['steps']} steps, in which {found['seen']} clips are "
        f"seen, of a network of {found['parameters'] / 1e6:.2f} M parameters. Intervals: 95 %, bootstrap over seeds "
        "and items, the same draws for both arms.",
        "",
        "| figure | better | raw | curated | curated - raw | items | counted raw, curated |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        cells = [_told(row["raw"]), _told(row["curated"]), _told(row["difference"], sign=True)]
        better = "lower" if row["lower_is_better"] else "higher"
        counted = f"{row['counted']['raw']}, {row['counted']['curated']}"
        lines.append(f"| {row['figure']} | {better} | {' | '.join(cells)} | {row['items']} | {counted} |")
    return "\n".join([*lines, ""])


def _told(values: Sequence[float | None], sign: bool = False) -> str:
    if values[0] is None:
        return "none"
    form = "+.4f" if sign else ".4f"
    low, high = ("?" if value is None else format(value, form) for value in values[1:])
    return f"{values[0]:{form}} [{low}, {high}]"
