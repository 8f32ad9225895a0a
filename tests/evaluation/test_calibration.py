import math
from fractions import Fraction

import numpy as np
import pytest

from vivace.evaluation.calibration import (
    FLOOR,
    LEAST_CLIPS,
    SHIFTS,
    SILENCE,
    STILL,
    TRUTH,
    Values,
    fooled,
    is_about_synchrony,
    measure_treated,
    moved,
    shift_name,
    shifted,
    tells_shift,
    treatments,
)
from vivace.evaluation.metric import ItemMetric, Sample, Undefined
from vivace.media import Clip
from vivace.perception.percept import Percept

RATE = 16000


def a_clip(seed: int) -> Clip:
    """A picture that flashes when the sound clicks."""
    rng = np.random.default_rng(seed)
    frame = int(rng.integers(10, 14))
    frames = np.repeat(rng.integers(0, 110, (1, 48, 48, 3), dtype=np.uint8), 24, axis=0)
    frames[frame] += 140
    audio = np.zeros((2, RATE), np.float32)
    audio[:, round(frame / 24 * RATE)] = 0.9
    return Clip(frames, Fraction(24), audio, RATE)


def lateness(direction: str = "lower", flaw: float = 1.0) -> ItemMetric:
    """Exact, or with a flaw of 0 blind to the sound's time."""

    def measure(sample: Sample) -> list[float] | Undefined:
        clip = sample.clip
        assert clip is not None
        assert clip.frames is not None
        assert clip.audio is not None
        light = clip.frames.mean(axis=(1, 2, 3))
        if not clip.audio.any() or np.ptp(light) < 1:
            return Undefined("nothing happens")
        late = np.abs(clip.audio[0]).argmax() / RATE - light.argmax() / 24
        return [1000.0 * abs(late) * flaw, 1.0]

    return ItemMetric("lateness", measure, requires=("pictures", "sound"), direction=direction)  # type: ignore[arg-type]


def loudest() -> ItemMetric:
    calls: list[str] = []

    def measure(sample: Sample) -> list[float]:
        assert sample.clip is not None
        assert sample.clip.audio is not None
        calls.append(sample.id)
        return [float(np.abs(sample.clip.audio).max()), 1.0]

    metric = ItemMetric("loudest", measure, requires=("sound",))
    metric.calls = calls  # type: ignore[attr-defined]
    return metric


def nothing(clip: Clip) -> Percept:
    return Percept(None, None)


def values_of(*metrics: ItemMetric, clips: int = 8) -> Values:
    values: Values = {}
    for n in range(clips):
        other = a_clip(n + 100)
        measure_treated(str(n), treatments(str(n), a_clip(n), other, lambda clip: clip), metrics, nothing, values)
    return values


def test_sound_is_shifted_by_whole_samples_and_never_around() -> None:
    audio = np.arange(1, 7, dtype=np.float32)[None]
    assert shifted(audio, 2).tolist() == [[0, 0, 1, 2, 3, 4]]
    assert shifted(audio, -2).tolist() == [[3, 4, 5, 6, 0, 0]]
    assert shifted(audio, 0).tolist() == audio.tolist()


def test_every_treatment_leaves_length_and_rates() -> None:
    clip = a_clip(0)
    names = []
    for name, one in treatments("0", clip, a_clip(1), None):
        names.append(name)
        assert one.clip.frames is not None
        assert one.clip.audio is not None
        assert one.clip.frames.shape == clip.frames.shape  # type: ignore[union-attr]
        assert one.clip.audio.shape == clip.audio.shape  # type: ignore[union-attr]
        assert (one.pictures == TRUTH) == np.array_equal(one.clip.frames, clip.frames)  # type: ignore[arg-type]
    assert {TRUTH, FLOOR, SILENCE, STILL, *map(shift_name, SHIFTS)} < set(names)
    assert len(set(names)) == len(names)


def test_a_measure_that_follows_the_shift_tells_it_and_a_blind_one_does_not() -> None:
    for flaw, verdict in ((1.0, "yes"), (0.0, "no")):
        metric = lateness(flaw=flaw)
        assert tells_shift(metric, values_of(metric)["lateness"]) == verdict


def test_a_measure_that_calls_shifted_sound_better_does_not_tell_it() -> None:
    metric = lateness(direction="higher")
    assert tells_shift(metric, values_of(metric)["lateness"]) == "no"


def test_few_clips_give_no_verdict() -> None:
    metric = lateness()
    assert tells_shift(metric, values_of(metric, clips=LEAST_CLIPS - 1)["lateness"]) == "too few clips"


def test_what_a_treatment_takes_away_is_a_move() -> None:
    values = values_of(lateness())["lateness"]
    verdict, change = moved(values, SILENCE)
    assert verdict == "yes"
    assert math.isnan(change)
    assert moved(values, "dark")[0] == "no"
    assert moved(values, shift_name(80))[1] == pytest.approx(80.0, abs=15.0)


def test_a_measure_may_be_fooled_by_silence() -> None:
    metric = ItemMetric("still better", lambda sample: [1.0, 1.0], requires=("pictures", "sound"))
    values = values_of(metric)["still better"]
    assert fooled(metric, values, SILENCE)
    assert not fooled(lateness(), values_of(lateness())["lateness"], SILENCE)


def test_a_measure_of_one_side_is_measured_once_for_each_state_of_it() -> None:
    metric = loudest()
    assert not is_about_synchrony(metric)
    assert is_about_synchrony(lateness())
    values_of(metric, clips=1)
    # Truth, codecs, ten shifts, three degradations, the other clip's sound, silence; not the pictures' treatments.
    assert len(metric.calls) == 2 + len(SHIFTS) + 3 + 1 + 1  # type: ignore[attr-defined]
