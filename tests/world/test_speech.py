"""Laws of the world's voices: exact times, the pitch that was asked for, sounds that can be told apart."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from vivace.errors import VivaceError
from vivace.world.articulation import movements, utterance
from vivace.world.phones import PHONES, WORDS
from vivace.world.speech import SPEECH_RATE, Spoken, speak
from vivace.world.speech_splits import pair_split, voice_split
from vivace.world.voices import PERSONS, Voice, draw_voice

PLAIN = Voice(pitch=110.0, tract=1.0, breath=0.0, rate=1.0, vibrato=0.0, brightness=0.3, melody=0.5)


def _pitch(sound: np.ndarray) -> float:
    """Median fundamental in Hz by normalised autocorrelation of 60 ms windows."""
    window, found = 960, []
    lags = np.arange(SPEECH_RATE // 380, SPEECH_RATE // 70)
    for start in range(0, len(sound) - 2 * window, 240):
        piece = sound[start : start + 2 * window]
        first = piece[:window]
        if np.sqrt(np.mean(first**2)) < 0.06:
            continue
        later = np.lib.stride_tricks.sliding_window_view(piece, window)[lags]
        likeness = later @ first / np.sqrt((later**2).sum(axis=1) * (first**2).sum() + 1e-9)
        peaks = np.flatnonzero((likeness[1:-1] >= likeness[:-2]) & (likeness[1:-1] >= likeness[2:])) + 1
        peaks = peaks[likeness[peaks] > max(0.92 * likeness.max(), 0.7)]
        if len(peaks):
            k = peaks[0]
            bend = likeness[k - 1] - 2 * likeness[k] + likeness[k + 1]
            found.append(SPEECH_RATE / (lags[k] + (likeness[k - 1] - likeness[k + 1]) / (2 * bend)))
    return float(np.median(found))


def _stretch(spoken: Spoken, start: float, end: float) -> np.ndarray:
    first, last = (round((time - spoken.start) * SPEECH_RATE) for time in (start, end))
    return spoken.sound[first:last]


def _bands(sound: np.ndarray) -> np.ndarray:
    """Log power in 20 bands of the Bark kind, without the level."""
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 4096)) ** 2
    edges = np.round(np.geomspace(200, 7500, 21) * 4096 / SPEECH_RATE).astype(int)
    log = np.log(np.add.reduceat(power, edges[:-1]) + 1e-6)
    return np.asarray(log - log.mean())


def test_vocabulary_is_large_and_spelled_in_known_phones() -> None:
    assert len(WORDS) >= 40
    assert all(name in PHONES for spelling in WORDS.values() for name in spelling)
    assert len(set(WORDS.values())) == len(WORDS)
    assert all(any(PHONES[name].vowel for name in spelling) for spelling in WORDS.values())


def test_the_same_arguments_give_the_same_sound() -> None:
    first, second = speak(("two", "blue"), PLAIN, 7), speak(("two", "blue"), PLAIN, 7)
    assert np.array_equal(first.sound, second.sound)
    other = speak(("two", "blue"), PLAIN, 8)
    assert other.utterance == first.utterance
    assert not np.array_equal(other.sound, first.sound)


@pytest.mark.parametrize("person", PERSONS)
def test_phones_fill_their_words_and_words_the_utterance(person: str) -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        words = tuple(rng.choice(list(WORDS), 3))
        spoken = utterance(words, draw_voice(rng, person))
        assert tuple(timed.word for timed in spoken.words) == words
        assert spoken.words[0].start == 0
        assert spoken.words[-1].end == spoken.seconds
        for number, word in enumerate(spoken.words):
            phones = [phone for phone in spoken.phones if phone.word == number]
            assert tuple(phone.phone for phone in phones) == WORDS[word.word]
            assert phones[0].start == word.start
            assert phones[-1].end == word.end
            assert all(a.end == b.start for a, b in pairwise(phones))
            assert all(phone.end > phone.start for phone in phones)


def test_sound_begins_and_ends_with_the_words() -> None:
    rng = np.random.default_rng(5)
    for number in range(12):
        voice = draw_voice(rng, list(PERSONS)[number % 3])
        spoken = speak(tuple(rng.choice(list(WORDS), 2)), voice, number)
        assert len(spoken.sound) / SPEECH_RATE == pytest.approx(spoken.utterance.seconds - 2 * spoken.start, abs=0.003)
        loud = np.flatnonzero(np.abs(spoken.sound) > 0.05 * np.abs(spoken.sound).max()) / SPEECH_RATE + spoken.start
        # A stop's closure is silent, so a word may be heard a little later than it starts.
        assert -0.02 <= loud[0] <= 0.09
        assert -0.09 <= loud[-1] - spoken.utterance.seconds <= 0.03


def test_no_click_at_the_edges() -> None:
    rng = np.random.default_rng(6)
    for number in range(12):
        spoken = speak((str(rng.choice(list(WORDS))),), draw_voice(rng, "woman"), number)
        edge = np.concatenate([spoken.sound[:160], spoken.sound[-160:]])
        assert np.abs(edge).max() < 0.01 * np.abs(spoken.sound).max()
        assert np.abs(spoken.sound).max() < 1


def test_pitch_is_the_voices_own() -> None:
    rng = np.random.default_rng(0)
    for number in range(12):
        voice = draw_voice(rng, list(PERSONS)[number % 3])
        heard = _pitch(speak(("yellow", "morning", "again"), voice, number).sound)
        assert abs(12 * np.log2(heard / voice.pitch)) < 0.5


def test_formants_scale_with_the_tract() -> None:
    spoken = utterance(("three",), PLAIN)
    long, short = (
        movements(spoken, Voice(PLAIN.pitch, tract, 0.0, 1.0, 0.0, 0.0, 1.0)).formants for tract in (0.85, 1.25)
    )
    assert np.allclose(short / long, 1.25 / 0.85)


def test_every_vowel_is_nearest_to_itself_in_another_voice() -> None:
    vowels = {"IY": "please", "EH": "ten", "AA": "stop", "AO": "four", "UW": "two", "AE": "black", "ER": "turn"}

    def spectra(voice: Voice, seed: int) -> dict[str, np.ndarray]:
        found = {}
        for vowel, word in vowels.items():
            spoken = speak((word,), voice, seed)
            phone = next(phone for phone in spoken.utterance.phones if phone.phone == vowel)
            quarter = (phone.end - phone.start) / 4
            found[vowel] = _bands(_stretch(spoken, phone.start + quarter, phone.end - quarter))
        return found

    known = spectra(PLAIN, 0)
    heard = spectra(Voice(125.0, 1.04, 0.1, 1.1, 0.1, 0.2, 0.8), 1)
    for vowel, bands in heard.items():
        assert min(known, key=lambda name: float(np.linalg.norm(known[name] - bands))) == vowel


def test_hiss_is_high_and_vowels_are_low() -> None:
    spoken = speak(("six",), PLAIN, 0)
    hiss, vowel = spoken.utterance.phones[0], spoken.utterance.phones[1]

    def centre(start: float, end: float) -> float:
        sound = _stretch(spoken, start, end)
        power = np.abs(np.fft.rfft(sound)) ** 2
        return float((power * np.fft.rfftfreq(len(sound), 1 / SPEECH_RATE)).sum() / power.sum())

    assert centre(hiss.start, hiss.end) > 5000
    assert centre(vowel.start, vowel.end) < 1000


def test_lips_close_for_labials_and_follow_loudness() -> None:
    rng = np.random.default_rng(2)
    agreement = []
    for number in range(12):
        voice = draw_voice(rng, list(PERSONS)[number % 3])
        spoken = speak(tuple(rng.choice(list(WORDS), 3)), voice, number)
        moved = spoken.movements
        times = np.arange(0, spoken.utterance.seconds, 1 / 24) - spoken.start
        envelope = np.sqrt(np.convolve(spoken.sound**2, np.hanning(960) / 480, "same"))
        heard = np.interp(times, np.arange(len(envelope)) / SPEECH_RATE, envelope)
        seen = np.interp(times, np.arange(len(moved.opening)) / 1000, moved.opening)
        agreement.append(np.corrcoef(heard, seen)[0, 1])
        assert moved.opening.min() >= 0
        assert moved.opening.max() <= 1
    assert np.mean(agreement) > 0.84
    spoken = speak(("maybe",), PLAIN, 0)
    closure = next(phone for phone in spoken.utterance.phones if phone.phone == "B")
    at = round((closure.start + 0.02 - spoken.movements.start) * 1000)
    assert spoken.movements.opening[at] < 0.12
    assert spoken.movements.opening.max() > 0.4


def test_another_rate_holds_the_same_sound() -> None:
    low, high = speak(("go",), PLAIN, 0), speak(("go",), PLAIN, 0, rate=48000)
    assert abs(len(high.sound) - 3 * len(low.sound)) <= 3
    assert np.corrcoef(high.sound[::3][: len(low.sound)], low.sound)[0, 1] > 0.99


def test_unknown_words_are_refused() -> None:
    with pytest.raises(VivaceError, match="'xyzzy' is not in the world's vocabulary"):
        speak(("two", "xyzzy"), PLAIN, 0)
    with pytest.raises(VivaceError, match="no words"):
        speak((), PLAIN, 0)


def test_every_pair_and_voice_has_one_owner() -> None:
    words = list(WORDS)
    owners = {split: {(a, b) for a in words for b in words if pair_split(a, b) == split} for split in SHARES}
    for split, share in SHARES.items():
        assert len(owners[split]) / len(words) ** 2 == pytest.approx(share, abs=0.03)
    for position in (0, 1):
        assert {pair[position] for pair in owners["train"]} == set(words)
    rng = np.random.default_rng(1)
    drawn = [draw_voice(rng, person) for person in PERSONS for _ in range(400)]
    held = [voice_split(voice) for voice in drawn]
    assert {"train", "val", "test", None} == set(held)
    assert held.count("train") > 0.6 * len(held)
    # Every held-out voice keeps a distance from every voice of training.
    places = np.array([(12 * np.log2(voice.pitch / 80) / 2, voice.tract / 0.04) for voice in drawn])
    known = places[[owner == "train" for owner in held]]
    for place, owner in zip(places, held, strict=True):
        if owner in ("val", "test"):
            assert np.abs(known - place).max(axis=1).min() >= 1 / 7 - 1e-9


SHARES = {"train": 10 / 12, "val": 1 / 12, "test": 1 / 12}
