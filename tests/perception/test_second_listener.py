"""PocketSphinx as a second listener: the same law for every sound, and one sentence where it is not installed."""

import sys

import numpy as np
import pytest

from vivace.errors import VivaceError
from vivace.perception.second_listener import SecondListener, why_not
from vivace.world.phones import WORDS
from vivace.world.speech import SPEECH_RATE, speak
from vivace.world.voices import Voice

VOICE = Voice(pitch=110.0, tract=0.95, breath=0.1, rate=0.9, vibrato=0.0, brightness=0.0, melody=0.8)


def test_without_the_package_one_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    assert "pip install" in str(why_not())
    with pytest.raises(VivaceError, match="pip install") as caught:
        SecondListener()
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def listener() -> SecondListener:
    pytest.importorskip("pocketsphinx", reason="the second listener is an optional package")
    return SecondListener()


def test_it_hears_as_many_words_as_it_is_told_and_most_of_them(listener: SecondListener) -> None:
    right = 0
    for words in (("yellow",), ("silver", "goodbye"), ("seven", "orange")):
        sound = speak(words, VOICE, 1, SPEECH_RATE).sound
        heard = listener.hear(sound, SPEECH_RATE, len(words))
        assert len(heard) == len(words)
        right += sum(a == b for a, b in zip(words, heard, strict=True))
    assert right >= 3


def test_loudness_channels_and_what_came_before_do_not_matter(listener: SecondListener) -> None:
    sound = speak(("yellow",), VOICE, 1, SPEECH_RATE).sound
    once = listener.hear(sound, SPEECH_RATE, 1)
    assert once
    assert set(once) <= set(WORDS)
    listener.hear(speak(("silver", "goodbye"), VOICE, 2, SPEECH_RATE).sound, SPEECH_RATE, 2)
    assert listener.hear(np.stack((sound, sound)) * 0.1, SPEECH_RATE, 1) == once


def test_silence_says_nothing_and_no_number_of_words_is_refused(listener: SecondListener) -> None:
    assert listener.hear(np.zeros((2, 16000), np.float32), 16000) == []
    with pytest.raises(VivaceError, match="number of words"):
        listener.hear(np.ones(16000, np.float32), 16000, 0)


def test_phones_that_it_does_not_know_are_refused(listener: SecondListener) -> None:
    with pytest.raises(VivaceError, match="CMU"):
        SecondListener({"hello": ("QQ", "XX")})
