"""Published quality models, with weights that the user names: of a clip by itself, and of a clip and its caption.

Both stages are left out unless weights are named. `published` stands after duplicates, since it costs the most of all
that looks at pictures and sound, and before words are listened for and captions asked for; `agreement` needs the
caption.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field, model_validator

from vivace.curation.caption import parse
from vivace.curation.clip import Clip, Rejected
from vivace.curation.quality_models import (
    MOVING,
    STILLS,
    WITH_CAPTION,
    ask,
    check_named,
    faces_seen,
    load_judges,
    weights_print,
)
from vivace.curation.stage import StageSettings

if TYPE_CHECKING:
    from vivace.evaluation.metric import ItemMetric


class NetworkSettings(StageSettings):
    """Weights by key; without any the stage is left out. Bounds are the user's own, on the columns the weights give.

    Subclasses name their stage in `STAGE` and in `TABLE` the columns that each key gives.
    """

    STAGE: ClassVar[str]
    TABLE: ClassVar[Mapping[str, tuple[str, ...]]]

    use: bool = False
    weights: dict[str, Path] = Field(default_factory=dict, description="keys of docs/published-metrics.md to paths")

    @model_validator(mode="before")
    @classmethod
    def _used_where_asked_for(cls, values: Any) -> Any:
        return {"use": any(values.values()), **values} if isinstance(values, dict) else values

    @model_validator(mode="after")
    def _weights_are_there(self) -> NetworkSettings:
        if not self.use:
            return self
        if not self.weights:
            raise ValueError(f"no weights are named; add some under [{self.STAGE}.weights], or leave the table out")
        check_named(self.weights, self.TABLE)
        for reason, bound in self.bounds.items():
            stage, _, column = bound.column.partition(".")
            if stage == self.STAGE and column not in self.columns:
                raise ValueError(
                    f"bounds.{reason} is on {bound.column!r}, which the named weights do not give; they give "
                    f"{', '.join(self.columns)}"
                )
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """What the named weights give."""
        return tuple(name for key in self.weights for name in self.TABLE[key])

    def load(self) -> list[ItemMetric]:
        """The networks.

        Raises:
            VivaceError: as `load_judges`.
        """
        return load_judges(self.weights, self.columns)

    def measuring(self) -> dict[str, Any]:
        """With the weights' contents in place of their paths: moved files measure nothing anew, other ones do."""
        return {**super().measuring(), "weights": {key: weights_print(path) for key, path in self.weights.items()}}


class PublishedSettings(NetworkSettings):
    """Networks that need nothing but the clip."""

    STAGE: ClassVar = "published"
    TABLE: ClassVar = {**STILLS, **MOVING}

    pictures: int = Field(default=8, ge=1, description="of a clip, for networks that judge single pictures")


class AgreementSettings(NetworkSettings):
    """Networks that compare a clip with its caption."""

    STAGE: ClassVar = "agreement"
    TABLE: ClassVar = WITH_CAPTION


class Published:
    """Aesthetics, picture and sound quality and synchrony by networks of others."""

    name: ClassVar[str] = "published"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: PublishedSettings) -> None:
        self.settings = settings

    @cached_property
    def _judges(self) -> list[ItemMetric]:
        return self.settings.load()

    def measure(self, clip: Clip) -> Clip | Rejected:
        from vivace.evaluation.metric import Sample

        whole = clip.material()
        stills = {name for names in STILLS.values() for name in names}
        faces = faces_seen(whole.frames) if whole.frames is not None and "syncnet" in self.settings.weights else None
        moving = Sample(clip.id, whole, refs={"face_tracks": faces})
        found, reasons = ask([judge for judge in self._judges if judge.name not in stills], moving)
        few = whole
        if whole.frames is not None:
            places = np.linspace(0, len(whole.frames) - 1, min(self.settings.pictures, len(whole.frames)))
            few = replace(whole, frames=whole.frames[places.round().astype(int)])
        of_few, more = ask([judge for judge in self._judges if judge.name in stills], replace(moving, clip=few))
        return clip.with_columns(self.name, **found, **of_few, undefined={**reasons, **more})


class Agreement:
    """How well sound and pictures fit what the caption says of them."""

    name: ClassVar[str] = "agreement"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("captions",)

    def __init__(self, settings: AgreementSettings) -> None:
        self.settings = settings

    @cached_property
    def _judges(self) -> list[ItemMetric]:
        return self.settings.load()

    def measure(self, clip: Clip) -> Clip | Rejected:
        from vivace.evaluation.metric import Sample

        caption = parse(clip["captions.text"])
        # Speech is words, and no network here was taught what a voice says: the sound events alone.
        heard = ", ".join(caption.sounds) or None
        seen = ". ".join(text for text in (caption.visual, *(subject.looks for subject in caption.subjects)) if text)
        found, reasons = ask(self._judges, Sample(clip.id, clip.material(), seen, refs={"audio_prompt": heard}))
        return clip.with_columns(self.name, **found, undefined=reasons)
