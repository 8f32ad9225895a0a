from collections import Counter

import numpy as np
import pytest

from vivace.errors import VivaceError
from vivace.evaluation.words import word_errors
from vivace.perception.words import (
    FRAME,
    align,
    align_words,
    decode,
    hear_words,
    shipped_recogniser,
    word_features,
)
from vivace.training.recogniser import wordless_sounds
from vivace.training.utterances import SpeechSource, speech
from vivace.world.phones import WORDS

NAMES = ("two", "blue")


def table(classes: list[int], sure: float = 0.9) -> np.ndarray:
    """Log-probabilities of frames of the given classes, 0 for no word."""
    rest = (1 - sure) / len(NAMES)
    return np.log(np.where(np.arange(len(NAMES) + 1) == np.array(classes)[:, None], sure, rest))


def test_runs_become_words_with_their_times() -> None:
    heard = decode(table([0, 0, 1, 1, 1, 1, 0, 2, 2, 2, 0, 2, 2, 2, 2]), NAMES)
    assert [word.word for word in heard] == ["two", "blue", "blue"]
    assert (heard[0].start, heard[0].end) == pytest.approx((1.5 * FRAME, 5.5 * FRAME))
    assert heard[0].confidence == pytest.approx(0.9)


def test_known_words_are_placed_where_they_are_likeliest() -> None:
    frames = table([0, 0, 1, 1, 1, 1, 0, 2, 2, 2, 1, 1, 1, 0])
    assert [(begin, end) for begin, end, _ in align(frames, [1, 2, 1])] == [(2, 6), (7, 10), (10, 13)]
    # A word that is not there gets the least room, and little confidence.
    (_, _, sure), (begin, end, unsure) = align(frames[:7], [1, 2])
    assert end - begin == 3
    assert sure > 0.5 > unsure
    assert align(frames, []) == []
    assert align(frames[:5], [1, 2]) == []  # three frames for each at least


def test_alignment_needs_no_louder_word_than_the_best_path_of_all() -> None:
    """The path found is the best of all that are allowed, tried one by one."""
    rng = np.random.default_rng(5)
    for _ in range(20):
        scores = np.log(rng.dirichlet(np.ones(3), 9))
        best = max(
            (
                scores[:a, 0].sum()
                + scores[a:b, 1].sum()
                + scores[b:c, 0].sum()
                + scores[c:d, 2].sum()
                + scores[d:, 0].sum(),
                (a, b),
                (c, d),
            )
            for a in range(7)
            for b in range(a + 3, 7)
            for c in range(b, 7)
            for d in range(c + 3, 10)
        )
        assert [(begin, end) for begin, end, _ in align(scores, [1, 2])] == list(best[1:])


def test_short_and_unsure_runs_are_none() -> None:
    assert decode(table([0, 1, 1, 0, 2, 0]), NAMES) == []
    assert decode(table([1, 1, 1, 1], sure=0.45), NAMES) == []
    assert decode(np.zeros((0, 3)), NAMES) == []


def test_features_are_finite_for_silence_and_follow_the_sound() -> None:
    assert np.isfinite(word_features(np.zeros(1600))).all()
    assert word_features(np.zeros(16000), 24).shape == (101, 24)
    quiet, loud = (word_features(level * np.sin(np.arange(8000) / 5)) for level in (0.01, 0.1))
    assert np.mean(loud - quiet) > 0


def test_the_shipped_recogniser_understands_every_word_of_voices_that_it_never_heard() -> None:
    errors = count = 0
    offsets: list[float] = []
    spoken: Counter[str] = Counter()
    understood: Counter[str] = Counter()
    for said in speech(SpeechSource(voices=50, utterances=5, split="test", seed=77)):
        heard = hear_words(said.sound, 16000)
        errors += word_errors([w.word for w in said.words], [w.word for w in heard])
        count += len(said.words)
        spoken.update(w.word for w in said.words)
        understood.update(Counter(w.word for w in said.words) & Counter(w.word for w in heard))
        if len(heard) == len(said.words):
            offsets += [abs(a.start - b.start) for a, b in zip(said.words, heard, strict=True)]
    assert errors / count <= 0.05
    assert np.mean(offsets) < 0.05
    assert set(spoken) == set(WORDS)
    assert [word for word, times in spoken.items() if understood[word] < 0.6 * times] == []


def test_words_that_are_known_are_placed_within_a_syllable() -> None:
    offsets: list[float] = []
    for said in speech(SpeechSource(voices=10, utterances=3, split="test", seed=79)):
        placed = align_words(said.sound, 16000, [word.word for word in said.words])
        offsets += [abs(a.start - b.start) for a, b in zip(said.words, placed, strict=True)]
    assert np.mean(offsets) < 0.025


def test_words_that_cannot_be_placed_are_told() -> None:
    with pytest.raises(VivaceError, match="'perhaps' is not one that the recogniser knows"):
        align_words(np.zeros(16000), 16000, ["perhaps"])
    with pytest.raises(VivaceError, match=r"0\.05 s is too short for 2 words"):
        align_words(np.zeros(800), 16000, ["two", "blue"])


def test_the_shipped_recogniser_hears_no_words_where_there_are_none() -> None:
    rng = np.random.default_rng(3)
    sounds = [*wordless_sounds(24, "test", 2.0), np.zeros(16000), rng.normal(0, 0.1, 32000)]
    assert sum(bool(hear_words(sound, 16000)) for sound in sounds) <= 1


def test_rate_and_channels_do_not_matter_to_the_shipped_recogniser() -> None:
    from scipy.signal import resample_poly

    for said in speech(SpeechSource(voices=2, utterances=3, split="test", seed=78)):
        high = resample_poly(said.sound, 3, 1)
        words = [word.word for word in hear_words(said.sound, 16000)]
        assert [word.word for word in hear_words(np.stack((high, high)), 48000)] == words
    assert len(shipped_recogniser().config.words) >= 40
