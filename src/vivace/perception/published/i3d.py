"""Features of FVD: I3D's logits of pictures in succession, prepared as VideoGPT's evaluation does it."""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from vivace.models.i3d import I3D, SIDE, own_name
from vivace.models.wavlm import frozen
from vivace.perception.published.placing import Placed, inference
from vivace.perception.published.weights import load_strictly, read_tensors

PICTURES = 16


class VideoLogits(Placed):
    """I3D with its public weights.

    Args:
        path: the publisher's file. model: a network of other sizes; None for the published one.

    Raises:
        VivaceError: a file that cannot be read or of another network.
    """

    def __init__(self, path: Path, model: I3D | None = None) -> None:
        network = model or I3D()
        load_strictly(network, read_tensors(path), own_name, path)
        self.model: Any = frozen(network)

    @inference()
    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Logits [400] of the first 16 of pictures uint8 [T, H, W, 3], T at least `vivace.models.i3d.SHORTEST`."""
        return np.asarray(self.model(video_input(frames[:PICTURES])[None].to(self.device))[0].cpu().numpy())


def video_input(frames: np.ndarray) -> torch.Tensor:
    """Shorter side 224, the middle cut out, colours from -0.5 to 0.5 as VideoGPT has them: [3, T, 224, 224]."""
    pictures = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 255.0
    scale = SIDE / min(pictures.shape[2:])
    tall, broad = (max(SIDE, ceil(length * scale)) for length in pictures.shape[2:])
    pictures = F.interpolate(pictures, (tall, broad), mode="bilinear", align_corners=False)
    top, left = (tall - SIDE) // 2, (broad - SIDE) // 2
    return pictures[:, :, top : top + SIDE, left : left + SIDE].transpose(0, 1) - 0.5
