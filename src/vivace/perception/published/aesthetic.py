"""Aesthetic predictors on CLIP and SigLIP, whose networks are transformers' and whose heads are ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from vivace.models.aesthetic import AestheticHead, own_name
from vivace.models.wavlm import frozen
from vivace.perception.published.imagebind import PICTURE_DEVIATION, PICTURE_MEAN
from vivace.perception.published.pictures import squares
from vivace.perception.published.placing import Placed, inference
from vivace.perception.published.weights import load_strictly, load_transformers, read_tensors

LAION_HEAD, V2_5_HEAD = "sac+logos+ava1-l14-linearMSE.pth", "aesthetic_predictor_v2_5.pth"
_HALF = (0.5, 0.5, 0.5)


class AestheticPredictor(Placed):
    """A picture's score of about 1 to 10.

    Args:
        model: of transformers, with `get_image_features`. head: over its vectors.
        mean, deviation: of colours. keep_shape: see `squares`.
    """

    def __init__(
        self,
        model: Any,
        head: AestheticHead,
        mean: tuple[float, float, float],
        deviation: tuple[float, float, float],
        *,
        keep_shape: bool,
    ) -> None:
        self.model, self.head = model, head
        self._side = int(model.config.vision_config.image_size)
        self._mean, self._deviation, self._keep_shape = mean, deviation, keep_shape

    @classmethod
    def laion(cls, path: Path) -> AestheticPredictor:
        """LAION's improved predictor on CLIP ViT-L/14.

        Args:
            path: transformers folder of CLIP with the head's file in it.

        Raises:
            VivaceError: a folder or a head that cannot be read or of another network.
        """
        from transformers import CLIPModel

        model = load_transformers(CLIPModel, path)
        head = _head(path / LAION_HEAD, model.config.projection_dim)
        # ImageBind's pictures are normalised as CLIP's are.
        return cls(model, head, PICTURE_MEAN, PICTURE_DEVIATION, keep_shape=True)

    @classmethod
    def v2_5(cls, path: Path) -> AestheticPredictor:
        """Aesthetic Predictor V2.5 on SigLIP so400m-patch14-384, which Verse-Bench takes.

        Args:
            path: transformers folder of SigLIP with the head's file in it.

        Raises:
            VivaceError: a folder or a head that cannot be read or of another network.
        """
        from transformers import SiglipModel

        model = load_transformers(SiglipModel, path)
        head = _head(path / V2_5_HEAD, model.config.vision_config.hidden_size)
        return cls(model, head, _HALF, _HALF, keep_shape=False)

    @inference()
    def __call__(self, frames: np.ndarray, batch: int = 8) -> np.ndarray:
        """Scores [T] of pictures uint8 [T, H, W, 3]."""
        scores = []
        for first in range(0, len(frames), batch):
            part = squares(
                frames[first : first + batch], self._side, self._mean, self._deviation, keep_shape=self._keep_shape
            )
            output = self.model.get_image_features(pixel_values=part.to(self.device))
            vectors = output if isinstance(output, torch.Tensor) else output.pooler_output
            scores.append(self.head(vectors.float()).cpu().numpy())
        return np.concatenate(scores)

    def _networks(self) -> tuple[Any, ...]:
        return self.model, self.head


def _head(path: Path, dim: int) -> AestheticHead:
    head = AestheticHead(dim)
    load_strictly(head, read_tensors(path), own_name, path)
    frozen(head)
    return head
