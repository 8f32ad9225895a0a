"""Voices to vectors by published speaker encoders; their similarities are not comparable with each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from vivace.errors import VivaceError
from vivace.models.speaker_ecapa import EcapaSpeakerEncoder, own_name
from vivace.models.wavlm import frozen
from vivace.perception.published.placing import Placed, inference
from vivace.perception.published.resampling import mono_at
from vivace.perception.published.weights import load_strictly, load_transformers, read_tensors

RATE = 16000


class WavlmSpeaker(Placed):
    """WavLM with an x-vector head (wavlm-base-plus-sv), by transformers.

    Args:
        path: transformers folder.
    """

    def __init__(self, path: Path) -> None:
        from transformers import AutoFeatureExtractor, WavLMForXVector

        self.model: Any = load_transformers(WavLMForXVector, path)
        try:
            self.extractor = AutoFeatureExtractor.from_pretrained(path, local_files_only=True)
        except Exception as error:
            raise VivaceError(f"Folder {str(path)!r} lacks the feature extractor; give the whole folder.") from error

    @inference()
    def __call__(self, audio: np.ndarray, sample_rate: int) -> np.ndarray:
        """Vector [D] of length 1 of a sound [C, N]."""
        inputs = self.extractor(mono_at(audio, sample_rate, RATE), sampling_rate=RATE, return_tensors="pt")
        return _unit(self.model(inputs.input_values.to(self.device)).embeddings[0])


class SeedTtsSpeaker(Placed):
    """WavLM Large with ECAPA-TDNN, the encoder of Seed-TTS's SIM.

    Args:
        path: the publisher's file. model: a network of other sizes; None for the published one.

    Raises:
        VivaceError: a file that cannot be read or of another network.
    """

    def __init__(self, path: Path, model: EcapaSpeakerEncoder | None = None) -> None:
        network = model or EcapaSpeakerEncoder()
        # The head that it was trained with is in the file and not in the encoder.
        load_strictly(network, read_tensors(path, drop=("loss_calculator.",)), own_name, path)
        self.model: Any = frozen(network)

    @inference()
    def __call__(self, audio: np.ndarray, sample_rate: int) -> np.ndarray:
        """Vector [D] of length 1 of a sound [C, N], all of it."""
        sound = torch.from_numpy(mono_at(audio, sample_rate, RATE))
        return _unit(self.model(sound[None].to(self.device))[0])


def _unit(vector: torch.Tensor) -> np.ndarray:
    return np.asarray(torch.nn.functional.normalize(vector.float(), dim=-1).cpu().numpy())
