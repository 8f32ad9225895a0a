"""Clips of characters that persist, with pictures of who is to be seen: what references are learned from.

Nothing here needs torch, so that worker processes start quickly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from vivace.timeline import Timeline
from vivace.training.clips import ClipPlan, Length, Size
from vivace.world import Scene
from vivace.world.takes import TAKES, References, reference_shots, still, take_scene


class CharacterSource(BaseModel):
    """Takes of characters with references. Every choice of clip i is a function of (seed, i).

    References come from other takes of the same character ("cross"), from the take itself with pose, scene, light and
    colours changed ("perturbed"), or from the take as it is ("same", which teaches to copy: for comparison).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    characters: int = Field(gt=0, description="how many; each has `takes` clips")
    takes: int = Field(default=8, gt=0, le=TAKES, description="clips of each character")
    first_character: int = Field(default=0, ge=0)
    references: References = "cross"
    most: int = Field(default=2, ge=1, le=8, description="references of a clip; the rule may leave fewer")
    seed: int = Field(default=0, ge=0, description="mixes lengths and sizes")
    split: Literal["train", "val", "test"] = "train"
    fps: int = Field(default=24, gt=0, le=240)
    lengths: tuple[Length, ...] = Field(default=(Length(seconds=2.0),), min_length=1)
    sizes: tuple[Size, ...] = Field(default=(Size(height=128, width=128),), min_length=1)


@dataclass(frozen=True)
class TakePlan(ClipPlan):
    """One take, and what references it has."""

    character: int
    take: int
    references: References
    most: int

    @property
    def id(self) -> str:
        return f"take-{self.split}-{self.character:06d}-{self.take:02d}"

    def scene(self, seconds: float) -> Scene:
        return take_scene(self.character, self.take, self.split, seconds)

    def columns(self) -> dict[str, Any]:
        return {"character": self.character, "take": self.take, "references": self.references}

    def pictures(self) -> list[np.ndarray]:
        """The references, uint8 [height, width, 3] each, best first."""
        seconds = float(Timeline.covering(self.seconds, self.fps).seconds)
        shots = reference_shots(
            self.character, self.take, self.split, seconds, self.references, self.most, self.height, self.width
        )
        return [still(shot, self.height, self.width) for shot in shots]


def plan_takes(source: CharacterSource) -> list[TakePlan]:
    """The takes of a source, in order; the same for any number of workers and any interruption."""
    return [_plan(source, index) for index in range(source.characters * source.takes)]


def _plan(source: CharacterSource, index: int) -> TakePlan:
    rng = np.random.default_rng([source.seed, index])
    sizes, lengths = (np.array([one.weight for one in many]) for many in (source.sizes, source.lengths))
    length = source.lengths[int(rng.choice(len(lengths), p=lengths / lengths.sum()))]
    size = source.sizes[int(rng.choice(len(sizes), p=sizes / sizes.sum()))]
    character, take = source.first_character + index // source.takes, index % source.takes
    return TakePlan(
        index=index,
        content="scene",
        seed=character * TAKES + take,
        split=source.split,
        kind="talk",
        seconds=length.seconds,
        fps=source.fps,
        height=size.height,
        width=size.width,
        character=character,
        take=take,
        references=source.references,
        most=source.most,
    )
