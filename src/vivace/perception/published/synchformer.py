"""Synchformer on whole clips: logits of offsets for windows of fourteen segments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from vivace.media import Clip
from vivace.models.synchformer import (
    FPS,
    PICTURES,
    PICTURES_APART,
    RATE,
    SAMPLES,
    SAMPLES_APART,
    SEGMENTS,
    SIDE,
    Synchformer,
    own_name,
    spectrogram,
)
from vivace.models.wavlm import frozen
from vivace.perception.published.pictures import squares
from vivace.perception.published.placing import Placed, inference
from vivace.perception.published.resampling import mono_at, picture_indices
from vivace.perception.published.weights import load_strictly, read_tensors

_HALF = (0.5, 0.5, 0.5)


class OffsetLogits(Placed):
    """The network with its public weights.

    Args:
        path: the publisher's file. model: a network of other sizes; None for the published one.

    Raises:
        VivaceError: a file that cannot be read or of another network.
    """

    def __init__(self, path: Path, model: Synchformer | None = None) -> None:
        network = model or Synchformer()
        # Its still pictures' patches are in the file and never used.
        load_strictly(network, read_tensors(path, drop=("vfeat_extractor.patch_embed.",)), own_name, path)
        self.model: Any = frozen(network)

    @inference()
    def segments(self, clip: Clip, batch: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
        """What is seen [S, 8, D] and heard [S, 6, D] in each segment of 0.64 s, 0.32 s apart, that both sides have."""
        assert clip.frames is not None
        assert clip.audio is not None
        indices = picture_indices(len(clip.frames), float(clip.fps), FPS)
        sound = torch.from_numpy(mono_at(clip.audio, clip.sample_rate, RATE))
        lengths = ((len(indices), PICTURES, PICTURES_APART), (len(sound), SAMPLES, SAMPLES_APART))
        count = min(max(0, (length - size) // apart + 1) for length, size, apart in lengths)
        seen, heard = [], []
        for first in range(0, count, batch):
            numbers = range(first, min(first + batch, count))
            # What segments of two batches share is scaled twice, so that a long clip needs no more room.
            start, end = numbers[0] * PICTURES_APART, numbers[-1] * PICTURES_APART + PICTURES
            shown = squares(clip.frames[indices[start:end]], SIDE, _HALF, _HALF, keep_shape=True).transpose(0, 1)
            starts = [n * PICTURES_APART - start for n in numbers]
            pictures = torch.stack([shown[:, at : at + PICTURES] for at in starts])
            seen.append(self.model.see(pictures.to(self.device)))
            parts = [sound[n * SAMPLES_APART : n * SAMPLES_APART + SAMPLES] for n in numbers]
            heard.append(self.model.hear(spectrogram(torch.stack(parts)).to(self.device)))
        if not seen:
            return torch.zeros(0), torch.zeros(0)
        return torch.cat(seen), torch.cat(heard)

    @inference()
    def logits(self, seen: torch.Tensor, heard: torch.Tensor, starts: list[int]) -> np.ndarray:
        """Logits [windows, 21] of windows of fourteen `segments`, which begin at `starts`."""
        sides = (torch.stack([side[start : start + SEGMENTS] for start in starts]) for side in (seen, heard))
        return np.asarray(self.model.compare(*sides).cpu().numpy())
