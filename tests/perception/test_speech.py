"""Spans of speech, on heard words and with small untrained networks."""

import numpy as np
import torch

from vivace.perception.lip_sync import RATE
from vivace.perception.speech import Span, Speech, hear_speech, in_spans
from vivace.perception.voices import VoiceJudge
from vivace.perception.words import HeardWord, WordRecogniser


def word(name: str, start: float, end: float) -> HeardWord:
    return HeardWord(name, start, end, 0.9)


def test_words_with_a_pause_between_them_are_two_spans() -> None:
    words = [word("two", 0.1, 0.3), word("blue", 0.35, 0.6), word("stop", 0.8, 1.0)]
    assert [[w.word for w in group] for group in in_spans(words, 0.11)] == [["two", "blue"], ["stop"]]
    assert in_spans([], 0.11) == []


def test_every_span_has_a_voice_and_silence_has_no_span() -> None:
    torch.manual_seed(0)
    recogniser = WordRecogniser(("two", "blue"), width=8, dilations=(1,)).eval()
    # A recogniser that hears "two" all the time.
    torch.nn.init.zeros_(recogniser.leave.weight)
    recogniser.leave.bias.data = torch.tensor([0.0, 5.0, 0.0])
    judge = VoiceJudge(width=4, dim=6).eval()
    sound = np.sign(np.sin(2 * np.pi * 150 * np.arange(16000) / 16000)).astype(np.float32) * 0.3
    speech = hear_speech(sound, 16000, recogniser=recogniser, judge=judge)
    assert speech.words == ["two"]
    span = speech.spans[0]
    assert abs(np.linalg.norm(span.voice) - 1) < 1e-4
    assert span.pitch is not None
    assert abs(span.pitch - 150) < 3
    assert len(speech.opening) == RATE + 1
    recogniser.leave.bias.data = torch.tensor([5.0, 0.0, 0.0])
    assert hear_speech(sound, 16000, recogniser=recogniser, judge=judge).spans == ()


def test_away_from_its_spans_no_mouth_sounds_open() -> None:
    span = Span(0.3, 0.5, ("two",), (0.3,), (1.0,), None)
    speech = Speech((span,), (1.0,) * (RATE + 1))
    assert speech.opening_in_spans[40] == 1
    assert speech.opening_in_spans[10] == speech.opening_in_spans[70] == 0
    assert Speech((), speech.opening).opening_in_spans == speech.opening
