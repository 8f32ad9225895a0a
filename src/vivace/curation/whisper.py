"""Words with times by a Whisper model in a local folder, run by transformers; nothing is downloaded."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from vivace.conditioning.model_folder import load_model_folder

WINDOW = 30.0  # seconds that the model hears at a time


def whisper_segments(folder: str, audio: np.ndarray, sample_rate: int) -> tuple[str | None, list[dict[str, Any]]]:
    """The language ("en", …; None where nothing is said), and stretches of speech with their text and times.

    Whisper goes through sound of any length itself. Each stretch has the mean probability of its own tokens.

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
            return_dict_in_generate=True,
            output_scores=True,
            do_sample=False,
            num_beams=1,
        )
        many = getattr(model.generation_config, "is_multilingual", True)
        first = features[..., : model.config.max_source_positions * 2]
        spoken = model.detect_language(first) if many else None
    found = []
    for segment in made["segments"][0]:
        text = processor.tokenizer.decode(segment["tokens"], skip_special_tokens=True).strip()
        start, end = (min(float(segment[name]), seconds) for name in ("start", "end"))
        if text and end > start:
            found.append({"word": text, "start": start, "end": end, "confidence": _confidence(segment)})
    if not found:
        return None, []
    return "en" if spoken is None else processor.tokenizer.decode(spoken).strip("<|> "), found


def _confidence(segment: dict[str, Any]) -> float:
    """Mean probability of the tokens of a segment, which `idxs` places in the window's whole sequence."""
    window = segment["result"]
    tokens, scores = window["sequences"], window["scores"]
    prompt = len(tokens) - len(scores)
    first, last = (max(int(place), prompt) for place in segment["idxs"])
    chances = [float(scores[n - prompt].float().softmax(-1)[tokens[n]]) for n in range(first, last)]
    return float(np.mean(chances)) if chances else 0.0


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
