"""Whisper: what is said in a clip, by transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from vivace.errors import VivaceError
from vivace.perception.published.placing import Placed, inference
from vivace.perception.published.resampling import mono_at_by_fourier
from vivace.perception.published.weights import load_transformers

RATE = 16000
WINDOW = 30 * RATE


class Whisper(Placed):
    """The network with the weights of a transformers folder.

    Args:
        path: folder with model and processor.

    Raises:
        VivaceError: a folder that cannot be read or of another network.
    """

    def __init__(self, path: Path) -> None:
        from transformers import WhisperForConditionalGeneration, WhisperProcessor

        self.model: Any = load_transformers(WhisperForConditionalGeneration, path)
        try:
            self.processor = WhisperProcessor.from_pretrained(path, local_files_only=True)
        except Exception as error:
            raise VivaceError(f"Folder {str(path)!r} lacks Whisper's processor; give the whole folder.") from error
        self.multilingual = bool(getattr(self.model.generation_config, "is_multilingual", False))

    @inference()
    def __call__(self, audio: np.ndarray, sample_rate: int, language: str | None = "english") -> str:
        """The text of a sound [C, N], by windows of 30 seconds; greedy decoding.

        Args:
            audio, sample_rate: the sound.
            language: that is forced, such as "english" or "chinese"; None lets the model tell.

        Raises:
            VivaceError: another language than English is asked of a model that knows no other.
        """
        if not self.multilingual and language not in (None, "english"):
            raise VivaceError(f"These Whisper weights know English alone, not {language}; name multilingual ones.")
        # A model for English alone takes neither task nor language.
        settings = {"task": "transcribe"} if self.multilingual else {}
        if self.multilingual and language:
            settings["language"] = language
        sound = mono_at_by_fourier(audio, sample_rate, RATE)
        said = []
        for start in range(0, len(sound), WINDOW):
            part = sound[start : start + WINDOW]
            heard = self.processor(part, sampling_rate=RATE, return_tensors="pt").input_features
            tokens = self.model.generate(heard.to(self.device), do_sample=False, num_beams=1, **settings)
            said.append(str(self.processor.batch_decode(tokens, skip_special_tokens=True)[0]).strip())
        return " ".join(text for text in said if text)
