"""How near pictures that were made larger are to the true ones, and how restless they are. numpy in, numbers out."""

from __future__ import annotations

from typing import Literal

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from vivace.errors import VivaceError
from vivace.evaluation.fidelity import psnr, square_errors
from vivace.perception.flicker import measure_flicker
from vivace.perception.luma import luma

Resampling = Literal["bicubic", "lanczos"]
_KERNELS = {"bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}
# Wang et al. 2004: a Gaussian of 1.5 pixels cut to 11, and constants that keep flat parts defined.
_SIGMA, _RADIUS = 1.5, 5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def enlarged(frames: np.ndarray, height: int, width: int, how: Resampling) -> np.ndarray:
    """Pictures scaled by a fixed kernel. uint8 [T, h, w, 3] -> [T, height, width, 3]"""
    scaled = (Image.fromarray(frame).resize((width, height), _KERNELS[how]) for frame in frames)
    return np.stack([np.asarray(frame) for frame in scaled])


def ssim(true: np.ndarray, made: np.ndarray) -> float:
    """Structural similarity of brightness, averaged over places and pictures (Wang et al. 2004). Up to 1.

    Places whose surroundings reach over the edge are left out, where the picture is large enough to have others.

    Args:
        true, made: uint8 [T, H, W, 3].
    """

    def smooth(x: np.ndarray) -> np.ndarray:
        found: np.ndarray = gaussian_filter(x, _SIGMA, radius=_RADIUS)
        return found

    values = []
    for a, b in zip(true, made, strict=True):
        x, y = luma(a).astype(np.float64), luma(b).astype(np.float64)
        mx, my = smooth(x), smooth(y)
        vx, vy, both = smooth(x * x) - mx * mx, smooth(y * y) - my * my, smooth(x * y) - mx * my
        ratio = (2 * mx * my + _C1) * (2 * both + _C2) / ((mx * mx + my * my + _C1) * (vx + vy + _C2))
        inner = ratio[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS] if min(ratio.shape) > 2 * _RADIUS else ratio
        values.append(inner.mean())
    return float(np.mean(values))


def restlessness(true: np.ndarray, made: np.ndarray) -> float:
    """Root mean square of what changes from picture to picture in the error alone, of 255; 0 for a steady error.

    Args:
        true, made: uint8 [T, H, W, 3] with T from 2.
    """
    squares = []
    for t in range(1, len(true)):  # one at a time: float copies of whole clips are large
        error = [made[k].astype(np.float32) - true[k].astype(np.float32) for k in (t - 1, t)]
        squares.append(float(np.square(error[1] - error[0]).mean()))
    return float(np.sqrt(np.mean(squares)))


def picture_figures(true: np.ndarray, made: np.ndarray, fps: float) -> dict[str, float]:
    """PSNR over all and over moving pixels (dB), SSIM, the error's restlessness, and brightness flicker over the
    truth's; what is undefined is left out.

    Args:
        true, made: uint8 [T, H, W, 3].

    Raises:
        VivaceError: clips of different shapes, or of fewer than two pictures.
    """
    if true.shape != made.shape or len(true) < 2:
        raise VivaceError(
            f"Pictures {list(made.shape)} cannot be compared with {list(true.shape)}; give two or more of one size."
        )
    whole, moving = square_errors(true, made)
    figures = {"psnr": psnr(whole), "ssim": ssim(true, made), "restlessness": restlessness(true, made)}
    if moving is not None:
        figures["psnr_moving"] = psnr(moving)
    flicker = [measure_flicker(frames, fps) for frames in (true, made)]
    if flicker[0] is not None and flicker[1] is not None:
        figures["flicker"] = flicker[1] - flicker[0]
    return figures
