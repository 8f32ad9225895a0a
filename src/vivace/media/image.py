"""Still pictures: reading any, writing PNG."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from vivace.errors import VivaceError
from vivace.media.atomic import replacing

# What may be white in grey of 32 bits (I) and of fractions (F).
_WHITES = {"I": (255, 65535), "F": (1, 255)}
_HEAD = 4096  # bytes that say what a file is; an SVG's root may stand behind a licence
_READ = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8")
# Of the container that pictures share with MP4.
_BRANDS = {(b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"): "HEIC", (b"avif", b"avis"): "AVIF"}


def read_image(path: str | Path, *, tell: Callable[[str], None] = lambda change: None) -> np.ndarray:
    """Read a picture as uint8 [H, W, 3] RGB, as `upright_rgb` brings it there.

    Args:
        tell: is called with what is changed of the picture, as what may follow its name in a sentence.

    Raises:
        VivaceError: no such file, not a picture, damaged, too large to be meant, or of values that are no brightness.
    """
    path = Path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                image.load()
                picture = upright_rgb(image, f"Image {str(path)!r}")
                for change in changes_of(image):
                    tell(change)
    except VivaceError:
        raise
    except FileNotFoundError:
        raise VivaceError(f"Image {str(path)!r} does not exist; check the path.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise VivaceError(f"Image {str(path)!r} is larger than 89 million pixels; make it smaller first.") from None
    except UnidentifiedImageError as error:
        raise VivaceError(_unidentified(path)) from error
    except (OSError, ValueError, SyntaxError, IndexError, KeyError) as error:
        reason = getattr(error, "strerror", None) or error  # Pillow and the system name the path again
        raise VivaceError(
            f"Image {str(path)!r} cannot be read ({reason}); give an undamaged PNG, JPEG or WebP file."
        ) from error
    return np.asarray(picture)


def _unidentified(path: Path) -> str:
    """A sentence on a file that Pillow does not know, by what it begins with."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    remedy = "convert it to PNG or JPEG"
    if not head or head.startswith(_READ) or (head.startswith(b"RIFF") and head[8:12] == b"WEBP"):
        reason, remedy = "it is damaged" if head else "it is empty", "give an undamaged PNG, JPEG or WebP file"
    elif head[4:8] == b"ftyp":
        still = next((name for brands, name in _BRANDS.items() if head[8:12] in brands), None)
        reason = "it is a video" if still is None else f"it is a picture in {still}"
        remedy = "name a picture of it, as PNG or JPEG" if still is None else remedy
    elif b"<svg" in head:
        reason = "it is a drawing in SVG"
    else:
        reason = "its format is unknown here"
    return f"Image {str(path)!r} cannot be read ({reason}); {remedy}."


def is_still(path: str | Path) -> bool:
    """Whether a file is a still picture: one that Pillow knows and that does not move."""
    try:
        with Image.open(path) as image:
            # Of MPEG streams Pillow knows the size alone.
            return image.format != "MPEG" and not getattr(image, "is_animated", False)
    except (OSError, ValueError, SyntaxError, IndexError, KeyError, Image.DecompressionBombError):
        return False


def upright_rgb(image: Image.Image, name: str = "The picture") -> Image.Image:
    """RGB of 8 bits: turned as its camera says, transparency shown over white, deep grey scaled.

    White is 65535 in grey of 16 bits. In grey of 32 bits, which says nothing of its white, it is the least of 255 and
    65535 that no value exceeds, and in grey of fractions the least of 1 and 255.

    Args:
        name: how an error calls it.

    Raises:
        VivaceError: grey with values below 0, above any white, or that are not finite.
    """
    # Whatever the byte order; older releases of Pillow widen what such files hold.
    deep = image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))
    image = ImageOps.exif_transpose(image)
    if deep:
        return _grey(np.asarray(image), 65535)
    if image.mode in _WHITES:
        values = np.asarray(image)
        low, high = float(values.min(initial=0)), float(values.max(initial=0))
        white = next((white for white in _WHITES[image.mode] if high <= white), None)
        if low < 0 or white is None or not np.isfinite(values).all():
            below = " or ".join(map(str, _WHITES[image.mode]))
            raise VivaceError(
                f"{name} has grey values from {low:g} to {high:g}, which say no brightness; scale them to 0 to {below}."
            )
        return _grey(values, white)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(paper, image).convert("RGB")
    return image.convert("RGB")


def _grey(values: np.ndarray, white: int) -> Image.Image:
    """Brightness [H, W] from 0 to `white` as RGB."""
    return Image.fromarray((values * (255 / white) + 0.5).astype(np.uint8)).convert("RGB")


def changes_of(image: Image.Image) -> list[str]:
    """What `upright_rgb` changes of a picture and does not show, each as what may follow its name in a sentence."""
    changes = []
    grey = image.mode[0] in "IF"  # deep, in which Pillow knows no transparency
    if not grey and image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema()[0] != 255:
        changes.append("is transparent in places, which are shown over white")
    # Pillow shows a file's layers only where it has put them together.
    if image.format != "PSD" and getattr(image, "is_animated", False):
        changes.append("is animated or has several pages, of which the first is used")
    return changes


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
