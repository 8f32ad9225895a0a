"""Presets of models that are guided by several conditions at once (Alive)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import Field

from vivace.errors import VivaceError
from vivace.pair import AV
from vivace.sampling.guidance import Guidance, check_scale
from vivace.sampling.guidance_shaping import Shaping
from vivace.sampling.mutual_guidance import MutualForm, mutual_guidance
from vivace.sampling.presets import Scale, Steps

MUTUAL_GUIDES = ("text", "mutual", "references")


class MutualPreset(Steps):
    """How to sample Alive. A scale of 1 is the plain prediction.

    Args:
        text, mutual, references: scales of each condition; the last counts only where references are given.
        form: how they are put together (`mutual_guidance`).
        mutual_above: mutual guidance acts above this noise level only.
        rescale, limit, parallel: of `Shaping`; a rescale of 0 and no limit are off.
    """

    text: Scale = Scale(video=5.0, audio=5.0)
    mutual: Scale = Scale(video=3.0, audio=3.0)
    references: Scale = Scale(video=3.0, audio=1.0)
    form: MutualForm = "additive"
    mutual_above: float = Field(default=0.0, ge=0, lt=1)
    rescale: Scale | None = None
    limit: Scale | None = None
    parallel: float = Field(default=1.0, ge=0, le=1)

    def with_guides(self, guides: Mapping[str, float]) -> Self:
        """The same preset with guides replaced: "text", "mutual", "references", or one side as "text.audio".

        Raises:
            VivaceError: an unknown guide or a scale out of range.
        """
        changes: dict[str, Scale] = {}
        # Whole guides before single sides, so that "text" with "text.audio" means the same in either order.
        for name, value in sorted(guides.items(), key=lambda item: "." in item[0]):
            guide, _, side = name.partition(".")
            if guide not in MUTUAL_GUIDES or side not in ("", "video", "audio"):
                raise VivaceError(
                    f"Guide {name!r} is unknown; use {', '.join(MUTUAL_GUIDES[:-1])} or {MUTUAL_GUIDES[-1]}, "
                    "and .video or .audio for one side."
                )
            check_scale(name, value)
            now: Scale = changes.get(guide, getattr(self, guide))
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
        if not self.rescale and not self.limit and self.parallel == 1:
            return None
        rescale, limit = (AV(scale.video, scale.audio) if scale else AV() for scale in (self.rescale, self.limit))
        return Shaping(rescale, limit, self.parallel)
