"""Which samples make up the batch of a step: a function of (seed, step) and nothing else.

All samples of a batch have one shape, because they come from one bucket. Each bucket is gone through in a fresh random
order per epoch, so that every sample is seen equally often. A run resumes from one integer, the step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from vivace.errors import VivaceError

# Bucket choices are drawn in blocks, so that step n is found without drawing the n before it one by one.
BLOCK = 4096


@dataclass(frozen=True)
class Bucket:
    """Samples of one shape.

    Args:
        size: number of samples.
        weight: how often a batch is drawn from here, relative to the other buckets.
        batch: samples per batch.
    """

    size: int
    weight: float
    batch: int


@dataclass(frozen=True)
class Draw:
    """The batch of one step: places [batch] of samples in bucket number `bucket`."""

    bucket: int
    places: np.ndarray


class BatchPlan:
    """Batches without any state.

    Args:
        buckets: what there is to draw from.
        seed: other seeds give other orders.

    Raises:
        VivaceError: nothing to draw from.
    """

    def __init__(self, buckets: Sequence[Bucket], seed: int) -> None:
        if not buckets or any(bucket.size < 1 for bucket in buckets):
            raise VivaceError("There are no samples to draw batches from; name folders that hold some.")
        self.buckets = tuple(buckets)
        self.seed = seed
        self._visits: list[np.ndarray] = [np.zeros(len(buckets), dtype=np.int64)]
        self._choices: list[np.ndarray] = []
        self._order = lru_cache(maxsize=2 * len(buckets))(self._permutation)

    def draw(self, step: int) -> Draw:
        """The batch of this step (counted from 0)."""
        block, within = divmod(step, BLOCK)
        self._extend(block)
        choices = self._choices[block]
        number = int(choices[within])
        bucket = self.buckets[number]
        visit = int(self._visits[block][number]) + int((choices[:within] == number).sum())
        positions = visit * bucket.batch + np.arange(bucket.batch)
        epochs, offsets = np.divmod(positions, bucket.size)
        places = [self._order(number, int(epoch))[offset] for epoch, offset in zip(epochs, offsets, strict=True)]
        return Draw(number, np.array(places))

    def _extend(self, block: int) -> None:
        weights = np.array([bucket.weight for bucket in self.buckets])
        while len(self._choices) <= block:
            rng = np.random.default_rng([self.seed, 0, len(self._choices)])
            choices = rng.choice(len(weights), BLOCK, p=weights / weights.sum())
            self._choices.append(choices)
            self._visits.append(self._visits[-1] + np.bincount(choices, minlength=len(weights)))

    def _permutation(self, bucket: int, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, 1, bucket, epoch]).permutation(self.buckets[bucket].size)
