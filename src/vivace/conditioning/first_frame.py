"""A picture given as the first frame: fitted to the clip's size and brought to the codec's range."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vivace.errors import VivaceError


def fit_image(image: Any, height: int, width: int) -> Tensor:
    """Scale a picture to cover width x height (Lanczos), cut its middle, and map it to [-1, 1]: float32 [3, H, W].

    Args:
        image: uint8 RGB [H, W, 3] or a PIL image.

    Raises:
        VivaceError: anything else.
    """
    picture = image.convert("RGB") if isinstance(image, Image.Image) else _from_array(image)
    scale = max(width / picture.width, height / picture.height)
    size = (max(width, round(picture.width * scale)), max(height, round(picture.height * scale)))
    if size != picture.size:
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    pixels = np.asarray(picture.crop((left, top, left + width, top + height)), dtype=np.float32)
    return torch.from_numpy(pixels / 127.5 - 1).permute(2, 0, 1).contiguous()


def _from_array(image: Any) -> Image.Image:
    if isinstance(image, (str, Path)):
        raise VivaceError(f"Image {str(image)!r} is a path; read it first, for example with vivace.media.read_image.")
    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise VivaceError(
            f"An image of type {array.dtype} and shape {list(array.shape)} is not RGB; give uint8 [H, W, 3]."
        )
    return Image.fromarray(array)
