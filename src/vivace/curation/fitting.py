"""Pictures brought to the size of a bucket."""

from __future__ import annotations

import numpy as np


def fitted(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """A picture uint8 [H, W, 3], scaled to cover [height, width] and cut in the middle."""
    if frame.shape[:2] == (height, width):
        return frame
    from PIL import Image

    scale = max(height / frame.shape[0], width / frame.shape[1])
    size = max(width, round(frame.shape[1] * scale)), max(height, round(frame.shape[0] * scale))
    scaled = np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS))
    top, left = (scaled.shape[0] - height) // 2, (scaled.shape[1] - width) // 2
    return scaled[top : top + height, left : left + width]
