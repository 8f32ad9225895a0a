import numpy as np
import pytest

from vivace.errors import VivaceError
from vivace.evaluation.frechet import Moments, frechet_distance
from vivace.evaluation.metric import Metric, Sample, Undefined
from vivace.evaluation.set_metric import Features, SetMetric


def features(sample: Sample) -> Features | Undefined:
    number = int(sample.id)
    if number % 7 == 0:
        return Undefined("a multiple of seven")
    rng = np.random.default_rng(number)
    return {"generated": rng.normal(size=4), "reference": rng.normal(1.0, 1.0, size=4)}


def metric(draws: int = 0) -> SetMetric:
    def value(rows: Features) -> float:
        return frechet_distance(Moments.of(rows["generated"]), Moments.of(rows["reference"]))

    return SetMetric("fd_toy", features, value, draws=draws)


def test_merging_two_halves_equals_one_pass() -> None:
    whole, first, second = metric(20), metric(20), metric(20)
    samples = [Sample(str(number)) for number in range(40)]
    for sample in samples:
        whole.update(sample)
    for sample in reversed(samples[:13]):
        first.update(sample)
    for sample in samples[13:]:
        second.update(sample)
    second.merge(first)
    assert isinstance(whole, Metric)
    result = whole.compute()
    assert second.compute() == result
    assert (result.n, result.n_undefined) == (34, 6)
    rows = [features(sample) for sample in samples]
    rows = [row for row in rows if not isinstance(row, Undefined)]
    plain = [Moments.of(np.stack([row[side] for row in rows])) for side in ("generated", "reference")]
    assert result.value == pytest.approx(frechet_distance(*plain))
    assert result.ci_low is not None


def test_too_few_samples_have_no_value() -> None:
    one = metric()
    one.update(Sample("1"))
    result = one.compute()
    assert result.value is None
    assert result.n == 1
    assert "fewer than 2 samples" in result.reasons
    with pytest.raises(VivaceError, match="twice"):
        one.update(Sample("1"))
