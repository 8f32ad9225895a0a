"""Networks that say how good single pictures are, MUSIQ and MANIQA, both as they are trained on KonIQ-10k."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from vivace.errors import VivaceError
from vivace.models import maniqa
from vivace.models.maniqa import SIDE, Maniqa
from vivace.models.musiq import Musiq, Patches, patches
from vivace.models.wavlm import frozen
from vivace.perception.published.placing import Placed, inference
from vivace.perception.published.weights import load_strictly, read_tensors

CROPS, SEED = 20, 0


class MusiqScores(Placed):
    """MUSIQ with its public weights.

    Args:
        path: the publisher's file. model: a network of other sizes; None for the published one.

    Raises:
        VivaceError: a file that cannot be read or of another network.
    """

    def __init__(self, path: Path, model: Musiq | None = None) -> None:
        network = model or Musiq()
        load_strictly(network, read_tensors(path), str, path)
        self.model: Any = frozen(network)

    @inference()
    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Scores [T], 0 to 100, of pictures uint8 [T, H, W, 3]."""
        return np.array([float(self.model(self._placed(patches(_colours(frame))))) for frame in frames])

    def _placed(self, parts: Patches) -> Patches:
        return Patches(*(tensor.to(self.device) for tensor in parts))


class ManiqaScores(Placed):
    """MANIQA with its public weights.

    Args:
        path: the publisher's file. model: a network of other sizes; None for the published one.

    Raises:
        VivaceError: a file that cannot be read or of another network.
    """

    def __init__(self, path: Path, model: Maniqa | None = None) -> None:
        network = model or Maniqa()
        tensors = {name: tensor for name, tensor in read_tensors(path).items() if not maniqa.dropped(name)}
        load_strictly(network, tensors, str, path)
        self.model: Any = frozen(network)

    @inference()
    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Scores [T], about 0 to 1, of pictures uint8 [T, H, W, 3]: the mean over 20 crops of 224 x 224.

        Where the crops lie is drawn anew for each picture, as published, but of a seed (ours), so that the same
        pictures have the same score.

        Raises:
            VivaceError: pictures smaller than a crop.
        """
        if min(frames.shape[1:3]) < SIDE:
            size = f"{frames.shape[2]}x{frames.shape[1]}"
            raise VivaceError(f"Pictures of {size} hold no crop of {SIDE}x{SIDE}; give larger ones.")
        rng = np.random.default_rng(SEED)
        scores = []
        for frame in frames:
            picture = _colours(frame) * 2.0 - 1.0
            tops, lefts = (rng.integers(0, max(1, length - SIDE), CROPS) for length in frame.shape[:2])
            crops = [picture[:, t : t + SIDE, n : n + SIDE] for t, n in zip(tops, lefts, strict=True)]
            scores.append(float(self.model(torch.stack(crops).to(self.device)).mean()))
        return np.array(scores)


def _colours(frame: np.ndarray) -> torch.Tensor:
    """[H, W, 3] to [3, H, W] from 0 to 1."""
    return torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1).float() / 255.0
