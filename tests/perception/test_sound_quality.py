"""Clipping, noise floor, band limit and speech against sounds built to have them."""

import numpy as np
import pytest
from scipy.signal import firwin, lfilter

from vivace.perception.band_limit import band_limit
from vivace.perception.clipping import detect_clipping
from vivace.perception.noise_floor import measure_noise_floor
from vivace.perception.quality import sound_quality
from vivace.perception.voice_activity import detect_voice
from vivace.timeline import Timeline
from vivace.world import render_audio, sample_scene, truth

RATE = 16000
TIMELINE = Timeline(frames=73)


def noise(seconds: float = 1.0, level: float = 0.1, rate: int = RATE) -> np.ndarray:
    return np.random.default_rng(0).normal(0, level, (1, round(seconds * rate)))


def sine(level: float, hertz: float = 100.0) -> np.ndarray:
    return level * np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE)[None]


@pytest.mark.parametrize("turned_down", [1.0, 0.5])
def test_clipped_samples_are_counted_also_when_turned_down(turned_down: float) -> None:
    cut = np.clip(sine(2.0), -1, 1)
    found = detect_clipping(cut * turned_down, RATE)
    # A sine of twice full scale is above it for two thirds of the time, twice a period.
    assert found.share == pytest.approx(2 / 3, abs=0.01)
    assert found.runs_per_second == pytest.approx(200, abs=2)
    assert found.full_scale == pytest.approx(2 / 3 if turned_down == 1 else 0, abs=0.01)


def test_what_is_not_clipped_is_not_called_so() -> None:
    for sound in (noise(), sine(0.9, 997.0), sine(0.9), np.zeros((2, RATE)), np.zeros((1, 0))):
        assert detect_clipping(sound, RATE).share == 0.0


@pytest.mark.parametrize("hertz", [20.0, 100.0])
@pytest.mark.parametrize("level", [0.9, 0.06])
def test_the_round_top_of_a_slow_wave_is_not_clipped(hertz: float, level: float) -> None:
    # At 48 kHz it holds several samples of the same height, more so in 16 bits.
    wave = level * np.sin(2 * np.pi * hertz * np.arange(48000) / 48000)[None]
    sixteen = np.round(wave * 32767) / 32767
    assert detect_clipping(wave, 48000).share == detect_clipping(sixteen, 48000).share == 0.0
    cut = np.clip(2.0 * wave, -level, level)
    assert detect_clipping(np.round(cut * 32767) / 32767, 48000).share == pytest.approx(2 / 3, abs=0.01)


@pytest.mark.parametrize("level", [-60.0, -40.0])
def test_the_noise_floor_under_a_beating_tone(level: float) -> None:
    beats = sine(0.5, 440.0) * (np.arange(RATE) // 2000 % 2)
    found = measure_noise_floor(beats + noise(level=10 ** (level / 20)), RATE)
    assert found.floor == pytest.approx(level, abs=1.0)
    assert found.active == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.5)
    assert measure_noise_floor(np.zeros((1, RATE)), RATE).floor == -120.0


@pytest.mark.parametrize("hertz", [3400.0, 8000.0, 16000.0])
def test_a_band_limit_is_found(hertz: float) -> None:
    wide = noise(2.0, rate=48000)
    cut = lfilter(firwin(1001, hertz, fs=48000), [1.0], wide)
    assert band_limit(cut, 48000) == pytest.approx(hertz, abs=100)


def test_a_dull_sound_has_no_band_limit() -> None:
    white = noise(2.0, rate=48000)
    assert band_limit(white, 48000) == 24000
    brown = lfilter([1.0], [1.0, -0.98], white)  # falls by 6 dB an octave
    assert band_limit(brown, 48000) == 24000
    assert band_limit(lfilter([1.0], [1.0, -0.98], brown), 48000) == 24000  # and by 12 dB
    assert band_limit(np.zeros((1, 48000)), 48000) is None


def test_speech_is_found_and_other_things_are_not() -> None:
    found = total = shared = 0.0
    for seed in range(6):
        scene = sample_scene(seed, "val", kind="talk", seconds=3.0)
        known = truth(scene, TIMELINE, 64, 64)
        assert known.talk is not None
        said = [(line.start, line.end) for line in known.talk.lines]
        spans = detect_voice(render_audio(scene, TIMELINE), RATE)
        times = np.arange(0, 3, 0.01)
        true = np.any([(times >= a) & (times < b) for a, b in said], axis=0)
        seen = np.any([(times >= s.start) & (times < s.end) for s in spans] or [times < 0], axis=0)
        found, total, shared = found + seen.sum(), total + true.sum(), shared + (seen & true).sum()
    assert shared / total > 0.8
    assert shared / found > 0.8
    # Bells, bars, rain and cars: hardly ever speech.
    false = sum(
        bool(detect_voice(render_audio(sample_scene(seed, "val", kind=kind), TIMELINE), RATE))
        for kind in (None, "ambience", "vehicle")
        for seed in range(4)
    )
    assert false <= 2
    assert detect_voice(np.zeros((2, RATE)), RATE) == []


def test_all_figures_of_any_sound() -> None:
    silent = ((np.zeros((2, 100)), 44100), (np.zeros((2, 0)), 48000))
    for sound, rate in ((noise(0.05), RATE), (noise(1.0, rate=8000), 8000), *silent):
        figures = sound_quality(sound, rate)
        assert 0 <= figures.speech <= 1
        assert figures.floor <= figures.active
