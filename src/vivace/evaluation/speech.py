"""Is said what was asked for: the words, by whom, in which voice, with which lips. All from blind detections.

Words are counted against the spans that the prompt states. Voices are compared by an independent judge with the
references that conditioned the clip (`refs`: "voices" and "strangers", a judge's vector for each span; "pitches" in Hz;
"lines", the true start of each span in seconds, where the given side or a true clip fixes it).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from vivace.evaluation.metric import ItemMetric, Sample, Undefined
from vivace.evaluation.words import word_errors
from vivace.perception.lip_sync import LipSync, lip_sync, speaking
from vivace.perception.speech import Span, Speech
from vivace.world import WORDS

Outcome = list[float] | Undefined
_MOST_WORDS = 3  # of a span of the world


@dataclass(frozen=True)
class Assigned:
    """What was heard of a stated span.

    Args:
        said: its words.
        heard: the words that stand for it, in order.
        span: the heard span that holds most of them; None where nothing was heard of it.
        first: seconds at which the first of them begins.
    """

    said: tuple[str, ...]
    heard: tuple[str, ...]
    span: Span | None
    first: float | None


def stated_spans(sample: Sample) -> list[tuple[str, ...]]:
    """The words of each span that the prompt states."""
    return [tuple(span["words"].split()) for span in sample.expected["spans"]]


def aligned(said: Sequence[str], heard: Sequence[str]) -> list[int]:
    """For each heard word the index of the said word that it stands for, on a path of least errors.

    An inserted word stands for the said word before it (the first one's insertions for the first).
    """
    cost = np.zeros((len(said) + 1, len(heard) + 1), dtype=int)
    cost[:, 0], cost[0] = np.arange(len(said) + 1), np.arange(len(heard) + 1)
    for i, true in enumerate(said, 1):
        for j, word in enumerate(heard, 1):
            cost[i, j] = min(cost[i - 1, j] + 1, cost[i, j - 1] + 1, cost[i - 1, j - 1] + (true != word))
    i, j = len(said), len(heard)
    places = [0] * len(heard)
    while j:
        if i and cost[i, j] == cost[i - 1, j - 1] + (said[i - 1] != heard[j - 1]):
            i, j = i - 1, j - 1
            places[j] = i
        elif i and cost[i, j] == cost[i - 1, j] + 1:
            i -= 1
        else:
            j -= 1
            places[j] = max(i - 1, 0)
    return places


def assigned(said: Sequence[tuple[str, ...]], speech: Speech) -> list[Assigned]:
    """What was heard of each stated span; every heard word belongs to one of them."""
    owner = [number for number, words in enumerate(said) for _ in words]
    places = aligned([word for words in said for word in words], speech.words)
    source = [number for number, span in enumerate(speech.spans) for _ in span.words]
    begins = [start for span in speech.spans for start in span.starts]
    found = []
    for number, words in enumerate(said):
        mine = [k for k, place in enumerate(places) if owner[place] == number]
        sources = [source[k] for k in mine]
        span = speech.spans[max(set(sources), key=sources.count)] if sources else None
        heard = tuple(speech.words[k] for k in mine)
        found.append(Assigned(words, heard, span, begins[mine[0]] if mine else None))
    return found


def _speech(sample: Sample) -> Speech | Undefined:
    return sample.hears.speech or Undefined("speech was not listened for")


def _spans(measure: Callable[[Sample, list[Assigned]], Outcome]) -> Callable[[Sample], Outcome]:
    """A measure of what was heard of each stated span."""

    def measured(sample: Sample) -> Outcome:
        speech = _speech(sample)
        return speech if isinstance(speech, Undefined) else measure(sample, assigned(stated_spans(sample), speech))

    return measured


def _word_errors(sample: Sample) -> Outcome:
    speech = _speech(sample)
    if isinstance(speech, Undefined):
        return speech
    said = [word for words in stated_spans(sample) for word in words]
    return [float(word_errors(said, speech.words)), float(len(said))]


def _exact(sample: Sample, spans: list[Assigned]) -> Outcome:
    return [float(sum(span.said == span.heard for span in spans)), float(len(spans))]


def _nothing_else(sample: Sample) -> Outcome:
    speech = _speech(sample)
    if isinstance(speech, Undefined):
        return speech
    around = set(re.findall(r"[a-z]+", re.sub(r"<S>.*?<E>", " ", sample.prompt).lower())) & set(WORDS)
    said = {word for words in stated_spans(sample) for word in words}
    if not around - said:
        return Undefined("the prompt has no word of the vocabulary beside its spans")
    return [float(not (around - said) & set(speech.words)), 1.0]


def _spans_apart(sample: Sample, spans: list[Assigned]) -> Outcome:
    if len(spans) < 2:
        return Undefined("the prompt has one span")
    found = [span.span for span in spans]
    separate = all(a is not None and b is not None and a.end <= b.start for a, b in pairwise(found))
    return [float(separate), 1.0]


def _start_errors(sample: Sample, spans: list[Assigned]) -> Outcome:
    lines = sample.refs.get("lines")
    if lines is None:
        return Undefined("nothing fixes when the spans begin")
    errors = [
        1000.0 * abs(span.first - start) for span, start in zip(spans, lines, strict=True) if span.first is not None
    ]
    return errors or Undefined("no span was heard")


def _sync(sample: Sample) -> LipSync | Undefined | None:
    speech = _speech(sample)
    if isinstance(speech, Undefined):
        return speech
    if sample.sees.mouths is None or sample.sees.rate is None:
        return Undefined("mouths were not looked for")
    # Beside an effect, what sounds away from the words is no mouth's.
    opening = speech.opening_in_spans if sample.expected.get("effect") else speech.opening
    return lip_sync(sample.sees.mouths, opening, sample.sees.rate)


def _lip_correlation(sample: Sample) -> Outcome:
    found = _sync(sample)
    if isinstance(found, Undefined):
        return found
    # Speech without a moving mouth, or lips without speech, go together as little as chance.
    return [0.0 if found is None else found.correlation, 1.0]


def _lip_lag(absolute: bool) -> Callable[[Sample], Outcome]:
    def measure(sample: Sample) -> Outcome:
        found = _sync(sample)
        if isinstance(found, Undefined):
            return found
        if found is None:
            return Undefined("no mouth moves or nothing sounds")
        return [1000.0 * (abs(found.lag) if absolute else found.lag)]

    return measure


def _people(sample: Sample) -> Outcome:
    mouths = sample.sees.mouths
    return (
        Undefined("mouths were not looked for")
        if mouths is None
        else [float(len(mouths) == sample.expected["people"]), 1.0]
    )


def _who_speaks(sample: Sample, spans: list[Assigned]) -> Outcome:
    mouths, rate = sample.sees.mouths, sample.sees.rate
    if sample.expected["people"] < 2:
        return Undefined("one person is asked for")
    if mouths is None or rate is None:
        return Undefined("mouths were not looked for")
    right = 0
    for span, stated in zip(spans, sample.expected["spans"], strict=True):
        if span.span is not None and len(mouths) == sample.expected["people"]:
            right += speaking(mouths, span.span.start, span.span.end, rate) == stated["speaker"]
    return [float(right), float(len(spans))]


def _similarity(name: str, length: int | None = None) -> Callable[[Sample, list[Assigned]], Outcome]:
    """Mean similarity of the spans (of those with `length` words) to the references of this name."""

    def measure(sample: Sample, spans: list[Assigned]) -> Outcome:
        references = sample.refs.get(name)
        if references is None:
            return Undefined("no voice was given")
        pairs = [
            float(np.dot(span.span.voice, reference))
            for span, reference in zip(spans, references, strict=True)
            if span.span is not None and length in (None, len(span.said))
        ]
        return [sum(pairs), float(len(pairs))] if pairs else Undefined("no such span was heard")

    return measure


def _own_over_other(sample: Sample, spans: list[Assigned]) -> Outcome:
    own, other = _similarity("voices")(sample, spans), _similarity("strangers")(sample, spans)
    if isinstance(own, Undefined) or isinstance(other, Undefined):
        return own if isinstance(own, Undefined) else other
    return [own[0] - other[0], own[1]]


def _own_wins(sample: Sample, spans: list[Assigned]) -> Outcome:
    own, other = sample.refs.get("voices"), sample.refs.get("strangers")
    if own is None or other is None:
        return Undefined("no voice was given")
    won = [
        bool(np.dot(span.span.voice, a) > np.dot(span.span.voice, b))
        for span, a, b in zip(spans, own, other, strict=True)
        if span.span is not None
    ]
    # A span that is not heard has no voice at all.
    return [float(sum(won)), float(len(spans))]


def _pitch_errors(sample: Sample, spans: list[Assigned]) -> Outcome:
    pitches = sample.refs.get("pitches")
    if pitches is None:
        return Undefined("no voice was given")
    errors = [
        abs(12.0 * float(np.log2(span.span.pitch / pitch)))
        for span, pitch in zip(spans, pitches, strict=True)
        if span.span is not None and span.span.pitch is not None
    ]
    return errors or Undefined("no voiced span was heard")


def speech_metrics() -> list[ItemMetric]:
    """Fresh instances of every speech metric.

    `word_error_rate` pools all words; `exact_phrase` is the share of spans with the very words; `nothing_else_said`
    that of clips which say no word of the prompt from outside its spans; `spans_apart` that of clips whose spans follow
    each other without overlap. `lip_correlation` is that of how open the mouths look and how open a mouth sounds, at no
    lag; `lip_lag` how late the sound is. `who_speaks` is the share of spans during which the right one of two mouths
    moves. `voice_own`, `voice_other` are similarities to the own reference and to another's, `voice_own_over_other` the
    former minus the latter, `voice_own_wins` the share of spans that are nearer to their own.
    """
    sound, both = ("audio", "expected:spans"), ("video", "audio", "expected:spans")

    def share(name: str, measure: Callable[[Sample], Outcome], requires: Sequence[str] = sound) -> ItemMetric:
        return ItemMetric(name, measure, requires=requires)

    def median(
        name: str, measure: Callable[[Sample], Outcome], unit: str, requires: Sequence[str] = sound
    ) -> ItemMetric:
        return ItemMetric(name, measure, requires=requires, statistic="median", unit=unit, direction="lower")

    by_length = [
        share(f"voice_own_{n}_word{'s' if n > 1 else ''}", _spans(_similarity("voices", n)))
        for n in range(1, _MOST_WORDS + 1)
    ]
    return [
        ItemMetric("word_error_rate", _word_errors, requires=sound, direction="lower"),
        share("exact_phrase", _spans(_exact)),
        share("nothing_else_said", _nothing_else),
        share("spans_apart", _spans(_spans_apart)),
        median("span_start_error", _spans(_start_errors), "ms"),
        share("lip_correlation", _lip_correlation, both),
        ItemMetric("lip_lag", _lip_lag(False), requires=both, statistic="median", unit="ms", direction="none"),
        median("lip_lag_abs", _lip_lag(True), "ms", both),
        share("people_seen", _people, ("video", "expected:people")),
        share("who_speaks", _spans(_who_speaks), both),
        share("voice_own", _spans(_similarity("voices"))),
        *by_length,
        ItemMetric("voice_other", _spans(_similarity("strangers")), requires=sound, direction="lower"),
        share("voice_own_over_other", _spans(_own_over_other)),
        share("voice_own_wins", _spans(_own_wins)),
        median("pitch_error", _spans(_pitch_errors), "semitones"),
    ]
