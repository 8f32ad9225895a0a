"""Pictures of who is to be seen, as a call gives them, brought to a clip's size."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from vivace.conditioning.first_frame import as_picture, fit_image
from vivace.errors import VivaceError
from vivace.perception.faces import Face, faces_in
from vivace.perception.thresholds import thresholds
from vivace.pipelines.capabilities import AliveCapabilities


def fitted_references(
    can: AliveCapabilities, references: Any, count: int, size: tuple[int, int], *, pictured: bool
) -> list[list[np.ndarray]]:
    """The references of each prompt at the clip's size, uint8 [H, W, 3].

    Args:
        can: what the model takes.
        references: one picture or a list for all prompts, a list of lists with one for each, or None.
        count: of prompts. size: height and width of the clip. pictured: whether it has pictures.

    Raises:
        VivaceError: pictures that are none or too small, too many, for another number of prompts, or for a clip
            without pictures; where the model asks for one face in each, pictures with none or several.
    """
    each = _of_prompts(references, count)
    most = max(map(len, each))
    if not most:
        return each
    if not pictured:
        raise VivaceError("References show who is to be seen, and only sound is made; leave them out.")
    if most > can.most_references:
        able = f"takes up to {can.most_references}" if can.most_references else "has not learned to use any"
        raise VivaceError(f"{most} references were given and {can.name} {able}; leave some out.")
    names = [f"reference {n + 1} of {most}" if most > 1 else "the reference" for n in range(most)]
    fit = _fitted_to_face if can.reference_faces == "drawn" else _fitted
    return [[fit(picture, name, *size) for picture, name in zip(row, names, strict=False)] for row in each]


def _of_prompts(references: Any, count: int) -> list[list[Any]]:
    given = [] if references is None else list(references) if isinstance(references, (list, tuple)) else [references]
    lists = [list(x) for x in given if isinstance(x, (list, tuple))]
    if lists and (len(lists) != len(given) or len(lists) != count):
        raise VivaceError(
            f"{len(given)} lists of references were given for {count} prompts; give one for each, or one for all."
        )
    return lists or [given] * count


def _fitted(picture: Any, name: str, height: int, width: int) -> np.ndarray:
    whole = as_picture(picture)
    _check_size(whole.size, name, height, width)
    return fit_image(whole, height, width)


def _fitted_to_face(picture: Any, name: str, height: int, width: int) -> np.ndarray:
    """The part of a picture around its one face.

    Raises:
        VivaceError: not exactly one drawn face is seen in the whole picture, or in that part of it.
    """
    whole = as_picture(picture)
    _check_size(whole.size, name, height, width)
    scale = min(height, width) / min(whole.size)
    small = whole.resize((round(whole.width * scale), round(whole.height * scale)), Image.Resampling.LANCZOS)
    face = _one_face(np.asarray(small), name)
    fitted = fit_image(whole, height, width, (face.column / small.width, face.row / small.height))
    _one_face(fitted, name)
    return fitted


def _check_size(size: tuple[int, int], name: str, height: int, width: int) -> None:
    # Enlarged more than this, a face has lost what tells it from others.
    if size[0] * 4 < width or size[1] * 4 < height:
        raise VivaceError(
            f"A reference of {size[0]}x{size[1]} is too small for a clip of {width}x{height} ({name}); "
            f"give one of at least {-(-width // 4)}x{-(-height // 4)}."
        )


def _one_face(picture: np.ndarray, name: str) -> Face:
    """The drawn face that is seen in a picture uint8 [H, W, 3]. Raises VivaceError where there is none, or several."""
    faces = faces_in(picture, thresholds().faces)
    if not faces:
        raise VivaceError(
            f"No face was found in {name}; give a picture in which one face is seen from the front, "
            "a quarter to half as wide as the picture."
        )
    if len(faces) > 1:
        raise VivaceError(f"{len(faces)} faces were found in {name}; give a picture of one person, for each one.")
    return faces[0]
