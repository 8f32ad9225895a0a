"""What the measures must tell on true clips, whatever is changed in them: shifts, guards, chance, degradations.

A small form of the calibration (benchmarks/calibrate_measures.py), with bounds that hold with margin.
"""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from vivace.evaluation.calibration import shifted
from vivace.evaluation.metric import Result, Sample
from vivace.evaluation.prompts import WorldItem, true_clip, world_items
from vivace.evaluation.swaps import swap_results
from vivace.evaluation.sync import sync_metrics
from vivace.media import Clip
from vivace.perception.percept import Heard, Percept, Seen, perceive
from vivace.world.footage_faults import faulty_picture, faulty_sound

COUNT = 5


@pytest.fixture(scope="module")
def clips() -> list[tuple[WorldItem, Clip]]:
    items = world_items("val", 2 * COUNT, height=64, width=64, hand=False, camera=False)
    return [(item, true_clip(item)) for item in items if item.group == "seen"]


@pytest.fixture(scope="module")
def seen(clips: list[tuple[WorldItem, Clip]]) -> list[Seen]:
    found = [perceive(replace(clip, audio=None)).video for _, clip in clips]
    return [one for one in found if one is not None]


@pytest.fixture(scope="module")
def heard(clips: list[tuple[WorldItem, Clip]]) -> list[Heard]:
    return [listened(clip) for _, clip in clips]


def listened(clip: Clip) -> Heard:
    found = perceive(replace(clip, frames=None)).audio
    assert found is not None
    return found


def looked(clip: Clip, frames: np.ndarray) -> Seen:
    found = perceive(Clip(frames, clip.fps, None, clip.sample_rate)).video
    assert found is not None
    return found


def samples(seen: list[Seen], heard: list[Heard]) -> Iterator[Sample]:
    for number, (picture, sound) in enumerate(zip(seen, heard, strict=True)):
        yield Sample(str(number), seen=Percept(picture, sound))


def measured(seen: list[Seen], heard: list[Heard]) -> dict[str, Result]:
    metrics = sync_metrics()
    for sample in samples(seen, heard):
        for metric in metrics:
            metric.update(sample)
    return {metric.name: metric.compute() for metric in metrics}


def value(results: dict[str, Result], name: str) -> float:
    found = results[name].value
    assert found is not None
    return found


def test_true_clips_are_in_time(seen: list[Seen], heard: list[Heard]) -> None:
    results = measured(seen, heard)
    assert results["av_event_f1_50ms"].n == COUNT
    assert value(results, "av_event_f1_50ms") > 0.95
    assert value(results, "av_offset_median_abs") < 10.0


@pytest.mark.parametrize("ms", [-200, 200])
def test_a_shift_of_200_ms_is_told(clips: list[tuple[WorldItem, Clip]], seen: list[Seen], ms: int) -> None:
    late = [listened(replace(clip, audio=shifted(sound_of(clip), ms * 16))) for _, clip in clips]
    results = measured(seen, late)
    assert value(results, "av_event_f1_50ms") < 0.4
    assert value(results, "av_offset_in_window") < 0.4
    assert value(results, "av_offset_median") == pytest.approx(ms, abs=20.0)


def sound_of(clip: Clip) -> np.ndarray:
    assert clip.audio is not None
    return clip.audio


def test_silence_and_stills_are_undefined_or_nothing(
    clips: list[tuple[WorldItem, Clip]], seen: list[Seen], heard: list[Heard]
) -> None:
    silent = [listened(replace(clip, audio=np.zeros_like(sound_of(clip)))) for _, clip in clips]
    still = [looked(clip, np.repeat(clip.frames[:1], 48, axis=0)) for _, clip in clips if clip.frames is not None]
    for results in (measured(seen, silent), measured(still, heard)):
        assert value(results, "av_event_f1_50ms") == 0.0
        for name in ("av_offset_median", "av_offset_median_abs", "pan_agreement", "pan_error"):
            assert results[name].value is None
            assert results[name].n_undefined == COUNT


def test_swapped_sound_is_at_the_floor_and_told_from_the_own(seen: list[Seen], heard: list[Heard]) -> None:
    swapped = heard[1:] + heard[:1]
    results = measured(seen, swapped)
    assert value(results, "av_event_f1_50ms") < 0.5
    metric = next(metric for metric in sync_metrics() if metric.name == "av_event_f1_50ms")
    own, other = (
        {sample.id: metric.line(metric.outcome(sample))["value"] for sample in samples(seen, sounds)}
        for sounds in (heard, swapped)
    )
    assert value(swap_results(own, other), "swap_auc") > 0.9
    assert value(swap_results(own, own), "swap_auc") == 0.5


@pytest.mark.parametrize("fault", ["blocky", "flickering"])
def test_impacts_are_seen_in_degraded_pictures(
    clips: list[tuple[WorldItem, Clip]], heard: list[Heard], fault: str
) -> None:
    rng = np.random.default_rng(0)
    bad = [looked(clip, faulty_picture(rng, clip.frames, fault)) for _, clip in clips if clip.frames is not None]
    assert value(measured(bad, heard), "av_event_precision_75ms") > 0.8  # share of the sounds whose impact is seen


@pytest.mark.parametrize("fault", ["clipped", "dull"])
def test_onsets_are_heard_in_degraded_sound(clips: list[tuple[WorldItem, Clip]], seen: list[Seen], fault: str) -> None:
    rng = np.random.default_rng(0)
    bad = [
        listened(Clip(None, Fraction(24), faulty_sound(rng, sound_of(clip), 16000, fault).clip(-1, 1), 16000))
        for _, clip in clips
    ]
    assert value(measured(seen, bad), "av_event_recall_75ms") > 0.85
