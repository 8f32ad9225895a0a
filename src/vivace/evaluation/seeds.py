"""Several seeds of one prompt: how their clips are called, and how they count as the one prompt that they answer.

The first clip of a prompt is called as the prompt, a further one PROMPT~seedN. Clips of one prompt are no more
independent than events of one clip: metrics take one value a prompt, and a bootstrap draws prompts with all that is
theirs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from vivace.evaluation.statistics import Statistic

if TYPE_CHECKING:
    from vivace.evaluation.prompts import WorldItem
    from vivace.evaluation.suites.suite import SuiteItem

    Item = TypeVar("Item", WorldItem, SuiteItem)

Found = TypeVar("Found")
SEEDS_NOTE = (
    "Each prompt was made with several seeds: n is prompts x seeds, a prompt counts by the mean over its seeds, and "
    "the bootstrap draws prompts."
)
_FURTHER = re.compile(r"~seed(\d+)$")


def prompt_of(clip_id: str) -> str:
    """The prompt that a clip answers; its own id where it has no other seed."""
    return _FURTHER.sub("", clip_id)


def is_first(clip_id: str) -> bool:
    """Whether a clip is the first of its prompt."""
    return _FURTHER.search(clip_id) is None


def seeded(items: Sequence[Item], seeds: int) -> tuple[Item, ...]:
    """Each item with its seed, and again with each of the next ones, `seeds` in all; first come all items once.

    The first is the item as it is, so that more seeds extend a run with fewer.
    """
    found = list(items)
    for more in range(1, seeds):
        found += [replace(item, id=f"{item.id}~seed{item.seed + more}", seed=item.seed + more) for item in items]
    return tuple(found)


def rounds_of(clip_ids: Iterable[str]) -> dict[str, int]:
    """Which clip of its prompt each one is, from 0, in the order given."""
    counted: dict[str, int] = {}
    found = {}
    for clip_id in clip_ids:
        prompt = prompt_of(clip_id)
        found[clip_id] = counted.get(prompt, 0)
        counted[prompt] = found[clip_id] + 1
    return found


def by_prompt(found: Mapping[str, Found]) -> dict[str, list[Found]]:
    """What is known of each clip, by prompt; prompts by name, and of each its clips by seed."""
    parts: dict[str, list[Found]] = {}
    for clip_id in sorted(found, key=_place):
        parts.setdefault(prompt_of(clip_id), []).append(found[clip_id])
    return parts


def seeds_in(clip_ids: Iterable[str]) -> int:
    """The most clips that a prompt has; 1 where there are none."""
    return max(rounds_of(clip_ids).values(), default=0) + 1


def record_of_prompt(statistic: Statistic, records: Sequence[list[float]]) -> list[float]:
    """The records of a prompt's clips as one: of a ratio their mean, of a median all their values together."""
    if len(records) == 1:
        return list(records[0])
    if statistic == "ratio":
        return [float(value) for value in np.mean(np.asarray(records, dtype=float), axis=0)]
    return [value for record in records for value in record]


def side_by_side(features: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The features of a prompt's clips, [rows, D] each, as [rows, clips, D]; rows that not all clips have are left."""
    found = {}
    for name in features[0]:
        clips = [np.atleast_2d(rows[name]) for rows in features]
        shared = min(len(rows) for rows in clips)
        found[name] = np.stack([rows[:shared] for rows in clips], axis=1)
    return found


def mean_over_seeds(value: Callable[[dict[str, np.ndarray]], float]) -> Callable[[dict[str, np.ndarray]], float]:
    """A value of a set as the mean of its values for the sets of first clips, of second clips, and so on.

    Each set has one clip a prompt, so that n, and with it the value's bias, is that of a run with one seed.
    """

    def mean(rows: dict[str, np.ndarray]) -> float:
        clips = next(iter(rows.values())).shape[1]
        return float(np.mean([value({name: every[:, k] for name, every in rows.items()}) for k in range(clips)]))

    return mean


def told_n(figure: Mapping[str, Any]) -> str:
    """A figure's n as every output shows it: prompts, times seeds where there are several; clips where some lack."""
    seeds, n = figure.get("seeds", 1), figure.get("n", 0)
    if seeds == 1:
        return str(n)
    lacking = "" if figure["clips"] == n * seeds else f" ({figure['clips']} clips)"
    return f"{n} x {seeds}{lacking}"


def _place(clip_id: str) -> tuple[str, int]:
    further = _FURTHER.search(clip_id)
    return prompt_of(clip_id), -1 if further is None else int(further.group(1))
