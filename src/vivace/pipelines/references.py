"""Pictures of who is to be seen, as a call gives them, brought to a clip's size."""

from __future__ import annotations

from typing import Any

import numpy as np

from vivace.conditioning.first_frame import as_picture, fit_image
from vivace.errors import VivaceError
from vivace.perception.faces import faces_in
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
    fitted = [[_fitted(picture, *size) for picture in row] for row in each]
    if can.reference_faces == "drawn":
        for picture in (picture for row in fitted for picture in row):
            check_one_face(picture)
    return fitted


def _of_prompts(references: Any, count: int) -> list[list[Any]]:
    given = [] if references is None else list(references) if isinstance(references, (list, tuple)) else [references]
    lists = [list(x) for x in given if isinstance(x, (list, tuple))]
    if lists and (len(lists) != len(given) or len(lists) != count):
        raise VivaceError(
            f"{len(given)} lists of references were given for {count} prompts; give one for each, or one for all."
        )
    return lists or [given] * count


def _fitted(picture: Any, height: int, width: int) -> np.ndarray:
    size = as_picture(picture).size
    # Enlarged more than this, a face has lost what tells it from others.
    if size[0] * 4 < width or size[1] * 4 < height:
        raise VivaceError(
            f"A reference of {size[0]}x{size[1]} is too small for a clip of {width}x{height}; "
            f"give one of at least {-(-width // 4)}x{-(-height // 4)}."
        )
    return fit_image(picture, height, width)


def check_one_face(picture: np.ndarray) -> None:
    """Raises VivaceError unless exactly one drawn face is seen in a picture uint8 [H, W, 3]."""
    faces = faces_in(picture, thresholds().faces)
    if not faces:
        raise VivaceError(
            "No face was found in a reference; give a picture in which one face is seen from the front, "
            "a quarter to half as wide as the picture."
        )
    if len(faces) > 1:
        raise VivaceError(f"{len(faces)} faces were found in a reference; give a picture of one person, for each one.")
