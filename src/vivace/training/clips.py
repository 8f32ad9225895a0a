"""Clips of the world that training asks for: planned first, then rendered one by one in any process.

Nothing here needs torch, so that worker processes start quickly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from vivace.timeline import Timeline
from vivace.world import Scene, pictures_at, render_audio, render_video, sample_scene, variety_audio, variety_video

# Sound is rendered this many pictures past the clip's end, so that the audio codec's last token is encoded with the
# context that it has everywhere else, and nothing is mirrored or cut at the edge.
TAIL_FRAMES = 4

MOMENT = 0x5711  # of a picture alone: keeps its draw apart from all that a scene's seed decides


class Length(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    seconds: float = Field(gt=0, le=60)
    weight: float = Field(default=1.0, gt=0)


class Size(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    height: int = Field(ge=16, le=2048, multiple_of=16)
    width: int = Field(ge=16, le=2048, multiple_of=16)
    weight: float = Field(default=1.0, gt=0)


class SceneSource(BaseModel):
    """Which clips of the world, in what mixture. Every choice of clip i is a function of (seed, i)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    clips: int = Field(gt=0)
    seed: int = Field(default=0, ge=0, description="mixes lengths, sizes and kinds")
    first_scene: int = Field(default=0, ge=0, description="world seed of the first clip; the next has the next")
    split: Literal["train", "val", "test"] = "train"
    fps: int = Field(default=24, gt=0, le=240)
    lengths: tuple[Length, ...] = Field(default=(Length(seconds=2.0),), min_length=1)
    sizes: tuple[Size, ...] = Field(default=(Size(height=128, width=128),), min_length=1)
    kinds: dict[str, float] | None = Field(
        default=None, description="scene kinds and their weights; the world's own when absent"
    )
    variety: float = Field(
        default=0.0, ge=0, le=1, description="share of clips that are not scenes: faces, textures, speech"
    )


@dataclass(frozen=True)
class ClipPlan:
    """One clip to be made, decided before any is rendered."""

    index: int
    content: Literal["scene", "variety"]
    seed: int
    split: Literal["train", "val", "test"]
    kind: str | None
    seconds: float
    fps: int
    height: int
    width: int

    @property
    def id(self) -> str:
        return f"{self.content}-{self.split}-{self.index:07d}"

    def scene(self, seconds: float) -> Scene:
        """What a clip of this length shows."""
        return sample_scene(self.seed, self.split, kind=self.kind, seconds=seconds)

    def columns(self) -> dict[str, Any]:
        """What the index says of this sort of clip alone."""
        return {}


@dataclass(frozen=True)
class RenderedClip:
    """A clip as it is stored.

    Args:
        video: uint8 [T, H, W, 3]; of sound alone there are no pictures, and T is 0.
        audio: int16 [2, N] at 16 kHz, reaching `TAIL_FRAMES` past the last picture; of a picture alone N is 0.
        row: what the index says about it.
    """

    plan: ClipPlan
    video: np.ndarray
    audio: np.ndarray
    row: dict[str, Any]


def plan_clips(source: SceneSource) -> list[ClipPlan]:
    """The clips of a source, in order; the same for any number of workers and any interruption."""
    return [_plan(source, index) for index in range(source.clips)]


def _plan(source: SceneSource, index: int) -> ClipPlan:
    rng = np.random.default_rng([source.seed, index])

    def pick(weights: list[float]) -> int:
        return int(rng.choice(len(weights), p=np.array(weights) / sum(weights)))

    length = source.lengths[pick([length.weight for length in source.lengths])]
    size = source.sizes[pick([size.weight for size in source.sizes])]
    kinds = list(source.kinds or {})
    kind = kinds[pick([source.kinds[name] for name in kinds])] if source.kinds else None
    content: Literal["scene", "variety"] = "variety" if rng.random() < source.variety else "scene"
    return ClipPlan(
        index,
        content,
        source.first_scene + index,
        source.split,
        kind,
        length.seconds,
        source.fps,
        size.height,
        size.width,
    )


def render_clip(plan: ClipPlan) -> RenderedClip:
    """Picture, sound and index row of one planned clip."""
    timeline, scene = Timeline.covering(plan.seconds, plan.fps), _scene_of(plan)
    if scene is None:
        video = variety_video(plan.seed, timeline.frames, plan.height, plan.width)
    else:
        video = render_video(scene, timeline, plan.height, plan.width)
    return replace(_without_pictures(plan, scene), video=video)


def render_sound(plan: ClipPlan) -> RenderedClip:
    """Sound and index row of one planned clip, whose pictures are not drawn."""
    return _without_pictures(plan, _scene_of(plan))


def render_picture(plan: ClipPlan) -> RenderedClip:
    """One picture of a planned clip's scene, at a moment that its seed draws, as a clip of one frame without sound."""
    whole, scene = Timeline.covering(plan.seconds, plan.fps), _scene_of(plan)
    one = Timeline(1, whole.fps)
    if scene is None:
        video = variety_video(plan.seed, 1, plan.height, plan.width)
    else:
        moment = np.random.default_rng([plan.seed, MOMENT]).uniform(0, float(whole.seconds))
        video = pictures_at(scene, np.array([moment]), plan.height, plan.width)
    row = _row(plan, scene, one)
    return RenderedClip(plan, video, np.zeros((2, 0), np.int16), row)


def _scene_of(plan: ClipPlan) -> Scene | None:
    """What is drawn and heard; None of a clip that is no scene."""
    return None if plan.content == "variety" else plan.scene(float(Timeline.covering(plan.seconds, plan.fps).seconds))


def _without_pictures(plan: ClipPlan, scene: Scene | None) -> RenderedClip:
    timeline = Timeline.covering(plan.seconds, plan.fps)
    longer = Timeline(timeline.frames + TAIL_FRAMES, timeline.fps)
    if scene is None:
        audio = variety_audio(plan.seed, longer.samples, longer.sample_rate)
    else:
        audio = render_audio(scene, longer)
    pictures = np.zeros((0, plan.height, plan.width, 3), np.uint8)
    return RenderedClip(plan, pictures, to_int16(audio), _row(plan, scene, timeline))


def _row(plan: ClipPlan, scene: Scene | None, timeline: Timeline) -> dict[str, Any]:
    row: dict[str, Any] = {
        "content": plan.content,
        "split": plan.split,
        "seed": plan.seed,
        "kind": "variety" if scene is None else scene.kind,
        "scene": "" if scene is None else scene.to_json(),
        "seconds": float(timeline.seconds),
        "fps": plan.fps,
        "frames": timeline.frames,
        "height": plan.height,
        "width": plan.width,
        "samples": timeline.samples,
        "audio_tokens": timeline.audio_tokens,
    }
    return row if scene is None else row | plan.columns()


def to_int16(audio: np.ndarray) -> np.ndarray:
    """float [-1, 1] -> int16, of any shape."""
    return np.clip(np.round(audio * 32768), -32768, 32767).astype(np.int16)


def from_int16(audio: np.ndarray) -> np.ndarray:
    """int16 -> float32 in [-1, 1], of any shape."""
    return audio.astype(np.float32) / 32768
