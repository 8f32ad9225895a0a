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
    shorter: int | None = None,
    resampling: Image.Resampling = Image.Resampling.BICUBIC,
) -> torch.Tensor:
    """Pictures uint8 [T, H, W, 3] as [T, 3, side, side], by Pillow's filters as the publishers do it.

    Args:
        keep_shape: the shorter side becomes `shorter` (`side` for None) and the middle is cut out (CLIP, DINOv2); else
            both are stretched to `side` (SigLIP, DINOv3).
    """
    made = []
    for frame in frames:
        image = Image.fromarray(frame)
        if keep_shape:
            scale = (shorter or side) / min(image.size)
            width, height = (max(side, int(length * scale)) for length in image.size)
            image = image.resize((width, height), resampling)
            left, top = round((width - side) / 2), round((height - side) / 2)
            image = image.crop((left, top, left + side, top + side))
        else:
            image = image.resize((side, side), resampling)
        made.append(np.asarray(image))
    pictures = torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2).float() / 255.0
    return (pictures - torch.tensor(mean)[:, None, None]) / torch.tensor(deviation)[:, None, None]
