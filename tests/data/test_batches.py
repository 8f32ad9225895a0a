from collections import Counter

import numpy as np
import pytest

from vivace.data.batches import BLOCK, BatchPlan, Bucket
from vivace.errors import VivaceError

BUCKETS = [Bucket(size=50, weight=3.0, batch=8), Bucket(size=7, weight=1.0, batch=4)]


def test_a_batch_depends_on_seed_and_step_alone():
    forward = BatchPlan(BUCKETS, seed=3)
    batches = [forward.draw(step) for step in range(40)]
    for step in (39, 0, 17):
        fresh = BatchPlan(BUCKETS, seed=3).draw(step)
        assert fresh.bucket == batches[step].bucket
        assert np.array_equal(fresh.places, batches[step].places)
    other = BatchPlan(BUCKETS, seed=4)
    assert any(not np.array_equal(other.draw(step).places, batches[step].places) for step in range(40))


def test_every_sample_is_seen_once_per_epoch():
    plan = BatchPlan(BUCKETS, seed=0)
    seen: list[list[int]] = [[], []]
    for step in range(200):
        draw = plan.draw(step)
        assert len(draw.places) == BUCKETS[draw.bucket].batch
        seen[draw.bucket].extend(draw.places.tolist())
    for bucket, places in zip(BUCKETS, seen, strict=True):
        epochs = len(places) // bucket.size
        assert epochs >= 2
        for epoch in range(epochs):
            assert sorted(places[epoch * bucket.size : (epoch + 1) * bucket.size]) == list(range(bucket.size))
        assert places[: bucket.size] != places[bucket.size : 2 * bucket.size]


def test_buckets_are_drawn_by_weight_and_epochs_continue_over_blocks():
    plan = BatchPlan(BUCKETS, seed=1)
    counts = Counter(plan.draw(step).bucket for step in range(2000))
    assert abs(counts[0] / 2000 - 0.75) < 0.04
    places = [p for step in range(BLOCK - 60, BLOCK + 60) if (d := plan.draw(step)).bucket == 1 for p in d.places]
    # A run of 2 * size consecutive draws holds every sample at least once, wherever it starts.
    assert all(set(places[i : i + 14]) == set(range(7)) for i in range(len(places) - 14))


def test_an_empty_plan_is_refused():
    with pytest.raises(VivaceError, match="no samples"):
        BatchPlan([], seed=0)
    with pytest.raises(VivaceError, match="no samples"):
        BatchPlan([Bucket(0, 1.0, 4)], seed=0)
