"""Loudness against the recommendation's own table and the values that EBU Tech 3341 states for its test signals."""

import numpy as np
import pytest

from vivace.perception.loudness import k_filters, measure_loudness


def sine(level: float, seconds: float, rate: int = 48000, hertz: float = 1000.0) -> np.ndarray:
    """A stereo sine with its peak at `level` dBFS."""
    wave = 10 ** (level / 20) * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return np.stack([wave, wave])


def test_the_filters_are_those_of_the_table_at_48_khz() -> None:
    (shelf_b, shelf_a), (cut_b, cut_a) = k_filters(48000)
    assert shelf_b == pytest.approx([1.53512485958697, -2.69169618940638, 1.19839281085285], abs=1e-9)
    assert shelf_a == pytest.approx([1.0, -1.69065929318241, 0.73248077421585], abs=1e-9)
    assert cut_b == pytest.approx([1.0, -2.0, 1.0])
    assert cut_a == pytest.approx([1.0, -1.99004745483398, 0.99007225036621], abs=1e-9)


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
def test_a_full_scale_sine_in_one_channel_reads_minus_3_01(rate: int) -> None:
    mono = sine(0.0, 2.0, rate, 997.0)[:1]
    assert measure_loudness(mono, rate).integrated == pytest.approx(-3.01, abs=0.06)


@pytest.mark.parametrize("level", [-23.0, -33.0])
def test_ebu_3341_cases_1_and_2(level: float) -> None:
    assert measure_loudness(sine(level, 5.0), 48000).integrated == pytest.approx(level, abs=0.1)


def test_ebu_3341_case_3_the_relative_gate_leaves_out_what_is_13_lu_softer() -> None:
    # Stated for 10, 60 and 10 s: the loudness of the loud part alone.
    sound = np.concatenate([sine(-36.0, 4.0, 16000), sine(-23.0, 24.0, 16000), sine(-36.0, 4.0, 16000)], axis=1)
    assert measure_loudness(sound, 16000).integrated == pytest.approx(-23.0, abs=0.1)


def test_ebu_3341_case_4_the_absolute_gate_leaves_out_near_silence() -> None:
    levels = {-72.0: 4.0, -36.0: 4.0, -23.0: 24.0}
    parts = [sine(level, seconds, 16000) for level, seconds in (*levels.items(), (-36.0, 4.0), (-72.0, 4.0))]
    assert measure_loudness(np.concatenate(parts, axis=1), 16000).integrated == pytest.approx(-23.0, abs=0.1)


def test_silence_and_short_sounds() -> None:
    silent = measure_loudness(np.zeros((2, 48000)), 48000)
    assert (silent.integrated, silent.loudest, silent.true_peak) == (None, None, -120.0)
    assert measure_loudness(np.zeros((2, 0)), 48000).integrated is None
    assert measure_loudness(sine(-23.0, 0.2), 48000).integrated == pytest.approx(-23.0, abs=0.5)


def test_true_peak_sees_between_the_samples() -> None:
    # A sine of a quarter of the rate whose samples all lie at 45 degrees: they read 3.01 dB too low.
    count = np.arange(4800)
    sound = np.sin(2 * np.pi * count / 4 + np.pi / 4)[None]
    ramp = np.minimum(1.0, np.minimum(count, count[::-1]) / 480)
    assert 20 * np.log10(np.abs(sound).max()) == pytest.approx(-3.01, abs=0.01)
    assert measure_loudness(sound * ramp, 48000).true_peak == pytest.approx(0.0, abs=0.2)


def test_ten_second_stretches_change_nothing() -> None:
    # A low tone at its top where the stretches meet: cut off there, a filter would ring beyond it.
    count = np.arange(8000 * 21)
    ends = np.minimum(1.0, np.minimum(count, count[::-1]) / 800)
    sound = (0.5 * np.cos(2 * np.pi * 50 * count / 8000) * ends)[None]
    assert measure_loudness(sound, 8000).true_peak == pytest.approx(20 * np.log10(0.5), abs=0.01)
    burst = np.zeros((1, 8000 * 11))
    burst[0, 80000 - 40 : 80000 + 40] = np.random.default_rng(0).normal(0, 0.1, 80)
    alone = burst[:, 79000:81000]
    assert measure_loudness(burst, 8000).true_peak == pytest.approx(measure_loudness(alone, 8000).true_peak, abs=1e-6)
