"""What a proxy's figure says of a capability: good, unsure or fails, held against clips of which that is known.

Each proxy has two anchors from the calibration (docs/results/calibration.json): its mean over true clips of the world,
and over the same clips with the damage that the proxy is to tell, each the less telling of impacts and talk. A figure
in the third next to the truth is good, in the third next to the damage and beyond it fails; what lies between, or has
an interval that reaches into another third, is unsure. The anchors are in proxy_anchors.json. They come from simple
drawn clips, so that a verdict points where to look and is no proof.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

Verdict = Literal["good", "unsure", "fails"]
HELD_AGAINST = (
    "A verdict holds a figure against true clips of the world and against clips with the damage that it is to tell; it "
    "points where to look and proves nothing."
)
IMPACTS, TALK = "impacts", "talk"
# Proxy -> the damage that it is to tell, and the materials in which it can.
DAMAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "picture_motion": ("still picture", (IMPACTS, TALK)),
    "picture_frozen": ("frozen", (IMPACTS, TALK)),
    "picture_flicker": ("flickering", (IMPACTS, TALK)),
    "picture_sharpness": ("blurred", (IMPACTS, TALK)),
    "picture_contrast": ("dark", (IMPACTS, TALK)),
    "sound_clipped": ("clipped", (IMPACTS, TALK)),
    "sound_floor": ("hissing", (IMPACTS, TALK)),
    "av_align_own_code": ("swapped sound", (IMPACTS, TALK)),
    "av_align_own_mova": ("swapped sound", (IMPACTS, TALK)),
}


@dataclass(frozen=True)
class Anchor:
    """truth, damaged: the two means. damage: which."""

    truth: float
    damaged: float
    damage: str

    def place(self, value: float) -> float:
        """1 at the truth, 0 at the damage."""
        return (value - self.damaged) / (self.truth - self.damaged)


@cache
def anchors() -> Mapping[str, Anchor]:
    """By proxy."""
    stored = json.loads((files("vivace.evaluation") / "proxy_anchors.json").read_text(encoding="utf-8"))
    return {name: Anchor(**anchor) for name, anchor in stored.items()}


def anchors_from(rows: Iterable[Mapping[str, Any]]) -> dict[str, Anchor]:
    """The anchors that the rows of a calibration give, rounded to three digits."""
    means = {(row["material"], row["measure"]): row["means"] for row in rows}
    found = {}
    for name, (damage, materials) in DAMAGES.items():
        pairs = [(means[material, name]["truth"][0], means[material, name][damage][0]) for material in materials]
        better = max if pairs[0][0] > pairs[0][1] else min
        worse = min if better is max else max
        truth, damaged = worse(true for true, _ in pairs), better(bad for _, bad in pairs)
        found[name] = Anchor(float(f"{truth:.3g}"), float(f"{damaged:.3g}"), damage)
    return found


def verdict_of(proxy: str, found: Mapping[str, Any]) -> Verdict | None:
    """What a figure says; None where it has no value or its proxy no anchors.

    Args:
        found: its entry in summary.json.
    """
    anchor, value = anchors().get(proxy), found.get("value")
    if anchor is None or value is None:
        return None
    ends = [value if found.get(end) is None else found[end] for end in ("ci_low", "ci_high")]
    low, high = sorted(anchor.place(float(end)) for end in ends)
    return "good" if low >= 2 / 3 else "fails" if high <= 1 / 3 else "unsure"


def verdict_of_dimension(proxies: Mapping[str, Mapping[str, Any]]) -> Verdict | None:
    """It fails where one proxy does, and is good where all that say something say so."""
    said: Sequence[Verdict] = [v for name, found in proxies.items() if (v := verdict_of(name, found)) is not None]
    if not said:
        return None
    return "fails" if "fails" in said else "good" if set(said) == {"good"} else "unsure"


def told(dimensions: Mapping[str, Mapping[str, Any]]) -> str:
    """A summary's dimensions in one line: which fail, are unsure and are good, and of how many nothing is said."""
    by: dict[Verdict | None, list[str]] = {}
    for name, dimension in dimensions.items():
        by.setdefault(verdict_of_dimension(dimension["proxies"]), []).append(name)
    kinds: tuple[Verdict, ...] = ("fails", "unsure", "good")
    parts = [f"{kind}: {', '.join(by[kind])}" for kind in kinds if kind in by]
    if None in by:
        parts.append(f"{len(by[None])} without a verdict")
    return "; ".join(parts)
