"""Pictures of who is to be seen, beside a curated clip: of its partner, or of itself with what is no identity changed.

The partner's picture is the middle of its anchor (`stages.pairs`). Where a clip with one face has no partner, the
middle of its own anchor can stand in: Alive's in-pair augmentation perturbs pose and expression, changes the background
and edits with an image model. Ours needs no model: the person is turned, scaled and moved, stands before another
background, and in other light. Expression stays, and so do clothes.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.ndimage import affine_transform, gaussian_filter

from vivace.curation.clip import Clip
from vivace.curation.fitting import fitted
from vivace.errors import VivaceError
from vivace.media import read_clip

References = Literal["none", "cross", "both"]
Origin = Literal["", "partner", "own"]
TURN, SCALE, SHIFT = 8.0, 0.15, 0.08  # degrees, share, and share of the picture's sides; at most, either way
LIGHT, TINT = 0.2, 0.12  # of brightness, and of each colour
# In half head widths: half axes of head and hair; half the width of shoulders at their top and of the body at most,
# between those of people and of the world's slighter characters; rows of their top below the middle of the head.
_HEAD = 1.4, 1.55
_SHOULDERS, _BODY = 1.2, 2.2
_NECK = 1.5
_SOFT = 0.2  # of the person's edge


def reference_of(clip: Clip, height: int, width: int, kinds: References) -> tuple[np.ndarray, Origin]:
    """The reference of a clip and where it is from; none where there is neither partner nor face, or nothing is read.

    Args:
        kinds: "cross" takes partners alone, "both" changed pictures of the clip itself too.

    Returns:
        uint8 [R, height, width, 3] with R 0 or 1.
    """
    if kinds != "none":
        path, at = clip.get("pairs.partner_path"), clip.get("pairs.partner_at")
        try:
            if path is not None and at is not None:
                return np.stack([fitted(_picture(path, at), height, width)]), "partner"
            if kinds == "both" and clip.get("pairs.head"):
                picture = _picture(clip.path, clip.start + clip["pairs.at"])
                # The same for the same clip, whatever else is curated.
                rng = np.random.default_rng(int(clip.id[:12], 16))
                return np.stack([fitted(changed(rng, picture, clip["pairs.head"]), height, width)]), "own"
        except (VivaceError, OSError):
            pass  # a partner that has gone costs the reference, not the clip
    return np.zeros((0, height, width, 3), np.uint8), ""


def _picture(path: str, at: float) -> np.ndarray:
    frames = read_clip(path, max(0.0, at), at_most=0.2).frames
    assert frames is not None
    return frames[0]


def changed(rng: np.random.Generator, picture: np.ndarray, head: list[float]) -> np.ndarray:
    """The person of a picture uint8 [H, W, 3] in another place and pose, before another background, in other light.

    Args:
        head: column and row of its middle and half its width, in shares of the picture's width, height and shorter
            side.
    """
    height, width = picture.shape[:2]
    column, row, size = head[0] * width, head[1] * height, head[2] * min(height, width)
    turn, scale = np.deg2rad(rng.uniform(-TURN, TURN)), 1 + rng.uniform(-SCALE, SCALE)
    moved = rng.uniform(-SHIFT, SHIFT, 2) * (height, width)
    # From places of the new picture to those of the old one, about the head.
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) / scale
    middle = np.array([row, column])
    offset = middle - matrix @ (middle + moved)
    layers = np.concatenate([picture, 255 * person(height, width, column, row, size)[..., None]], axis=2, dtype=float)
    posed = [affine_transform(layer, matrix, offset, order=1, mode="nearest") for layer in np.moveaxis(layers, 2, 0)]
    return _lit(rng, np.stack(posed, axis=2), height)


def person(height: int, width: int, column: float, row: float, size: float) -> np.ndarray:
    """How much each pixel is of who has the head there, 0 to 1, [height, width]: an ellipse, and a body below it."""
    rows, columns = np.mgrid[0:height, 0:width].astype(float)
    down, aside = (rows - row) / size, np.abs(columns - column) / size
    inside = (aside / _HEAD[0]) ** 2 + (down / _HEAD[1]) ** 2 < 1
    inside |= (down > _NECK) & (aside < np.minimum(_SHOULDERS + (down - _NECK), _BODY))
    soft: np.ndarray = gaussian_filter(inside.astype(float), _SOFT * size)
    return soft


def _lit(rng: np.random.Generator, posed: np.ndarray, height: int) -> np.ndarray:
    """The person of [H, W, 4], whose last layer is the mask in 0 to 255, before a gradient of two colours."""
    top, bottom = rng.uniform(30, 225, (2, 1, 1, 3))
    ramp = np.linspace(0, 1, height)[:, None, None]
    cover = posed[..., 3:] / 255
    whole = cover * posed[..., :3] + (1 - cover) * (top * (1 - ramp) + bottom * ramp)
    gains = (1 + rng.uniform(-LIGHT, LIGHT)) * (1 + rng.uniform(-TINT, TINT, 3))
    lit: np.ndarray = np.clip(whole * gains + 0.5, 0, 255).astype(np.uint8)
    return lit
