"""CLAP: sound and text to vectors of length 1, by transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from vivace.errors import VivaceError
from vivace.perception.published.placing import Placed, inference
from vivace.perception.published.resampling import mono_at, peak_at
from vivace.perception.published.weights import load_transformers

RATE = 48000
PEAK = -1.0  # dBFS, as Verse-Bench prepares sounds
SEED = 0


class Clap(Placed):
    """The network with the weights of a transformers folder.

    Args:
        path: folder with model, feature extractor and tokenizer.

    Raises:
        VivaceError: a folder that cannot be read or of another network.
    """

    def __init__(self, path: Path) -> None:
        from transformers import AutoTokenizer, ClapFeatureExtractor, ClapModel

        self.model: Any = load_transformers(ClapModel, path)
        try:
            self.extractor = ClapFeatureExtractor.from_pretrained(path, local_files_only=True)
            self.tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
        except Exception as error:
            raise VivaceError(
                f"Folder {str(path)!r} lacks CLAP's extractor or tokenizer; give the whole folder."
            ) from error

    @inference()
    def of_sound(self, audio: np.ndarray, sample_rate: int) -> np.ndarray:
        """Vector [D] of a sound [C, N].

        Of a sound longer than ten seconds the extractor picks parts by chance; its dice are the same each time.
        """
        sound = peak_at(mono_at(audio, sample_rate, RATE), PEAK)
        # transformers draws from NumPy's global state, which is put back.
        state = np.random.get_state()  # noqa: NPY002
        np.random.seed(SEED)  # noqa: NPY002
        try:
            inputs = self.extractor(sound, sampling_rate=RATE, return_tensors="pt")
        finally:
            np.random.set_state(state)  # noqa: NPY002
        return _vector(self.model.get_audio_features(**inputs.to(self.device)))

    @inference()
    def of_text(self, text: str) -> np.ndarray:
        """Vector [D] of a text."""
        inputs = self.tokenizer([text], padding=True, truncation=True, return_tensors="pt")
        given = {name: inputs[name].to(self.device) for name in ("input_ids", "attention_mask")}
        return _vector(self.model.get_text_features(**given))


def _vector(output: Any) -> np.ndarray:
    tensor = output if isinstance(output, torch.Tensor) else output.pooler_output
    vector = tensor[0].float().cpu().numpy()
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12))
