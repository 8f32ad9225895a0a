import numpy as np
import pytest

from vivace.errors import VivaceError
from vivace.evaluation.frechet import Moments, frechet_distance
from vivace.evaluation.metric import Metric, Sample, Undefined
from vivace.evaluation.set_difference import set_difference
from vivace.evaluation.set_metric import Features, SetMetric, draws_within
from vivace.evaluation.set_values import SET_VALUES


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


def test_the_interval_lies_around_the_value_and_narrows_with_n() -> None:
    def distance(count: int) -> tuple[float, float, float]:
        one = metric(draws=200)
        for number in range(1, count + 1):
            one.update(Sample(str(number)))
        result = one.compute()
        assert result.value is not None
        assert result.ci_low is not None
        assert result.ci_high is not None
        return result.ci_low, result.value, result.ci_high

    few, many = distance(20), distance(300)
    assert few[0] < few[1] < few[2]
    assert many[0] < 4.0 < many[2]  # two Gaussians, one apart in each of four dimensions
    assert many[2] - many[0] < 0.6 * (few[2] - few[0])
    assert distance(20) == few


def test_large_sets_have_fewer_draws() -> None:
    small = [{"generated": np.zeros(4), "reference": np.zeros(4)}] * 20
    large = [{"generated": np.zeros((40, 512)), "reference": np.zeros((40, 512))}] * 100
    assert draws_within(small, 200) == 200
    assert 50 <= draws_within(large, 200) < 200


def measured(shift: float, seed: int, count: int = 30) -> dict[str, Features]:
    """Made and true sounds of as many prompts; the made ones lie off by `shift`."""
    draw = np.random.default_rng(seed).normal
    truth = np.random.default_rng(99)
    return {
        f"{number:03d}": {"generated": draw(shift, 1.0, 8), "reference": truth.normal(0.0, 1.0, 8)}
        for number in range(count)
    }


def test_a_known_difference_of_sets_is_found_and_none_is_not() -> None:
    value = SET_VALUES["fd_vggish"]
    near, far, again = measured(0.0, 1), measured(0.6, 2), measured(0.0, 3)
    apart = set_difference(value, near, far)
    assert apart.p_value < 0.01
    assert apart.low <= apart.mean <= apart.high < 0.0
    assert apart.mean == pytest.approx(-8 * 0.6**2, abs=1.5)
    same = set_difference(value, near, again)
    assert same.p_value > 0.05
    assert same.low < 0.0 < same.high
    assert set_difference(value, near, far) == apart
    assert set_difference(value, near, {**far, "more": far["000"]}).n == 30
    with pytest.raises(VivaceError, match="1 prompts in common and 2 are needed"):
        set_difference(value, {"a": near["000"]}, {"a": far["000"]})


def test_no_difference_is_found_as_rarely_as_it_is_promised() -> None:
    value = SET_VALUES["fd_vggish"]
    found = [set_difference(value, measured(0.0, n, 10), measured(0.0, 100 + n, 10)).p_value for n in range(6)]
    assert sum(p < 0.05 for p in found) <= 1
    assert max(found) > 0.5
