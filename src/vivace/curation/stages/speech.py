"""Speech: where somebody speaks, in which language, which words when, and how surely."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field, model_validator

from vivace.curation.clip import Clip, Rejected
from vivace.curation.stage import Bound, StageSettings
from vivace.curation.stated_speech import stated_sentences


class SpeechSettings(StageSettings):
    """Bounds: unsure_words, of clips in which words were recognised."""

    DEFAULT_BOUNDS: ClassVar = {"unsure_words": Bound(column="speech.confidence", least=0.6)}
    FOLDERS: ClassVar = frozenset({"recogniser"})

    recogniser: str = Field(
        default="world",
        description="'spans' finds speech without words and needs no weights; 'world' is the shipped recogniser of the "
        "world's few words; else the folder of a Whisper model of transformers",
    )
    pause: float = Field(default=0.35, gt=0, description="seconds of silence that part two sentences")

    @model_validator(mode="after")
    def _recogniser_is_known(self) -> SpeechSettings:
        if self.recogniser not in ("spans", "world") and not Path(self.recogniser).is_dir():
            raise ValueError(
                f"recogniser {self.recogniser!r} is neither 'spans', 'world' nor a folder; name one of them"
            )
        return self


class Speech:
    """Sentences with times, as the input states them or else as they are heard; words and their confidence where a
    recogniser gives them."""

    name: ClassVar[str] = "speech"
    version: ClassVar[int] = 2
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: SpeechSettings) -> None:
        self.settings = settings

    def measure(self, clip: Clip) -> Clip | Rejected:
        material = clip.material()
        if material.audio is None:
            return Rejected("no_sound")
        language: str | None = None
        words: list[dict[str, Any]] = []
        sentences: list[dict[str, Any]]
        stated = stated_sentences(clip, float(material.seconds))
        match self.settings.recogniser:
            case _ if stated is not None:
                sentences = stated
            case "spans":
                from vivace.perception.voice_activity import detect_voice

                spans = detect_voice(material.audio, material.sample_rate)
                sentences = [{"start": span.start, "end": span.end, "text": None} for span in spans]
            case "world":
                words = _world_words(material.audio, material.sample_rate)
                language = "en" if words else None
                sentences = sentences_of(words, self.settings.pause)
            case folder:
                language, words = _whisper_words(folder, material.audio, material.sample_rate)
                sentences = sentences_of(words, self.settings.pause)
        sure = [word["confidence"] for word in words if word["confidence"] is not None]
        return clip.with_columns(
            self.name,
            sentences=[_rounded(sentence) for sentence in sentences],
            words=[_rounded(word) for word in words],
            language=language,
            confidence=round(float(np.mean(sure)), 4) if sure else None,
            share=round(sum(s["end"] - s["start"] for s in sentences) / float(material.seconds), 4),
        )


def sentences_of(words: list[dict[str, Any]], pause: float) -> list[dict[str, Any]]:
    """Words in order of time, parted by pauses and by punctuation that ends a sentence."""
    found: list[dict[str, Any]] = []
    for word in words:
        ended = bool(found) and str(found[-1]["text"]).rstrip().endswith((".", "?", "!", "。", "？", "！"))
        if found and not ended and word["start"] - found[-1]["end"] <= pause:
            found[-1] = {**found[-1], "end": word["end"], "text": f"{found[-1]['text']} {word['word']}"}
        else:
            found.append({"start": word["start"], "end": word["end"], "text": word["word"]})
    return found


def _world_words(audio: np.ndarray, sample_rate: int) -> list[dict[str, Any]]:
    from vivace.perception.words import hear_words

    return [
        {"word": word.word, "start": word.start, "end": word.end, "confidence": word.confidence}
        for word in hear_words(audio, sample_rate)
    ]


def _whisper_words(folder: str, audio: np.ndarray, sample_rate: int) -> tuple[str | None, list[dict[str, Any]]]:
    """What a Whisper model hears where somebody speaks at all: of other sounds it makes words up."""
    from vivace.curation.whisper import whisper_words
    from vivace.perception.voice_activity import detect_voice

    return whisper_words(folder, audio, sample_rate) if detect_voice(audio, sample_rate) else (None, [])


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {key: round(float(v), 4) if isinstance(v, (float, np.floating)) else v for key, v in values.items()}
