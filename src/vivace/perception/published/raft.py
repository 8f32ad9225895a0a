"""How much moves from picture to picture by RAFT, as Verse-Bench measures it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from vivace.models.raft import CELL, SHORTEST, Raft
from vivace.models.wavlm import frozen
from vivace.perception.published.placing import Placed, inference
from vivace.perception.published.weights import load_strictly, read_tensors

LONGEST = 640  # pixels: pictures are halved until neither side is longer
STEPS = 20


class FlowSize(Placed):
    """RAFT with its public weights.

    Args:
        path: the publisher's file. model: a network of other sizes; None for the published one.

    Raises:
        VivaceError: a file that cannot be read or of another network.
    """

    def __init__(self, path: Path, model: Raft | None = None) -> None:
        network = model or Raft()
        load_strictly(network, read_tensors(path), str, path)
        self.model: Any = frozen(network)

    @inference()
    def __call__(self, frames: np.ndarray) -> float | None:
        """Mean of |right| and |down| over pixels and successive pictures uint8 [T, H, W, 3], in pixels of the scaled
        pictures, T at least 2; None for pictures that are too small for the network (a side below 121 after scaling).
        """
        found = []
        before: tuple[torch.Tensor, torch.Tensor] | None = None
        for frame in frames:
            picture = flow_input(frame)[None].to(self.device)
            if min(picture.shape[2:]) < SHORTEST:
                return None
            features = self.model.features(picture)
            if before is not None:
                flow = self.model(before[0], before[1], features, STEPS)
                found.append(float(flow.abs().mean()))
            before = picture, features
        return float(np.mean(found))


def flow_input(frame: np.ndarray) -> torch.Tensor:
    """A picture uint8 [H, W, 3] halved until it is small enough, its edges repeated to multiples of 8, from -1 to 1.

    The flow of the repeated edges counts in the mean, as it does in the benchmark.
    """
    picture = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None].float()
    tall, broad = picture.shape[2:]
    while max(tall, broad) > LONGEST:
        tall, broad = tall // 2, broad // 2
    if (tall, broad) != tuple(picture.shape[2:]):
        # Plain interpolation between four pixels, to whole values, as the benchmark's image library does it.
        picture = F.interpolate(picture, (tall, broad), mode="bilinear", align_corners=False).round()
    more, wider = -tall % CELL, -broad % CELL
    picture = F.pad(picture, (wider // 2, wider - wider // 2, more // 2, more - more // 2), mode="replicate")
    return picture[0] / 127.5 - 1.0
