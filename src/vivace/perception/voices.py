"""Who speaks: an independent judge of voices, which conditions no generator.

It shares neither front end nor architecture nor objective with the speaker encoder: cepstra and the fundamental, read
by a recurrent network that was trained to tell apart a fixed set of the world's voices. Weights in `weights/voices`,
made by the training unit "voice-judge".
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from scipy.fft import dct
from torch import Tensor, nn

from vivace.perception.pitch import track_pitch
from vivace.perception.spectra import SAMPLE_RATE, at_detector_rate, mel_power

HOP = 160  # 10 ms, the pitch track's
BANDS = 40
CEPSTRA = 24
FEATURES = CEPSTRA + 2
_FLOOR_DB = -50.0  # below the sound's loudest frame and band


class VoiceJudge(ModelMixin, ConfigMixin):
    """Features of a stretch of speech to a voice vector of length 1.

    Args:
        width: of the recurrent layers; dim: of the vector.
    """

    @register_to_config
    def __init__(self, width: int = 96, dim: int = 64) -> None:
        super().__init__()
        self.read = nn.GRU(FEATURES, width, num_layers=2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * width, dim)

    def forward(self, features: Tensor) -> Tensor:
        """features [B, T, FEATURES] of `voice_features` -> [B, dim]"""
        states, _ = self.read(features)
        # The last feature but one says whether a frame is voiced: consonants and pauses tell little of a voice.
        weight = 0.1 + features[..., -2:-1]
        pooled = (weight * states).sum(1) / weight.sum(1)
        return nn.functional.normalize(self.head(pooled), dim=-1)


def voice_features(sound: np.ndarray) -> np.ndarray:
    """Cepstra without loudness, voicing, and the fundamental in octaves from 150 Hz, float32 [T, FEATURES].

    Args:
        sound: mono [N] at 16 kHz.
    """
    power = mel_power(sound[None], hop=HOP, window=400, bands=BANDS)[0]
    loud = np.log(np.maximum(power, power.max(initial=1e-12) * 10 ** (_FLOOR_DB / 10)))
    cepstra = dct(loud, axis=1, norm="ortho")[:, 1 : CEPSTRA + 1] / 4.0
    track = track_pitch(sound, SAMPLE_RATE)
    frames = min(len(cepstra), len(track.hz))
    hz = track.hz[:frames]
    voiced = np.isfinite(hz)
    octaves = np.where(voiced, np.log2(np.where(voiced, hz, 150.0) / 150.0), 0.0)
    return np.column_stack((cepstra[:frames], voiced, 2.0 * octaves)).astype(np.float32)


@lru_cache(maxsize=1)
def shipped_judge() -> VoiceJudge:
    """The judge in the package, in float32."""
    folder = Path(str(files("vivace.perception"))) / "weights" / "voices"
    model: VoiceJudge = VoiceJudge.from_pretrained(folder, torch_dtype=torch.float32)
    return model.eval().requires_grad_(False)


def voice_vector(audio: np.ndarray, sample_rate: int, judge: VoiceJudge | None = None) -> np.ndarray:
    """The judge's vector of a stretch of speech, [dim] of length 1; two of them multiply to their similarity.

    Args:
        audio: float [C, N] or [N], any rate, with one voice in it.
        judge: another than the shipped one.
    """
    model = shipped_judge() if judge is None else judge
    features = voice_features(at_detector_rate(audio, sample_rate).mean(axis=0))
    with torch.inference_mode():
        vector: np.ndarray = model(torch.from_numpy(features)[None])[0].numpy()
    return vector
