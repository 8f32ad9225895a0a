"""Picture quality: "high", or one of thirteen named defects.

Alive's data pipeline has thirteen defects whose names are unpublished; these are ours, of what can be measured without
weights: overlay, letterboxed, black, frozen, still, hectic, blurred, noisy, blocky, dark, bright, flickering, flat.
"""

from __future__ import annotations

from typing import ClassVar

from vivace.curation.clip import Clip, Rejected
from vivace.curation.motion import flow_of
from vivace.curation.stage import Bound, StageSettings


class PictureSettings(StageSettings):
    """One bound for each defect; `still` and `hectic` are the two sides of motion. The column `label` names the first
    that a clip has, or is "high"."""

    LABEL: ClassVar = "label"
    DEFAULT_BOUNDS: ClassVar = {
        "black": Bound(column="picture.black", most=0.1),
        "still": Bound(column="picture.motion", least=0.0005),
        # A share, since a codec's keyframes break a long standstill into runs of their own distance. Scenes that rest
        # between events reach 0.6.
        "frozen": Bound(column="picture.frozen", most=0.7),
        "letterboxed": Bound(column="picture.borders", most=0.04),
        "overlay": Bound(column="picture.overlay", most=0.01),
        # Footage without blocks reaches 0.4; coarse blocks begin at 0.75.
        "blocky": Bound(column="picture.blocking", most=0.5),
        "noisy": Bound(column="picture.grain", most=5.0),
        # Light before sharpness, which has no edges to go by in pictures that are washed out.
        "dark": Bound(column="picture.brightness", least=45.0),
        "bright": Bound(column="picture.blown", most=0.25),
        "flat": Bound(column="picture.contrast", least=30.0),
        "blurred": Bound(column="picture.sharpness", least=0.35),
        # A picture that is thrown about changes its brightness too.
        "hectic": Bound(column="picture.motion", most=0.7),
        "flickering": Bound(column="picture.flicker", most=3.0),
    }


class Picture:
    """All figures of the pictures; the bounds name the defect."""

    name: ClassVar[str] = "picture"
    version: ClassVar[int] = 4
    needs: ClassVar[tuple[str, ...]] = ("ingest",)

    def __init__(self, settings: PictureSettings) -> None:
        self.settings = settings

    def measure(self, clip: Clip) -> Clip | Rejected:
        from vivace.curation.file_views import file_views
        from vivace.perception.blocking import measure_blocking
        from vivace.perception.borders import border_share
        from vivace.perception.exposure import measure_exposure
        from vivace.perception.flicker import measure_flicker
        from vivace.perception.grain import measure_grain
        from vivace.perception.sharpness import measure_sharpness
        from vivace.perception.static_marks import mark_share
        from vivace.perception.stills import detect_stills
        from vivace.perception.text_overlay import text_share

        material = clip.material()
        frames, fps = material.frames, float(material.fps)
        assert frames is not None
        stills, light, flow = detect_stills(frames, fps), measure_exposure(frames), flow_of(clip)
        # Lettering shows in the clip itself, a logo only by what stays over the file's shots.
        text, marks = text_share(frames), mark_share(file_views(clip))
        return clip.with_columns(
            self.name,
            black=_rounded(stills.black),
            frozen=_rounded(stills.frozen),
            borders=_rounded(border_share(frames)),
            overlay=_rounded(max(text, marks or 0.0)),
            text=_rounded(text),
            marks=_rounded(marks),
            blocking=_rounded(measure_blocking(frames)),
            grain=_rounded(measure_grain(frames)),
            sharpness=_rounded(measure_sharpness(frames, rounding=1.0)),
            flicker=_rounded(measure_flicker(frames, fps)),
            brightness=_rounded(light.brightness),
            contrast=_rounded(light.contrast),
            crushed=_rounded(light.crushed),
            blown=_rounded(light.blown),
            motion=_rounded(float(flow.speed.mean()) if len(flow.vectors) else None),
        )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)
