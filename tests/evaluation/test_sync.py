"""Known shifts and swaps of true findings move the synchronisation metrics as they must."""

from dataclasses import replace

import pytest

from vivace.evaluation.metric import Sample
from vivace.evaluation.sync import sync_metrics
from vivace.perception.onsets import Onset
from vivace.perception.percept import Heard, Impact, Percept, Seen

TIMES = ((0.3, 0.9, 1.6), (0.25, 1.1), (0.5, 1.0, 1.8))


def sample(number: int, times: tuple[float, ...], delay: float = 0.0, x: float = 0.5) -> Sample:
    impacts = tuple(Impact(time, x, 0.4, 2.0, 0) for time in times)
    onsets = tuple(Onset(time + delay, 3.0, x, -10.0) for time in times)
    seen = Seen(impacts, (), False, "wood")
    heard = Heard(onsets, ("ball on wood",) * len(onsets), "ball on wood")
    return Sample(id=f"{number}", seen=Percept(seen, heard))


def scores(samples: list[Sample]) -> dict[str, float]:
    metrics = sync_metrics()
    for item in samples:
        for metric in metrics:
            metric.update(item)
    results = {metric.name: metric.compute() for metric in metrics}
    return {name: result.value for name, result in results.items() if result.value is not None}


@pytest.mark.parametrize("delay", [-0.04, 0.0, 0.04, 0.1, 0.2])
def test_moved_sound_moves_the_offset_by_that_much(delay: float) -> None:
    found = scores([sample(number, times, delay) for number, times in enumerate(TIMES)])
    assert found["av_offset_median"] == pytest.approx(1000 * delay)
    assert found["av_offset_median_abs"] == pytest.approx(1000 * abs(delay))
    assert found["av_offset_mean_abs"] == pytest.approx(1000 * abs(delay))
    assert found["av_event_f1_50ms"] == (1.0 if abs(delay) <= 0.05 else 0.0)
    assert found["av_event_f1_75ms"] == (1.0 if abs(delay) <= 0.075 else 0.0)
    # Sound may come 45 ms before the picture and 125 ms after it.
    assert found["av_offset_in_window"] == (1.0 if -0.045 <= delay <= 0.125 else 0.0)


def test_lead_and_lag_are_not_the_same() -> None:
    assert scores([sample(0, TIMES[0], 0.1)])["av_offset_in_window"] == 1.0
    assert scores([sample(0, TIMES[0], -0.1)])["av_offset_in_window"] == 0.0


def test_missing_and_surplus_sounds_cost_recall_and_precision() -> None:
    whole = sample(0, (0.3, 0.9, 1.6))
    assert whole.percept.audio is not None
    silent = replace(whole, seen=replace(whole.percept, audio=replace(whole.percept.audio, onsets=())))
    found = scores([silent])
    assert found["av_event_f1_50ms"] == 0.0
    assert found["av_event_recall_75ms"] == 0.0
    assert found["av_offset_in_window"] == 0.0
    assert "av_offset_median" not in found
    extra = (*whole.percept.audio.onsets, Onset(1.95, 3.0, 0.0, -10.0))
    surplus = replace(whole, seen=replace(whole.percept, audio=replace(whole.percept.audio, onsets=extra)))
    found = scores([surplus])
    assert found["av_event_recall_75ms"] == 1.0
    assert found["av_event_precision_75ms"] == 0.75
    assert found["av_event_f1_75ms"] == pytest.approx(6 / 7)


def test_sound_from_the_other_side_is_noticed() -> None:
    right = sample(0, TIMES[0], x=0.5)
    left = sample(1, TIMES[0], x=-0.5)
    crossed = replace(right, seen=Percept(right.percept.video, left.percept.audio))
    assert scores([right])["pan_agreement"] == 1.0
    assert scores([crossed])["pan_agreement"] == 0.0
    assert scores([crossed])["pan_error"] == pytest.approx(1.0)
    assert "pan_agreement" not in scores([sample(0, TIMES[0], x=0.05)])
