"""One way for networks that look at single pictures to get them: as square, normalised tensors."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image


def squares(
    frames: np.ndarray,
    side: int,
    mean: tuple[float, float, float],
    deviation: tuple[float, float, float],
    *,
    keep_shape: bool,
) -> torch.Tensor:
    """Pictures uint8 [T, H, W, 3] as [T, 3, side, side], by Pillow's bicubic filter as the publishers do it.

    Args:
        keep_shape: the shorter side becomes `side` and the middle is cut out (CLIP); else both are stretched (SigLIP).
    """
    made = []
    for frame in frames:
        image = Image.fromarray(frame)
        if keep_shape:
            scale = side / min(image.size)
            width, height = (max(side, int(length * scale)) for length in image.size)
            image = image.resize((width, height), Image.Resampling.BICUBIC)
            left, top = round((width - side) / 2), round((height - side) / 2)
            image = image.crop((left, top, left + side, top + side))
        else:
            image = image.resize((side, side), Image.Resampling.BICUBIC)
        made.append(np.asarray(image))
    pictures = torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2).float() / 255.0
    return (pictures - torch.tensor(mean)[:, None, None]) / torch.tensor(deviation)[:, None, None]
