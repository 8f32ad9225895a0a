import pytest

from vivace.errors import VivaceError
from vivace.evaluation.metric import ItemMetric, Metric, Sample, Undefined
from vivace.perception.percept import Heard, Percept, Seen

NOTHING = Percept(Seen((), (), False, None), Heard((), (), None))


def measured(sample: Sample) -> list[float] | Undefined:
    number = int(sample.id)
    return Undefined("a multiple of five") if number % 5 == 0 else [float(number % 3 == 0), 1.0]


def metric() -> ItemMetric:
    return ItemMetric("threes", measured)


def test_an_item_metric_is_a_metric() -> None:
    assert isinstance(metric(), Metric)


def test_merging_two_halves_equals_one_pass_in_any_order() -> None:
    samples = [Sample(id=str(number), seen=NOTHING) for number in range(23)]
    whole, first, second = metric(), metric(), metric()
    for sample in samples:
        whole.update(sample)
    for sample in reversed(samples[:9]):
        first.update(sample)
    for sample in samples[9:]:
        second.update(sample)
    second.merge(first)
    assert second.compute() == whole.compute()
    result = whole.compute()
    assert (result.n, result.n_undefined) == (18, 5)
    assert result.reasons == {"a multiple of five": 5}
    assert result.value == pytest.approx(6 / 18)
    assert result.ci_low is not None
    assert result.ci_high is not None
    assert result.ci_low < result.value < result.ci_high


def test_no_sample_counts_twice() -> None:
    one = metric()
    one.update(Sample(id="1", seen=NOTHING))
    with pytest.raises(VivaceError, match="twice"):
        one.update(Sample(id="1", seen=NOTHING))
    with pytest.raises(VivaceError, match="same metric"):
        one.merge(ItemMetric("other", measured))
    other = metric()
    other.weights = "0" * 64
    with pytest.raises(VivaceError, match="version and weights"):
        one.merge(other)


def test_what_is_missing_is_undefined_with_its_reason() -> None:
    needs = ItemMetric("needs", measured, requires=("video", "audio", "expected:count"))
    assert needs.update(Sample(id="1", seen=Percept(None, NOTHING.audio))) == {"undefined": "no picture"}
    assert needs.update(Sample(id="2", seen=Percept(NOTHING.video, None))) == {"undefined": "no sound"}
    assert needs.update(Sample(id="3", seen=NOTHING)) == {"undefined": "the prompt states no count"}
    assert needs.compute().value is None
    assert needs.update(Sample(id="4", seen=NOTHING, expected={"count": 2})) == {"record": [0.0, 1.0], "value": 0.0}
    with pytest.raises(VivaceError, match="neither a clip nor findings"):
        needs.update(Sample(id="6"))
