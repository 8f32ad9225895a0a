"""WER, CER and cpCER by each published rule; rates checked against jiwer 4.0's."""

import pytest

from vivace.errors import VivaceError
from vivace.evaluation.transcripts import (
    characters,
    cp_error_rate,
    error_rate,
    mean_rate,
    plain_words,
    pooled_rate,
    seed_tts_words,
    verse_bench_words,
)


def test_rates_as_jiwer_counts_them() -> None:
    # Each value is what jiwer.wer gives for the pair.
    pairs = {
        ("the cat sat on the mat", "the cat sat on mat"): 1 / 6,
        ("the cat sat on the mat", "a cat sat on the the mat"): 2 / 6,
        ("one two", "three four five"): 3 / 2,
        ("one two", ""): 1.0,
        ("a b c d", "b c d a"): 2 / 4,
    }
    for (said, heard), rate in pairs.items():
        assert error_rate(said.split(), heard.split()) == pytest.approx(rate)
    assert error_rate([], ["word"]) == 1.0


def test_the_mean_of_rates_is_not_the_pooled_rate() -> None:
    long = list("abcdefgh")
    pairs = [(["yes", "please"], ["yes", "plays"]), (long, long)]
    assert mean_rate(pairs) == pytest.approx(0.25)
    assert pooled_rate(pairs) == pytest.approx(0.10)
    with pytest.raises(VivaceError, match="No reference"):
        pooled_rate([([], ["x"])])


def test_seed_tts_keeps_apostrophes_and_numbers() -> None:
    assert seed_tts_words("Don't - stop, it's 50!") == ["don't", "stop", "it's", "50"]
    assert seed_tts_words("“你好”，世界。", chinese=True) == list("你好世界")
    assert error_rate(seed_tts_words("fifty"), seed_tts_words("50")) == 1.0


def test_verse_bench_keeps_punctuation() -> None:
    assert verse_bench_words(" Hello, World. ") == ["hello,", "world."]
    assert error_rate(verse_bench_words("Hello, world"), verse_bench_words("hello world")) == 0.5
    assert error_rate(plain_words("Hello, world"), plain_words("hello world")) == 0.0
    assert plain_words("说hello吧") == ["说", "hello", "吧"]


def test_characters() -> None:
    assert characters("Ab, c!") == ["a", "b", "c"]


def test_cp_cer_matches_the_speakers() -> None:
    said = ["hello there", "good bye"]
    assert cp_error_rate(said, ["goodbye", "hello there"]) == 0.0
    # One character of seventeen is wrong, whoever is named first.
    assert cp_error_rate(said, ["good bya", "hello there"]) == pytest.approx(1 / 17)
    # All in one voice: the seven characters of the other are inserted there and missing here.
    assert cp_error_rate(said, ["hello there good bye"]) == pytest.approx(14 / 17)
    assert cp_error_rate(said, []) == 1.0
    with pytest.raises(VivaceError, match="No speaker"):
        cp_error_rate([""], ["a"])
