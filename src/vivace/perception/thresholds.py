"""The detectors' settings, chosen on true clips by `benchmarks/calibrate_perception.py`, frozen in thresholds.json."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class OnsetThresholds:
    """Sound onsets.

    Args:
        range_db: the logarithm's floor below the clip's loudest band, dB.
        lag: frames of 5 ms over which a rise is measured.
        rise: least rise above the local median, nepers (mean over bands).
        median_window: length of the local median, seconds.
        min_gap: two onsets are at least this far apart, seconds.
        after_frames: frames of 5 ms after the onset from which its side and level are taken.
        bias: constant subtracted from every time, seconds.
        pan_range: constant-power panning of a sound at the screen's edge (1 would leave the far channel silent).
        silence: a clip whose loudest band stays under this power is silent.
    """

    range_db: float = 45.0
    lag: int = 3
    rise: float = 0.35
    median_window: float = 0.2
    min_gap: float = 0.05
    after_frames: int = 4
    bias: float = -0.0039
    pan_range: float = 0.92
    silence: float = 1e-9


@dataclass(frozen=True)
class ColourThresholds:
    """Coloured shapes.

    Args:
        saturation, chroma: a pixel above both is coloured (saturation 0 to 1, chroma 0 to 255).
        least_area: smaller shapes are noise, in squared shorter picture sides.
    """

    saturation: float = 0.52
    chroma: float = 45.0
    least_area: float = 0.003


@dataclass(frozen=True)
class TrackThresholds:
    """Following coloured shapes.

    Args:
        fastest: largest speed between two frames, shorter picture sides per second (a fall over the whole picture
            under the world's gravity ends at 3.5).
        longest_gap: frames for which a thing may be lost.
        least_share: a track covers at least this share of the frames.
        least_travel: a thing that moves less far up and down than this stays where it is.
        part_gap: standing shapes of one colour nearer than this are one thing.
    """

    fastest: float = 3.6
    longest_gap: int = 3
    least_share: float = 0.3
    least_travel: float = 0.05
    part_gap: float = 0.05


@dataclass(frozen=True)
class BounceThresholds:
    """Contacts of falling things; lengths in shorter picture sides, times in seconds.

    Args:
        gravity: curvature of the fall (the world's own, `vivace.world.physics.GRAVITY`).
        least_change: smallest change of speed at a contact.
        least_speed: smallest speed before a contact.
        least_gap: two contacts of one thing are at least this far apart.
        reach: how far before and after a contact pictures are taken into its fit.
        ground: contacts are at most this far above or below the lowest place that the thing reaches.
    """

    gravity: float = 6.0
    least_change: float = 0.5
    least_speed: float = 0.35
    least_gap: float = 0.09
    reach: float = 0.22
    ground: float = 0.12


@dataclass(frozen=True)
class MalletThresholds:
    """The head of a mallet; lengths in shorter picture sides.

    Args:
        dark, pale: a pixel darker (lighter) than this, mean of RGB in 0 to 255, can belong to a dark (pale) head.
        chroma: and only one less coloured than this.
        radius: of the head.
        candidates: places considered in each frame.
        farthest: a jump of this length between two frames costs the whole of `jump_cost`.
        jump_cost: in units of likeness.
        least_travel: a head swings at least this far up and down.
        least_clarity: mean likeness of a path that counts.
    """

    dark: float = 100.0
    pale: float = 165.0
    chroma: float = 45.0
    radius: float = 0.045
    candidates: int = 8
    farthest: float = 0.3
    jump_cost: float = 1.0
    least_travel: float = 0.05
    least_clarity: float = 0.3


@dataclass(frozen=True)
class StrokeThresholds:
    """Strokes of a mallet; lengths in shorter picture sides, times in seconds.

    Args:
        least_fall: the head falls and rises by at least this.
        least_change: smallest change of speed at a stroke, per second.
        reach: how far before and after a stroke pictures are taken into its fit.
    """

    least_fall: float = 0.025
    least_change: float = 0.8
    reach: float = 0.13


@dataclass(frozen=True)
class FloorThresholds:
    """Floor materials by their look.

    Args:
        materials: name -> (lightness, tint) as `vivace.perception.materials.floor_appearance` measures them.
        lightness_scale, tint_scale: differences that count as one.
        farthest: a floor farther than this from every material is none of them.
    """

    materials: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    lightness_scale: float = 25.0
    tint_scale: float = 8.0
    farthest: float = 3.0


@dataclass(frozen=True)
class Thresholds:
    """All frozen settings and where they come from."""

    onsets: OnsetThresholds
    colours: ColourThresholds
    tracks: TrackThresholds
    bounces: BounceThresholds
    mallets: MalletThresholds
    strokes: StrokeThresholds
    floors: FloorThresholds
    provenance: dict[str, Any]


@lru_cache(maxsize=1)
def thresholds() -> Thresholds:
    """The frozen settings, read once from thresholds.json beside this file."""
    stored = json.loads((files("vivace.perception") / "thresholds.json").read_text(encoding="utf-8"))
    return Thresholds(
        onsets=OnsetThresholds(**stored["onsets"]),
        colours=ColourThresholds(**stored["colours"]),
        tracks=TrackThresholds(**stored["tracks"]),
        bounces=BounceThresholds(**stored["bounces"]),
        mallets=MalletThresholds(**stored["mallets"]),
        strokes=StrokeThresholds(**stored["strokes"]),
        floors=FloorThresholds(**stored["floors"]),
        provenance=stored["provenance"],
    )


@lru_cache(maxsize=1)
def fingerprint() -> str:
    """Digest of every frozen setting and weight: findings of equal fingerprints can be compared. 16 hex digits."""
    room = files("vivace.perception")
    stored = json.loads((room / "thresholds.json").read_text(encoding="utf-8"))
    stored.pop("provenance")
    digest = hashlib.sha256(json.dumps(stored, sort_keys=True).encode())
    digest.update((room / "sounds.safetensors").read_bytes())
    return digest.hexdigest()[:16]
