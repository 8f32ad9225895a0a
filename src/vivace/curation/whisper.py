"""Words with times by a Whisper model in a local folder, run by transformers; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from vivace.conditioning.model_folder import load_model_folder

WINDOW = 30.0  # seconds that the model hears at a time
STEP = 0.02  # seconds: as finely as it tells times
# A token that begins with a space begins a word; where no spaces are written, these marks end one.
MARKS = ("，", "。", "、", "？", "！", "；", "：")


def whisper_words(folder: str, audio: np.ndarray, sample_rate: int) -> tuple[str | None, list[dict[str, Any]]]:
    """The language ("en", …; None where nothing is said), and words with their times.

    Whisper goes through sound of any length itself. Where the model says which of its heads align text and sound
    (`alignment_heads` in its generation_config.json, as the published ones do), each word has times of its own; else a
    whole stretch of speech stands for a word. Each has the mean probability of its own tokens.

    Args:
        folder: with config.json, generation_config.json, safetensors, tokenizer and preprocessor.
        audio: float [C, N].

    Raises:
        VivaceError: no such folder, or none that transformers loads.
    """
    import torch

    from vivace.perception.spectra import SAMPLE_RATE, at_detector_rate

    processor, model = _loaded(folder)
    sound = at_detector_rate(audio, sample_rate).mean(axis=0)
    seconds = len(sound) / SAMPLE_RATE
    # Longer sound than the model hears at a time is not cut off, and shorter is filled up.
    size: dict[str, Any] = {"truncation": False, "padding": "longest"} if seconds > WINDOW else {}
    inputs = processor(sound, sampling_rate=SAMPLE_RATE, return_tensors="pt", return_attention_mask=True, **size)
    features = inputs.input_features.to(model.dtype)
    with torch.inference_mode():
        made = model.generate(
            features,
            attention_mask=inputs.attention_mask,
            return_timestamps=True,
            return_segments=True,
            return_token_timestamps=bool(getattr(model.generation_config, "alignment_heads", None)),
            return_dict_in_generate=True,
            output_scores=True,
            do_sample=False,
            num_beams=1,
        )
        many = getattr(model.generation_config, "is_multilingual", True)
        first = features[..., : model.config.max_source_positions * 2]
        spoken = model.detect_language(first) if many else None
    found = [word for segment in made["segments"][0] for word in _words(segment, processor.tokenizer, seconds)]
    if not found:
        return None, []
    return "en" if spoken is None else processor.tokenizer.decode(spoken).strip("<|> "), found


def _words(segment: dict[str, Any], tokenizer: Any, seconds: float) -> Iterator[dict[str, Any]]:
    """The words of a stretch of speech, within it and the sound's `seconds`."""
    begin, end = (min(float(segment[name]), seconds) for name in ("start", "end"))
    if end <= begin:
        return
    tokens, times, chances = segment["tokens"].tolist(), segment.get("token_timestamps"), _chances(segment)
    texts = [tokenizer.decode([token], skip_special_tokens=True) for token in tokens]
    edges = [0, len(tokens)] if times is None else _edges(texts)
    for first, last in pairwise(edges):
        text = tokenizer.decode(tokens[first:last], skip_special_tokens=True).strip()
        if not text:
            continue
        start, stop = begin, end
        if times is not None:
            # A word ends where the next begins. An alignment may leave it no time, or one outside its stretch.
            start = max(begin, min(float(times[first]), end - STEP))
            stop = min(end, max(float(times[last]) if last < len(tokens) else end, start + STEP))
        sure = [chances[n] for n in range(first, last) if texts[n]]
        yield {"word": text, "start": start, "end": stop, "confidence": float(np.mean(sure))}


def _edges(texts: list[str]) -> list[int]:
    """Places of the tokens with which words begin, and behind the last. texts: of the tokens; empty: a mark of time."""
    inner = range(1, len(texts))
    begins = (
        not texts[n] or not texts[n - 1] or texts[n].startswith(" ") or texts[n - 1].endswith(MARKS) for n in inner
    )
    return [0, *(n for n, begin in zip(inner, begins, strict=True) if begin), len(texts)]


def _chances(segment: dict[str, Any]) -> list[float]:
    """The probability of each token of a segment, which `idxs` places in the window's whole sequence."""
    window = segment["result"]
    tokens, scores = window["sequences"], window["scores"]
    prompt = len(tokens) - len(scores)
    return [float(scores[n - prompt].float().softmax(-1)[tokens[n]]) for n in range(*map(int, segment["idxs"]))]


@lru_cache(maxsize=1)
def _loaded(folder: str) -> tuple[Any, Any]:
    from transformers import WhisperForConditionalGeneration, WhisperProcessor

    return load_model_folder(
        folder,
        WhisperProcessor,
        WhisperForConditionalGeneration,
        "Whisper model",
        "one of transformers' with its tokenizer and preprocessor",
    )
