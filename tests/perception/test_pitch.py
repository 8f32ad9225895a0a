import numpy as np
import pytest

from vivace.perception.pitch import track_pitch


def tone(hz: np.ndarray | float, seconds: float = 0.6, rate: int = 16000) -> np.ndarray:
    """Twelve harmonics, falling by 6 dB an octave; hz a number or a value for each sample."""
    count = int(seconds * rate)
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(hz, count)) / rate
    return sum(np.sin(k * phase) / k for k in range(1, 13)) * 0.2


@pytest.mark.parametrize("rate", [16000, 44100])
@pytest.mark.parametrize("hz", [75.0, 80.0, 123.4, 200.0, 300.0, 395.0])
def test_steady_tones_are_found_within_a_twentieth_of_a_semitone(hz: float, rate: int) -> None:
    track = track_pitch(tone(hz, rate=rate), rate)
    assert 12 * abs(np.log2(track.median() / hz)) < 0.05
    assert np.isfinite(track.hz[5:-5]).all()


def test_a_glide_is_followed_without_jumps_of_an_octave() -> None:
    hz = 100 * 2 ** np.linspace(0, 1.5, 16000)
    track = track_pitch(tone(hz, 1.0), 16000)
    true = np.interp(track.times, np.arange(16000) / 16000, hz)
    error = 12 * np.abs(np.log2(track.hz / true))[5:-5]
    assert np.nanmax(error) < 0.3
    assert np.isfinite(error).mean() > 0.98


def test_noise_and_silence_have_no_pitch() -> None:
    rng = np.random.default_rng(0)
    assert np.isfinite(track_pitch(rng.normal(0, 0.1, (2, 16000)), 16000).hz).mean() < 0.05
    assert track_pitch(np.zeros(16000), 16000).median() is None
    assert track_pitch(np.zeros(1), 16000).median() is None


def test_only_the_voiced_part_counts() -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.02, 8000)
    track = track_pitch(np.concatenate((noise, tone(150.0, 0.5), noise)), 16000)
    voiced = track.times[np.isfinite(track.hz)]
    assert voiced.min() == pytest.approx(0.5, abs=0.03)
    assert voiced.max() == pytest.approx(1.0, abs=0.03)
    assert track.median(0.0, 0.4) is None
    assert track.median(0.5, 1.0) == pytest.approx(150.0, rel=0.003)


def test_loudness_does_not_matter() -> None:
    sound = tone(140.0)
    np.testing.assert_allclose(track_pitch(0.001 * sound, 16000).hz, track_pitch(sound, 16000).hz, rtol=1e-3)


def test_true_speech_of_the_world() -> None:
    from vivace.world.articulation import TRACK_RATE
    from vivace.world.speech import speak
    from vivace.world.voices import draw_voice

    rng = np.random.default_rng(0)
    errors, found = [], []
    for person in ("man", "woman", "child"):
        for _ in range(3):
            voice = draw_voice(rng, person)
            spoken = speak(("seven", "purple", "welcome"), voice, 0)
            track = track_pitch(spoken.sound, 16000)
            moved = spoken.movements
            at = np.clip((track.times * TRACK_RATE).round().astype(int), 0, len(moved.voicing) - 1)
            voiced = moved.voicing[at] > 0.3
            found.append(np.isfinite(track.hz[voiced]).mean())
            true = voice.pitch * 2 ** (moved.semitones[at] / 12)
            errors.append(12 * np.abs(np.log2(track.hz / true))[voiced & np.isfinite(track.hz)])
    assert np.mean(found) > 0.95
    assert np.median(np.concatenate(errors)) < 0.15
    assert (np.concatenate(errors) < 1).mean() > 0.98
