"""Networks that tell the classes of AudioSet in a sound (PANNs, PaSST) or describe it window by window (VGGish)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from vivace.models import panns, passt, vggish
from vivace.models.panns import Cnn14
from vivace.models.passt import Passt
from vivace.models.vggish import VGGish
from vivace.models.wavlm import frozen
from vivace.perception.published.placing import Placed, inference
from vivace.perception.published.resampling import mono_at, peak_at
from vivace.perception.published.weights import load_strictly, read_tensors

VERSE_BENCH_PEAK = -1.0  # dBFS
VERSE_BENCH_HOP = 5 * passt.RATE


@dataclass(frozen=True)
class Classified:
    """What a classifier makes of a sound: logits [527] of its classes, and the vector [D] that they come from."""

    logits: np.ndarray
    vector: np.ndarray


class PannsClasses(Placed):
    """CNN14 for 16 kHz with its public weights.

    Args:
        path: the publisher's file. model: a network of other sizes; None for the published one.

    Raises:
        VivaceError: a file that cannot be read or of another network.
    """

    def __init__(self, path: Path, model: Cnn14 | None = None) -> None:
        network = model or Cnn14()
        load_strictly(network, read_tensors(path), panns.own_name, path)
        self.model: Any = frozen(network)

    @inference()
    def __call__(self, audio: np.ndarray, sample_rate: int) -> Classified:
        """Of a sound [C, N], all of it; below a third of a second silence is added (ours)."""
        sound = _filled(_centred(audio, sample_rate, panns.RATE), panns.SHORTEST)
        return _classified(self.model(sound[None].to(self.device)))


class PasstClasses(Placed):
    """PaSST-S (AudioSet mAP .476, weights averaged) with its public weights.

    Args:
        path: the publisher's file. model: a network of other sizes; None for the published one.

    Raises:
        VivaceError: a file that cannot be read or of another network.
    """

    def __init__(self, path: Path, model: Passt | None = None) -> None:
        network = model or Passt()
        # The second head of the distillation is of no use after it.
        load_strictly(network, read_tensors(path, drop=("head_dist.",)), str, path)
        self.model: Any = frozen(network)

    @inference()
    def __call__(self, audio: np.ndarray, sample_rate: int) -> Classified:
        """Of the first ten seconds of a sound [C, N], as av-benchmark has it."""
        return self._of(_centred(audio, sample_rate, passt.RATE))

    @inference()
    def over_windows(self, audio: np.ndarray, sample_rate: int) -> np.ndarray:
        """Logits [527] of a sound [C, N] as Verse-Bench has them: peak at -1 dBFS, mean over ten seconds every five."""
        sound = torch.from_numpy(peak_at(mono_at(audio, sample_rate, passt.RATE), VERSE_BENCH_PEAK))
        starts = range(0, max(VERSE_BENCH_HOP, len(sound) - VERSE_BENCH_HOP), VERSE_BENCH_HOP)
        return np.stack([self._of(sound[start:]).logits for start in starts]).mean(axis=0)

    def _of(self, sound: torch.Tensor) -> Classified:
        return _classified(self.model(passt.spectrogram(passt.ten_seconds(sound)[None]).to(self.device)))


class VggishVectors(Placed):
    """VGGish with its public weights.

    Args:
        path: the publisher's file. model: a network of other sizes; None for the published one.

    Raises:
        VivaceError: a file that cannot be read or of another network.
    """

    def __init__(self, path: Path, model: VGGish | None = None) -> None:
        network = model or VGGish()
        load_strictly(network, read_tensors(path), str, path)
        self.model: Any = frozen(network)

    @inference()
    def __call__(self, audio: np.ndarray, sample_rate: int) -> np.ndarray:
        """A vector for each 0.96 s of a sound [C, N], [windows, 128]; a shorter sound is filled with silence (ours)."""
        sound = _filled(_centred(audio, sample_rate, vggish.RATE), vggish.SHORTEST)
        return np.asarray(self.model(vggish.examples(sound).to(self.device)).cpu().numpy())


def _centred(audio: np.ndarray, sample_rate: int, rate: int) -> torch.Tensor:
    """Mono without its mean, as audioldm_eval and av-benchmark prepare sounds, [N']."""
    sound = torch.from_numpy(mono_at(audio, sample_rate, rate))
    return sound - sound.mean() if len(sound) else sound


def _filled(sound: torch.Tensor, length: int) -> torch.Tensor:
    return F.pad(sound, (0, max(0, length - len(sound))))


def _classified(found: tuple[torch.Tensor, torch.Tensor]) -> Classified:
    logits, vector = found
    return Classified(logits[0].cpu().numpy(), vector[0].cpu().numpy())
