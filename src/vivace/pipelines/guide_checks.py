"""Guides that a user gave for a side that they cannot act on: one that is not made, or is made before the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vivace.errors import VivaceError
from vivace.pair import Modality
from vivace.pipelines.capabilities import Abilities
from vivace.pipelines.materials import Arranged, Modalities
from vivace.sampling.presets import SIDES_IN_TURN, Steps

# Guides that act on each side by itself, and the value, if there is one, that asks for what is so without them.
WITHOUT_EFFECT: dict[str, float | None] = {
    "text": None,
    "align": 0.0,
    "timbre": 0.0,
    "mutual": 1.0,
    "references": 1.0,
    "rescale": 0.0,
    "limit": 0.0,
}
# Of these, the ones that strengthen what a side takes from the other.
EXCHANGE = ("align", "mutual")


def check_sides(
    guides: Mapping[str, float], modalities: Modalities, arranged: Arranged, can: Abilities[Any], preset: Steps
) -> None:
    """Raises VivaceError for a guide of a single side that has nothing to act on.

    Args:
        guides: known ones, as a user gave them; what a preset has of its own may be without effect.
        preset: the one that a clip is made with.
    """
    absent: dict[str, str] = {}
    if modalities == "audio" or arranged.video_given:
        absent["video"] = "its pictures are given" if arranged.video_given else "the clip has no pictures"
    if modalities == "video" or arranged.audio_given:
        absent["audio"] = "its sound is given" if arranged.audio_given else "the clip has no sound"
    idle = None if absent else idle_side(preset)
    for name, scale in guides.items():
        guide, _, side = name.partition(".")
        side = "audio" if name == "timbre" else side
        if guide not in WITHOUT_EFFECT or scale == WITHOUT_EFFECT[guide]:
            continue
        if side in absent:
            raise VivaceError(f"Guide {name!r} has nothing to act on, because {absent[side]}; leave it out.")
        if idle is not None and guide in EXCHANGE and side == idle:
            made, later = ("picture", "sound") if idle == "video" else ("sound", "picture")
            raise VivaceError(
                f"Guide {name!r} has nothing to act on, because the {made} is made before there is a {later} "
                f"(order = {preset.order!r}); leave it out{_instead(can)}."
            )


def idle_side(preset: Steps) -> Modality | None:
    """The side that is made before the other and not again, so that it takes nothing from it; None without one."""
    turns = SIDES_IN_TURN[preset.order]
    return turns[0] if turns and turns[0] not in turns[1:] else None


def together_preset(can: Abilities[Any]) -> str | None:
    """The first of a model's presets that makes both sides at once, rather one of our scales; None without one."""
    found = [name for name, preset in can.presets.items() if preset.order == "together"]
    # Scales mean something else in the published convention: it is for want of another.
    return min(found, key=lambda name: getattr(can.presets[name], "official", False), default=None)


def _instead(can: Abilities[Any]) -> str:
    found = together_preset(can)
    return "" if found is None else f", or take preset {found!r}, which makes both at once"
