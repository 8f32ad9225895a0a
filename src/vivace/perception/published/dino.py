"""DINOv3 and DINOv2, transformers' networks, as judges of whether pictures show the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from vivace.perception.published.pictures import squares
from vivace.perception.published.placing import Placed, inference
from vivace.perception.published.weights import load_transformers

SIDE, SHORTER = 224, 256  # DINOv2's processor makes the shorter side 256 and cuts out the middle
VERSE_BENCH_TOKEN = -2  # a patch of the last row, where the class token may have been meant
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class DinoTokens(Placed):
    """The vectors by which Verse-Bench's identity score compares pictures.

    Args:
        path: the user's transformers folder. family: of the network in it.
        side: of the square pictures, which are prepared as each network's own image processor does it.

    Raises:
        VivaceError: a folder that cannot be read or of another network.
    """

    def __init__(self, path: Path, family: Literal["dinov3", "dinov2"], side: int = SIDE) -> None:
        from transformers import Dinov2Model, DINOv3ViTModel

        self.model: Any = load_transformers(DINOv3ViTModel if family == "dinov3" else Dinov2Model, path)
        self._side, self._stretched = side, family == "dinov3"

    @inference()
    def __call__(self, frames: np.ndarray, batch: int = 8) -> tuple[np.ndarray, np.ndarray]:
        """The class token and the token -2 of pictures uint8 [T, H, W, 3]: [T, D] each."""
        tokens = []
        for first in range(0, len(frames), batch):
            pictures = squares(
                frames[first : first + batch],
                self._side,
                _MEAN,
                _DEVIATION,
                keep_shape=not self._stretched,
                shorter=self._side * SHORTER // SIDE,
                resampling=Image.Resampling.BILINEAR if self._stretched else Image.Resampling.BICUBIC,
            )
            found = self.model(pixel_values=pictures.to(self.device)).last_hidden_state.float()
            tokens.append(found[:, [0, VERSE_BENCH_TOKEN]].cpu().numpy())
        both = np.concatenate(tokens)
        return both[:, 0], both[:, 1]
