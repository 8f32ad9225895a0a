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
class CutThresholds:
    """Hard cuts.

    Args:
        cells: the picture is a grid of so many by so many cells.
        reach: pictures before and after a cut that are compared.
        level: a cell whose mean colour differs by more than this (0 to 255, mean of RGB) has changed.
        share: at a cut more than this share of the cells has changed.
    """

    cells: int = 12
    reach: int = 3
    level: float = 6.0
    share: float = 0.55


@dataclass(frozen=True)
class CameraThresholds:
    """The camera's move.

    Args:
        side: pictures are made this small, shorter side in pixels.
        blur: standard deviation of their smoothing, pixels.
        step: pictures between two that are compared.
        rounds: of reweighted least squares.
        change: a pixel's change that is not yet remarkable, 0 to 255.
        least_pan: a pan goes at least this far, picture widths.
        least_zoom: a zoom changes sizes by at least this, natural logarithm.
    """

    side: int = 64
    blur: float = 1.0
    step: int = 4
    rounds: int = 8
    change: float = 0.3
    least_pan: float = 0.055
    least_zoom: float = 0.08


@dataclass(frozen=True)
class SilenceThresholds:
    """Silence.

    Args:
        stretch: length of the stretches whose loudest counts, seconds.
        level: a clip in which it stays under this is silent, dBFS.
    """

    stretch: float = 0.05
    level: float = -50.0


@dataclass(frozen=True)
class AmbienceThresholds:
    """Ambient sounds by their spectra.

    Args:
        templates: name -> mean features of true clips, as `vivace.perception.ambience.ambience_features` gives them.
        scale: standard deviation of each feature among clips of one name.
        farthest: a clip farther than this from every template has none of these sounds.
        silence: a clip that never exceeds this has none either.
    """

    templates: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    scale: tuple[float, ...] = ()
    farthest: float = 3.0
    silence: float = 1e-3


@dataclass(frozen=True)
class PassingThresholds:
    """Passing vehicles.

    Args:
        hop: stretches whose level on either side is compared, seconds.
        pan_range: as of `OnsetThresholds`.
        silence: power under which there is no sound.
        lasting, least_lasting: for at least this share of the time its power is above this share of the greatest.
        slowest, fastest: speeds looked for in the levels, half pictures per second.
        side: a passing is heard at least this far to both sides, in half pictures.
        unexplained: at most this share of the sound's way is not a passing at constant speed.
        bias: constant subtracted from the time by the levels, seconds (what comes from the sides comes late).
        distance: of the listener from the lane, metres (the world's own, `vivace.world.vehicle.DISTANCE`).
        slow, fast, speeds: speeds looked for in the pitch, m/s, and how many.
        moment_step, moments: spacing (seconds) of the moments looked at in the pitch, and how many to either side.
        sharper: undoing the passing makes the spectrum sharper by at least this factor.
        least_way: a thing that passes moves by this in the length of the clip, picture widths.
        least_crossing: and is seen to move by this.
    """

    hop: float = 0.02
    pan_range: float = 0.92
    silence: float = 1e-9
    lasting: float = 1e-3
    least_lasting: float = 0.8
    slowest: float = 0.6
    fastest: float = 5.5
    side: float = 0.3
    unexplained: float = 0.2
    bias: float = 0.0026
    distance: float = 7.0
    slow: float = 4.0
    fast: float = 28.0
    speeds: int = 9
    moment_step: float = 0.06
    moments: int = 4
    sharper: float = 1.2
    least_way: float = 0.9
    least_crossing: float = 0.1


@dataclass(frozen=True)
class FaceThresholds:
    """Faces; lengths in shorter picture sides.

    Args:
        smallest, largest, steps: half widths of heads looked for, and how many.
        least: score of the template from which there is a face.
        looks: pictures of a clip that are looked at.
        share: a face is found in at least this share of them.
    """

    smallest: float = 0.13
    largest: float = 0.27
    steps: int = 8
    least: float = 0.4
    looks: int = 7
    share: float = 0.5


@dataclass(frozen=True)
class LipThresholds:
    """Lips.

    Args:
        unlike: a pixel that differs from the skin (or beard) beside the mouth by this much begins to be lips, 0 to 255.
        other: and by this much is no skin.
        gain: from the height of what is no skin, in half head widths, to the opening (0 to 1).
    """

    unlike: float = 10.0
    other: float = 32.0
    gain: float = 2.4


@dataclass(frozen=True)
class LipSyncThresholds:
    """Lips against voice.

    Args:
        bands, rest: from the loudness of each band to how open the mouth sounds.
        moves: a mouth whose opening has a larger standard deviation moves.
        farthest: lag that is looked for, seconds.
        bias: constant subtracted from the lag, seconds.
    """

    bands: tuple[float, ...] = ()
    rest: float = 0.0
    moves: float = 0.08
    farthest: float = 0.25
    bias: float = 0.0


@dataclass(frozen=True)
class SpeechThresholds:
    """Speech.

    Args:
        gap: a pause longer than this parts two spans, seconds.
    """

    gap: float = 0.11


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
    cuts: CutThresholds
    camera: CameraThresholds
    silence: SilenceThresholds
    ambience: AmbienceThresholds
    passing: PassingThresholds
    faces: FaceThresholds
    lips: LipThresholds
    lip_sync: LipSyncThresholds
    speech: SpeechThresholds
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
        cuts=CutThresholds(**stored["cuts"]),
        camera=CameraThresholds(**stored["camera"]),
        silence=SilenceThresholds(**stored["silence"]),
        ambience=AmbienceThresholds(**stored["ambience"]),
        passing=PassingThresholds(**stored["passing"]),
        faces=FaceThresholds(**stored["faces"]),
        lips=LipThresholds(**stored["lips"]),
        lip_sync=LipSyncThresholds(**stored["lip_sync"]),
        speech=SpeechThresholds(**stored["speech"]),
        provenance=stored["provenance"],
    )


@lru_cache(maxsize=1)
def fingerprint() -> str:
    """Digest of every frozen setting and weight: findings of equal fingerprints can be compared. 16 hex digits."""
    room = files("vivace.perception")
    stored = json.loads((room / "thresholds.json").read_text(encoding="utf-8"))
    stored.pop("provenance")
    digest = hashlib.sha256(json.dumps(stored, sort_keys=True).encode())
    weights = [room / "sounds.safetensors", room / "faces.safetensors"]
    for network in sorted((room / "weights").iterdir(), key=lambda folder: folder.name):
        weights += [network / "config.json", network / "diffusion_pytorch_model.safetensors"]
    for file in weights:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
