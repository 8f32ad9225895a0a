"""Still pictures: reading any, writing PNG."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from vivace.errors import VivaceError
from vivace.media.atomic import replacing


def read_image(path: str | Path) -> np.ndarray:
    """Read a picture as uint8 [H, W, 3] RGB: turned as its camera says, transparency shown over white.

    Raises:
        VivaceError: no such file, not a picture, damaged, or too large to be meant.
    """
    path = Path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                image.load()
                picture = upright_rgb(image)
    except FileNotFoundError:
        raise VivaceError(f"Image {str(path)!r} does not exist; check the path.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise VivaceError(f"Image {str(path)!r} is larger than 89 million pixels; make it smaller first.") from None
    except (OSError, ValueError, SyntaxError, IndexError, KeyError) as error:
        raise VivaceError(
            f"Image {str(path)!r} cannot be read ({error}); give an undamaged PNG, JPEG or WebP file."
        ) from error
    return np.asarray(picture)


def upright_rgb(image: Image.Image) -> Image.Image:
    """RGB, turned as its camera says, transparency shown over white, 16-bit grey scaled."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        # Pillow clips 16-bit grey to 255 where we want it scaled.
        return Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(paper, image).convert("RGB")
    return image.convert("RGB")


def write_png(path: str | Path, image: np.ndarray) -> None:
    """Write uint8 [H, W, 3] RGB as PNG, whole or not at all.

    Raises:
        VivaceError: a wrong shape or type, a path that cannot be written, a full disk.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise VivaceError(
            f"An image of type {image.dtype} and shape {list(image.shape)} is not a picture; give uint8 [H, W, 3]."
        )
    with replacing(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG", optimize=True)
