"""A picture given as the first frame, fitted to the clip's size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vivace.errors import VivaceError
from vivace.media.image import upright_rgb


def fit_image(image: Any, height: int, width: int, centre: tuple[float, float] = (0.5, 0.5)) -> np.ndarray:
    """Scale a picture to cover width x height (Lanczos) and cut a part of it, its middle by default: uint8 [H, W, 3].

    Args:
        image: uint8 RGB [H, W, 3] or a PIL image.
        centre: (across, down) of the part in shares of the picture; kept inside of it.

    Raises:
        VivaceError: anything else.
    """
    picture = as_picture(image)
    if picture.size == (width, height):
        return np.array(picture)
    # The part that is kept, in the picture's own pixels: scaling only that is exact and costs nothing for the rest.
    scale = max(width / picture.width, height / picture.height)
    across, down = width / scale, height / scale
    left = min(max(centre[0] * picture.width - across / 2, 0), picture.width - across)
    top = min(max(centre[1] * picture.height - down / 2, 0), picture.height - down)
    box = (left, top, left + across, top + down)
    return np.array(picture.resize((width, height), Image.Resampling.LANCZOS, box=box))


def as_picture(image: Any) -> Image.Image:
    """The picture as an RGB image, read as `vivace.media.read_image` reads a file.

    Raises:
        VivaceError: neither uint8 [H, W, 3] nor a PIL image.
    """
    if isinstance(image, Image.Image):
        return upright_rgb(image)
    if isinstance(image, (str, Path)):
        raise VivaceError(f"Image {str(image)!r} is a path; read it first, for example with vivace.media.read_image.")
    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise VivaceError(
            f"An image of type {array.dtype} and shape {list(array.shape)} is not RGB; give uint8 [H, W, 3]."
        )
    return Image.fromarray(array)
