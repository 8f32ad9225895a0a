"""The prompts of the world benchmark: held-out scenes told in words, and prompts written by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vivace.errors import VivaceError
from vivace.media import Clip
from vivace.timeline import Timeline
from vivace.world import HANDWRITTEN_PROMPTS, Scene, caption_with_attributes, render_audio, render_video, sample_scene

CAMERA_PROMPTS = 16  # for every 128 prompts
HAND_FOR_VALIDATION = 9  # one in nine of the hand-written prompts; the other 64 are seen once, in the test
CAPTION_STREAM = 2  # captions of the benchmark have a random stream of their own


@dataclass(frozen=True)
class WorldItem:
    """One prompt of the benchmark.

    Args:
        id: "seen-0003", unique in its set.
        group: "seen" (every combination of attributes occurs in training), "unseen" (at least one never does),
            "camera" (the camera moves), "hand" (written by hand).
        prompt: the text.
        expected: what the text states.
        seed: for generation.
        scene: the true scene; None for prompts written by hand.
        timeline, height, width: the clip that is asked for.
    """

    id: str
    group: str
    prompt: str
    expected: Mapping[str, Any]
    seed: int
    scene: Scene | None = None
    timeline: Timeline = field(default_factory=lambda: Timeline.covering(2.0))
    height: int = 128
    width: int = 128


def check_request(split: str, count: int) -> None:
    """Raises VivaceError for a split without benchmark prompts or a count below 2."""
    if split not in ("val", "test"):
        raise VivaceError(f"Split {split!r} holds no benchmark prompts; use val or test.")
    if isinstance(count, bool) or not isinstance(count, int) or count < 2:
        raise VivaceError(f"A benchmark of {count!r} prompts is too small; give a count of at least 2.")


def world_items(
    split: str = "val",
    count: int = 128,
    *,
    seconds: float = 2.0,
    fps: float = 24.0,
    height: int = 128,
    width: int = 128,
    hand: bool = True,
    camera: bool = True,
) -> list[WorldItem]:
    """The benchmark's prompts: `count` of held-out scenes, half of them with unseen combinations, then the others.

    The n-th prompt of a group and its seed n are the same whatever the count: a longer run extends a shorter one.

    Args:
        split: "val" to choose settings with, "test" to report.
        count: prompts in the groups "seen" and "unseen" together, from 2.
        seconds, fps, height, width: of the clips.
        hand: also the prompts written by hand.
        camera: also scenes with a moving camera (one for every eight).

    Raises:
        VivaceError: another split or a count below 2.
    """
    check_request(split, count)
    timeline = Timeline.covering(seconds, fps)
    groups = {"seen": count - count // 2, "unseen": count // 2}
    if camera:
        groups["camera"] = max(1, count * CAMERA_PROMPTS // 128)
    items = []
    for group, size in groups.items():
        for number, scene in zip(range(size), _scenes(split, group, float(timeline.seconds)), strict=False):
            prompt, expected = caption_with_attributes(scene, np.random.default_rng([scene.seed, CAPTION_STREAM]))
            items.append(
                WorldItem(f"{group}-{number:04d}", group, prompt, expected, number, scene, timeline, height, width)
            )
    if hand:
        for number, (prompt, expected) in enumerate(HANDWRITTEN_PROMPTS):
            if (number % HAND_FOR_VALIDATION == 0) != (split == "val"):
                continue
            items.append(
                WorldItem(f"hand-{number:04d}", "hand", prompt, expected, number, None, timeline, height, width)
            )
    return items


def true_clip(item: WorldItem) -> Clip:
    """The clip of an item's true scene.

    Raises:
        VivaceError: a prompt written by hand has none.
    """
    if item.scene is None:
        raise VivaceError(f"Prompt {item.id} was written by hand and has no true clip; leave it out.")
    frames = render_video(item.scene, item.timeline, item.height, item.width)
    return Clip(frames, item.timeline.fps, render_audio(item.scene, item.timeline), item.timeline.sample_rate)


def _scenes(split: str, group: str, seconds: float) -> Iterator[Scene]:
    seed = -1
    while True:
        seed += 1
        scene = sample_scene(
            seed, split, seconds=seconds, unseen_combination=None if group == "camera" else group == "unseen"
        )
        if (scene.camera.move != "still") == (group == "camera"):
            yield scene
