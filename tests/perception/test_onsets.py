import numpy as np
import pytest

from vivace.perception.onsets import detect_onsets

RATE = 16000


def ringing(
    times: list[float], x: float = 0.0, decay: float = 6.0, seconds: float = 2.0, rate: int = RATE
) -> np.ndarray:
    """Bell-like partials with a short contact noise at each time, panned with constant power. [2, N]"""
    rng = np.random.default_rng(3)
    sound = np.zeros((2, round(seconds * rate)))
    angle = (1 + 0.92 * x) * np.pi / 4
    for number, time in enumerate(times):
        start = int(np.ceil(time * rate))
        t = np.arange(sound.shape[1] - start) / rate
        tone = sum(np.sin(2 * np.pi * 700 * ratio * t) * np.exp(-decay * ratio * t) for ratio in (1, 2.1, 2.76, 3.9))
        strike = (tone + 0.4 * rng.normal(size=len(t)) * np.exp(-t / 0.003)) * 0.8**number * np.minimum(1, t / 0.001)
        sound[:, start:] += np.stack([np.cos(angle) * strike, np.sin(angle) * strike])
    return (0.7 * sound / np.abs(sound).max()).astype(np.float32)


@pytest.mark.parametrize("decay", [2.0, 12.0, 60.0])
def test_events_a_tenth_of_a_second_apart_are_found_to_two_milliseconds(decay: float) -> None:
    times = [0.2, 0.32, 0.75, 1.1, 1.7]
    onsets = detect_onsets(ringing(times, decay=decay), RATE)
    assert [onset.time for onset in onsets] == pytest.approx(times, abs=0.003)


@pytest.mark.parametrize("x", [-0.9, -0.3, 0.0, 0.6])
def test_side_is_that_of_the_event(x: float) -> None:
    onset = detect_onsets(ringing([0.5], x), RATE)[0]
    assert onset.pan == pytest.approx(x, abs=0.02)


def test_each_event_has_its_own_side_over_a_ringing_tail() -> None:
    both = ringing([0.3], -0.7, decay=2.0) + 0.5 * ringing([0.9], 0.7, decay=2.0)
    assert [onset.pan for onset in detect_onsets(both, RATE)] == pytest.approx([-0.7, 0.7], abs=0.25)


def test_rate_channels_and_gain_do_not_matter() -> None:
    times = [0.25, 0.9, 1.4]
    for sound, rate in (
        (ringing(times, rate=48000), 48000),
        (ringing(times, rate=44100), 44100),
        (ringing(times)[:1], RATE),
        (0.01 * ringing(times), RATE),
    ):
        assert [onset.time for onset in detect_onsets(sound, rate)] == pytest.approx(times, abs=0.003)


def test_silence_and_steady_tones_have_no_events() -> None:
    assert detect_onsets(np.zeros((2, RATE), dtype=np.float32), RATE) == []
    t = np.arange(2 * RATE) / RATE
    steady = np.sin(2 * np.pi * 440 * t) * np.minimum(1, t / 0.5)
    assert detect_onsets(np.stack([steady, steady]).astype(np.float32), RATE) == []


def test_a_ring_cut_by_the_end_is_no_event() -> None:
    assert len(detect_onsets(ringing([0.5], decay=0.5, seconds=1.003), RATE)) == 1


def test_level_tells_how_much_sound_was_added() -> None:
    loud = detect_onsets(ringing([0.5]), RATE)[0]
    soft = detect_onsets(0.1 * ringing([0.5]), RATE)[0]
    assert loud.level - soft.level == pytest.approx(20.0, abs=0.1)
