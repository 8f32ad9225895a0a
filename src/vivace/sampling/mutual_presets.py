"""Presets of models that are guided by several conditions at once (Alive)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Self

from pydantic import Field, model_validator

from vivace.errors import VivaceError
from vivace.pair import AV
from vivace.sampling.guidance import Guidance, check_scale
from vivace.sampling.guidance_shaping import Shaping
from vivace.sampling.mutual_guidance import MutualForm, mutual_guidance
from vivace.sampling.presets import Scale, Steps
from vivace.sampling.settings_checks import check_level, is_number


def _check_share(name: str, value: float) -> None:
    if not is_number(value) or not 0 <= value <= 1:
        raise VivaceError(f"Guide {name} = {value!r} is no share; give a number from 0 to 1, such as 0.7.")


def _check_limit(name: str, value: float) -> None:
    if not is_number(value) or not 0 <= value < math.inf:
        raise VivaceError(f"Guide {name} = {value!r} is no largest norm; give one such as 20, or 0 for no limit.")


# What each side has a number of its own for, and what refuses one that is none.
_SIDED: dict[str, Callable[[str, float], None]] = {
    "text": check_scale,
    "mutual": check_scale,
    "references": check_scale,
    "rescale": _check_share,
    "limit": _check_limit,
}


class MutualPreset(Steps):
    """How to sample Alive. A scale of 1 is the plain prediction.

    Args:
        text, mutual, references: scales of each condition; the last counts only where references are given.
        form: how they are put together (`mutual_guidance`).
        mutual_above: mutual guidance acts above this noise level only; not with the fast form.
        rescale, limit, parallel: of `Shaping`; a rescale or limit of 0 is off.
    """

    text: Scale = Scale(video=5.0, audio=5.0)
    mutual: Scale = Scale(video=3.0, audio=3.0)
    references: Scale = Scale(video=3.0, audio=1.0)
    form: MutualForm = "additive"
    mutual_above: float = Field(default=0.0, ge=0, lt=1)
    rescale: Scale | None = None
    limit: Scale | None = None
    parallel: float = Field(default=1.0, ge=0, le=1)

    @model_validator(mode="after")
    def _fast_has_no_level(self) -> Self:
        if self.form == "fast" and self.mutual_above:
            raise ValueError("the fast form has no mutual_above; leave out one of the two")
        return self

    def with_guides(self, guides: Mapping[str, float]) -> Self:
        """The same preset with settings replaced: "text", "mutual", "references", "rescale" or "limit", one side of
        these as "text.audio", or "mutual.above" or "parallel".

        Raises:
            VivaceError: an unknown guide or a number out of range.
        """
        changes: dict[str, object] = {}
        # Whole guides before single sides, so that "text" with "text.audio" means the same in either order.
        for name, value in sorted(guides.items(), key=lambda item: "." in item[0]):
            if name == "mutual.above":
                changes["mutual_above"] = check_level(name, value)
                if value and self.form == "fast":
                    raise VivaceError("The fast form has no mutual.above; leave it out, or take another preset.")
                continue
            if name == "parallel":
                _check_share(name, value)
                changes["parallel"] = float(value)
                continue
            guide, _, side = name.partition(".")
            if guide not in _SIDED or side not in ("", "video", "audio"):
                raise VivaceError(
                    f"Guide {name!r} is unknown; use text, mutual or references, rescale or limit, and .video or "
                    ".audio for one side, or mutual.above or parallel."
                )
            _SIDED[guide](name, value)
            now = changes.get(guide, getattr(self, guide)) or Scale(video=0.0, audio=0.0)
            assert isinstance(now, Scale)
            sides = {side: float(value)} if side else {"video": float(value), "audio": float(value)}
            changes[guide] = now.model_copy(update=sides)
        return self.model_copy(update=changes)

    def guidance(self, *, video: bool, audio: bool, references: bool) -> Guidance:
        """The guidance of a call with these modalities and with or without references.

        Raises:
            VivaceError: a fast form whose scales differ.
        """

        def sides(scale: Scale) -> AV[float]:
            return AV(scale.video if video else None, scale.audio if audio else None)

        return mutual_guidance(
            sides(self.text),
            # Without a second modality there is nothing mutual, and without one strength the fast form has no sense.
            sides(self.mutual if video and audio else self.text),
            sides(self.references) if references else None,
            form=self.form,
            above=self.mutual_above,
        ).reduced(video=video, audio=audio, voices=False, references=references)

    def shaping(self) -> Shaping | None:
        """What limits the guidance, or None where nothing does."""
        off = Scale(video=0.0, audio=0.0)
        rescale, limit = (
            AV(scale.video or None, scale.audio or None) for scale in (self.rescale or off, self.limit or off)
        )
        shaping = Shaping(rescale, limit, self.parallel)
        return None if shaping == Shaping() else shaping
