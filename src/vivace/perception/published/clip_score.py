"""CLIP: how well pictures fit a text, by transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from vivace.errors import VivaceError
from vivace.perception.published.imagebind import PICTURE_DEVIATION, PICTURE_MEAN
from vivace.perception.published.pictures import squares
from vivace.perception.published.placing import Placed, inference
from vivace.perception.published.weights import load_transformers

PICTURES = 48  # of a clip, evenly spread
_VOCABULARY = ("tokenizer.json", "vocab.json")


class ClipVectors(Placed):
    """The network with the weights of a transformers folder.

    Args:
        path: folder with model and tokenizer.

    Raises:
        VivaceError: a folder that cannot be read or of another network.
    """

    def __init__(self, path: Path) -> None:
        from transformers import AutoTokenizer, CLIPModel

        self.model: Any = load_transformers(CLIPModel, path)
        self._side = int(self.model.config.vision_config.image_size)
        self._most = int(self.model.config.text_config.max_position_embeddings)
        # Without its files transformers makes a tokenizer that knows no words.
        if not any((path / name).is_file() for name in _VOCABULARY):
            raise VivaceError(f"Folder {str(path)!r} lacks CLIP's tokenizer; give the whole folder.")
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
        except Exception as error:
            raise VivaceError(f"Folder {str(path)!r} has a tokenizer that cannot be read; give CLIP's own.") from error

    @inference()
    def of_pictures(self, frames: np.ndarray, batch: int = 16) -> np.ndarray:
        """Vectors [48, D] of pictures spread over uint8 [T, H, W, 3]; of few pictures some are taken twice."""
        chosen = frames[np.linspace(0, len(frames) - 1, PICTURES).round().astype(int)]
        found = []
        for first in range(0, len(chosen), batch):
            # ImageBind's pictures are normalised as CLIP's are.
            part = squares(chosen[first : first + batch], self._side, PICTURE_MEAN, PICTURE_DEVIATION, keep_shape=True)
            found.append(_vectors(self.model.get_image_features(pixel_values=part.to(self.device))))
        return np.concatenate(found)

    @inference()
    def of_text(self, text: str) -> np.ndarray:
        """Vector [D] of a text; what is beyond the network's length is cut off."""
        inputs = self.tokenizer([text], truncation=True, max_length=self._most, return_tensors="pt")
        given = {name: inputs[name].to(self.device) for name in ("input_ids", "attention_mask")}
        return np.asarray(_vectors(self.model.get_text_features(**given))[0])


def _vectors(output: Any) -> np.ndarray:
    tensor = output if isinstance(output, torch.Tensor) else output.pooler_output
    return np.asarray(tensor.float().cpu().numpy())
