"""What is said in a clip: the words in spans parted by pauses, and each span's voice and pitch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vivace.perception.lip_sync import RATE, sounding_opening
from vivace.perception.pitch import track_pitch
from vivace.perception.spectra import SAMPLE_RATE, at_detector_rate
from vivace.perception.thresholds import Thresholds, thresholds
from vivace.perception.voices import VoiceJudge, voice_vector
from vivace.perception.words import HeardWord, WordRecogniser, hear_words

_EDGE = 0.04  # seconds around a span that belong to its voice
_LEAST = 0.1  # seconds that a voice is judged by
_AROUND, _SLOPE = 0.06, 0.04  # seconds around a span in which lips move for it, and of the slope at its ends


@dataclass(frozen=True)
class Span:
    """Words without a pause between them.

    Args:
        start, end: seconds.
        words: in order.
        starts: of each word, seconds.
        voice: the judge's vector, of length 1 (`vivace.perception.voices`).
        pitch: median fundamental in Hz; None where too little is voiced.
    """

    start: float
    end: float
    words: tuple[str, ...]
    starts: tuple[float, ...]
    voice: tuple[float, ...]
    pitch: float | None


@dataclass(frozen=True)
class Speech:
    """The spans of a clip in order of time, and how open a mouth sounds (`vivace.perception.lip_sync`)."""

    spans: tuple[Span, ...]
    opening: tuple[float, ...]

    @property
    def words(self) -> list[str]:
        return [word for span in self.spans for word in span.words]

    @property
    def opening_in_spans(self) -> tuple[float, ...]:
        """How open a mouth sounds during the spans, and 0 away from them, where other things sound too."""
        if not self.spans:
            return self.opening
        return tuple(float(value) for value in np.array(self.opening) * _within(self.spans, len(self.opening)))


def in_spans(words: list[HeardWord], gap: float) -> list[list[HeardWord]]:
    """Words in order of time, parted where the pause is longer than `gap` seconds."""
    spans: list[list[HeardWord]] = []
    for word in words:
        if spans and word.start - spans[-1][-1].end <= gap:
            spans[-1].append(word)
        else:
            spans.append([word])
    return spans


def hear_speech(
    audio: np.ndarray,
    sample_rate: int,
    settings: Thresholds | None = None,
    *,
    recogniser: WordRecogniser | None = None,
    judge: VoiceJudge | None = None,
) -> Speech:
    """Listen to what is said.

    Args:
        audio: float [C, N] or [N], any rate.
        sample_rate: Hz.
        settings: thresholds other than the frozen ones (calibration only).
        recogniser, judge: others than the shipped ones.
    """
    settings = settings or thresholds()
    sound = at_detector_rate(audio, sample_rate).mean(axis=0)
    words = hear_words(sound, SAMPLE_RATE, recogniser)
    pitch = track_pitch(sound, SAMPLE_RATE) if words else None
    spans = []
    for group in in_spans(words, settings.speech.gap):
        start, end = group[0].start, group[-1].end
        first = max(round((start - _EDGE) * SAMPLE_RATE), 0)
        last = max(round((end + _EDGE) * SAMPLE_RATE), first + round(_LEAST * SAMPLE_RATE))
        assert pitch is not None
        spans.append(
            Span(
                start,
                end,
                tuple(word.word for word in group),
                tuple(word.start for word in group),
                tuple(float(value) for value in voice_vector(sound[first:last], SAMPLE_RATE, judge)),
                pitch.median(start, end),
            )
        )
    opening = sounding_opening(sound, SAMPLE_RATE, settings.lip_sync)
    return Speech(tuple(spans), tuple(float(value) for value in opening))


def _within(spans: Sequence[Span], count: int) -> np.ndarray:
    """1 during the spans and 0 elsewhere, with short slopes, [count] at `RATE`."""
    times = np.arange(count) / RATE
    inside = [np.minimum(times - (span.start - _AROUND), span.end + _AROUND - times) for span in spans]
    weight: np.ndarray = np.clip(np.max(inside, axis=0) / _SLOPE, 0.0, 1.0)
    return weight
