"""Speech metrics on findings made by hand: what right, wrong, missing and added words, voices and mouths are worth."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from vivace.evaluation.metric import Sample
from vivace.evaluation.speech import aligned, assigned, speech_metrics
from vivace.perception.lip_sync import RATE
from vivace.perception.lips import Mouth
from vivace.perception.percept import Heard, Percept, Seen, percept_from_json, percept_to_json
from vivace.perception.speech import Span, Speech

FPS = 24.0
PROMPT = "a man in red says <S>two blue<E>, then a woman answers <S>stop<E>"
EXPECTED = {
    "kind": "talk",
    "people": 2,
    "spans": [{"words": "two blue", "speaker": 0}, {"words": "stop", "speaker": 1}],
}
ANNA, BEN = (1.0, 0.0), (0.0, 1.0)
REFS: dict[str, Any] = {"voices": [ANNA, BEN], "strangers": [BEN, ANNA], "pitches": [110.0, 220.0], "lines": [0.2, 1.2]}


def span(words: str, start: float, voice: tuple[float, ...], pitch: float | None = 110.0) -> Span:
    names = tuple(words.split())
    starts = tuple(start + 0.3 * n for n in range(len(names)))
    return Span(start, starts[-1] + 0.25, names, starts, voice, pitch)


RIGHT = (span("two blue", 0.2, ANNA), span("stop", 1.2, BEN, 220.0))


def opening(spans: tuple[Span, ...], rate: float, count: int) -> np.ndarray:
    times = np.arange(count) / rate
    return np.sum([np.exp(-(((times - (s.start + s.end) / 2) / 0.3 / (s.end - s.start)) ** 2)) for s in spans], axis=0)


def percept(spans: tuple[Span, ...], speakers: tuple[int, ...] = (0, 1)) -> Percept:
    """Two mouths, of which that of each span's speaker moves during it."""
    moved = [
        opening(tuple(s for s, speaker in zip(RIGHT, speakers, strict=True) if speaker == n), FPS, 49)
        if n in speakers
        else np.zeros(49)
        for n in range(2)
    ]
    mouths = tuple(Mouth(x, 0.2, 0.2, tuple(values)) for x, values in zip((-0.5, 0.5), moved, strict=True))
    speech = Speech(spans, tuple(opening(RIGHT, RATE, 205)))
    return Percept(Seen((), (), False, None, FPS, mouths), Heard((), (), None, speech))


def scores(found: Percept, refs: dict[str, Any] = REFS, prompt: str = PROMPT) -> dict[str, float | None]:
    metrics = speech_metrics()
    for metric in metrics:
        metric.update(Sample(id="0", prompt=prompt, expected=EXPECTED, refs=refs, seen=found))
    return {metric.name: metric.compute().value for metric in metrics}


def test_what_is_right_reaches_the_best_value_also_after_storing() -> None:
    for found in (percept(RIGHT), percept_from_json(percept_to_json(percept(RIGHT)))):
        value = scores(found)
        assert value["word_error_rate"] == 0
        for name in ("exact_phrase", "nothing_else_said", "spans_apart", "people_seen", "who_speaks", "voice_own_wins"):
            assert value[name] == 1, name
        assert value["voice_own"] == value["voice_own_1_word"] == value["voice_own_2_words"] == pytest.approx(1)
        assert value["voice_own_3_words"] is None
        assert value["voice_other"] == pytest.approx(0)
        assert value["pitch_error"] == pytest.approx(0)
        assert value["span_start_error"] == pytest.approx(0, abs=0.1)
        assert value["lip_correlation"] is not None
        assert value["lip_correlation"] > 0.98
        assert value["lip_lag_abs"] is not None
        assert value["lip_lag_abs"] < 3


def test_wrong_missing_and_added_words_are_errors() -> None:
    wrong = (span("two green", 0.2, ANNA), RIGHT[1])
    assert scores(percept(wrong))["word_error_rate"] == pytest.approx(1 / 3)
    assert scores(percept(wrong))["exact_phrase"] == 0.5
    assert scores(percept(()))["word_error_rate"] == 1
    assert scores(percept(()))["exact_phrase"] == 0
    added = (span("two blue blue", 0.2, ANNA), RIGHT[1])
    assert scores(percept(added))["word_error_rate"] == pytest.approx(1 / 3)
    assert scores(percept(added))["exact_phrase"] == 0.5


def test_a_word_from_outside_the_spans_is_told_from_another_error() -> None:
    assert scores(percept((span("two red blue", 0.2, ANNA), RIGHT[1])))["nothing_else_said"] == 0
    assert scores(percept((span("two green blue", 0.2, ANNA), RIGHT[1])))["nothing_else_said"] == 1
    assert scores(percept(RIGHT), prompt="somebody says <S>two blue<E> <S>stop<E>")["nothing_else_said"] is None


def test_the_wrong_mouth_the_wrong_voice_and_the_wrong_pitch_are_noticed() -> None:
    assert scores(percept(RIGHT, speakers=(1, 0)))["who_speaks"] == 0
    assert scores(percept(RIGHT, speakers=(0, 0)))["who_speaks"] == 0.5
    exchanged = (replace(RIGHT[0], voice=BEN), replace(RIGHT[1], voice=ANNA))
    assert scores(percept(exchanged))["voice_own_wins"] == 0
    assert scores(percept(exchanged))["voice_own"] == pytest.approx(0)
    assert scores(percept(exchanged))["voice_own_over_other"] == pytest.approx(-1)
    higher = tuple(replace(s, pitch=s.pitch * 2 ** (1 / 12)) for s in RIGHT if s.pitch)
    assert scores(percept(higher))["pitch_error"] == pytest.approx(1)


def test_spans_run_together_are_not_apart() -> None:
    joined = (span("two blue stop", 0.2, ANNA),)
    assert scores(percept(joined))["spans_apart"] == 0
    assert scores(percept(joined))["exact_phrase"] == 1


def test_speech_without_a_moving_mouth_goes_with_nothing() -> None:
    found = percept(RIGHT)
    assert found.video is not None
    still = replace(found.video, mouths=tuple(Mouth(x, 0.2, 0.2, (0.0,) * 49) for x in (-0.5, 0.5)))
    value = scores(Percept(still, found.audio))
    assert value["lip_correlation"] == 0
    assert value["lip_lag"] is None
    nobody = scores(Percept(replace(found.video, mouths=()), found.audio))
    assert nobody["who_speaks"] == 0
    assert nobody["people_seen"] == 0


def test_what_was_not_looked_for_or_given_is_undefined() -> None:
    plain = scores(Percept(Seen((), (), False, None), Heard((), (), None)))
    assert set(plain.values()) == {None}
    assert scores(percept(RIGHT), refs={})["voice_own"] is None


def test_alignment_gives_every_heard_word_a_place() -> None:
    assert aligned(["a", "b", "c"], ["a", "c"]) == [0, 2]
    assert aligned(["a", "b"], ["a", "x", "b"]) == [0, 0, 1]
    assert aligned(["a", "b"], ["x", "a", "b"]) == [0, 0, 1]
    assert aligned(["a"], []) == []
    found = assigned([("two", "blue"), ("stop",)], Speech((span("two", 0.2, ANNA), span("stop", 1.0, BEN)), ()))
    assert [part.heard for part in found] == [("two",), ("stop",)]
    assert [part.first for part in found] == [0.2, 1.0]
