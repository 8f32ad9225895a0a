import numpy as np
import pytest

from vivace.evaluation.statistics import bootstrap_interval, pooled


def test_ratio_pools_sums_and_median_pools_values() -> None:
    assert pooled("ratio", [[1, 2], [3, 4], [0, 2]])[0] == pytest.approx(4 / 8)
    assert pooled("median", [[1, 9], [2], [4]])[0] == 3.0
    assert np.isnan(pooled("ratio", [[0, 0]])[0])
    assert np.isnan(pooled("median", [[]])[0])


def test_weights_count_an_item_that_often() -> None:
    rng = np.random.default_rng(0)
    records = [list(rng.normal(size=rng.integers(1, 4))) for _ in range(7)]
    weights = rng.integers(0, 3, size=(5, 7)).astype(float)
    for row, value in zip(weights, pooled("median", records, weights), strict=True):
        repeated = [v for record, count in zip(records, row, strict=True) for v in record * int(count)]
        assert value == pytest.approx(np.median(repeated))


def test_interval_is_the_same_for_the_same_seed_and_covers_the_value() -> None:
    rng = np.random.default_rng(1)
    records = [[float(rng.random() < 0.8), 1.0] for _ in range(100)]
    low, high = bootstrap_interval("ratio", records)
    assert (low, high) == bootstrap_interval("ratio", records)
    value = pooled("ratio", records)[0]
    assert low < value < high
    # Normal approximation of a proportion: +- 1.96 sqrt(p (1 - p) / n).
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(value * (1 - value) / 100), rel=0.25)


def test_one_item_has_no_interval() -> None:
    assert np.isnan(bootstrap_interval("ratio", [[1, 1]])).all()
