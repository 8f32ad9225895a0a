"""Who judges what, in which order, with which clip on which side: random, balanced, and the same for the same seed."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vivace.evaluation.study.design import Control, Design

Side = Literal["first", "second"]


@dataclass(frozen=True)
class Task:
    """One pair on one rater's page: which of its clips stands on the left."""

    pair: str
    left: Side


def assign(
    design: Design,
    rater: str,
    round_number: int,
    *,
    pairs: Sequence[str],
    votes: Counter[str],
    given: Iterable[Task],
) -> list[Task]:
    """A rater's tasks.

    The pairs with the fewest votes come first, then those that were given to the fewest; each pair's sides are
    balanced over its raters; controls lie anywhere between.

    Args:
        pairs: ids that still need votes. votes: cast so far, by pair. given: tasks of the raters before, of all rounds.
    """
    digest = hashlib.sha256(f"{round_number}:{rater}".encode()).digest()
    rng = np.random.default_rng([design.seed, int.from_bytes(digest[:8], "big")])
    before = list(given)
    asked = Counter(task.pair for task in before)
    draw = {pair: float(rng.random()) for pair in sorted(pairs)}
    chosen = sorted(pairs, key=lambda pair: (votes[pair], asked[pair], draw[pair]))[: design.per_rater]
    kinds: tuple[Control, ...] = ("identical", "degraded")
    for kind in kinds if design.control_share > 0 else ():
        known = [pair.id for pair in design.controls(kind)]
        chosen += [known[place] for place in rng.permutation(len(known))[: design.controls_each()]]
    balance = Counter((task.pair, task.left) for task in before)
    tasks = []
    for place in rng.permutation(len(chosen)):
        pair = chosen[place]
        lead = balance[pair, "first"] - balance[pair, "second"]
        coin = bool(rng.random() < 0.5)
        tasks.append(Task(pair, "first" if lead < 0 or (lead == 0 and coin) else "second"))
    return tasks
