"""Stages that measure picture and sound: picture, sound, coherence, marks over a file, clarity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from benchmarks.curation.counting import Row, Table, curve, judged, share
from benchmarks.curation.shots import Shot
from scipy.ndimage import gaussian_filter

from vivace.curation.clip import Clip
from vivace.curation.file_views import file_views
from vivace.curation.stage import Bound, StageSettings
from vivace.curation.stages.clarity import BLURS, LEVELS, ClaritySettings, clarity_level
from vivace.curation.stages.coherence import CoherenceSettings
from vivace.curation.stages.picture import PictureSettings
from vivace.curation.stages.sound import SoundSettings
from vivace.perception.static_marks import mark_share
from vivace.world.footage_marks import MARKS, draw_mark, laid

FAULT_OF = {"out_of_sync": "shifted"}  # where a bound is not called as the fault
UNBOUND = {"sound": ("silent-part",)}  # faults of a stage on which it has no bound
BLURRED = 24  # shots that are blurred to known degrees


def picture(shots: Sequence[Shot]) -> Table:
    """Every bound on the picture."""
    return _bounds("picture", PictureSettings, shots)


def sound(shots: Sequence[Shot]) -> Table:
    """Every bound on the sound."""
    return _bounds("sound", SoundSettings, shots)


def coherence(shots: Sequence[Shot]) -> Table:
    """The bound on how late the sound is."""
    return _bounds("coherence", CoherenceSettings, shots)


def _bounds(stage: str, settings: type[StageSettings], shots: Sequence[Shot]) -> Table:
    """One row for each bound, and one for the stage, which finds a fault if it rejects its shot for any reason."""
    rows: list[Row] = []
    curves = {}
    clean = [shot for shot in shots if not shot.fault]
    for reason, bound in settings.DEFAULT_BOUNDS.items():
        own = [shot.clip.get(bound.column) for shot in shots if shot.fault == FAULT_OF.get(reason, reason)]
        if own:
            values = [shot.clip.get(bound.column) for shot in clean]
            rows.append({"bound": reason, **judged(bound, own, values)})
            curves[f"{reason}, {bound.column}"] = curve(bound, own, values)
    faults = {FAULT_OF.get(reason, reason) for reason in settings.DEFAULT_BOUNDS}
    others = UNBOUND.get(stage, ())
    for name, wanted in (("any bound", faults), *((f"any bound, {other}", {other}) for other in others)):
        own_shots = [shot for shot in shots if shot.fault in wanted]
        found, alarms = (sum(stage in shot.rejected for shot in group) for group in (own_shots, clean))
        if own_shots:
            rows.append(
                {
                    "bound": name,
                    "shots": len(own_shots),
                    "sound shots": len(clean),
                    "recall": share(found, len(own_shots)),
                    "precision": share(found, found + alarms),
                    "alarms": share(alarms, len(clean)),
                    "area": None,
                }
            )
    told = "Alarms: the share of sound shots that are rejected. Area: under the curve over all thresholds."
    return Table(stage, told, rows, curves)


def marks(files: Sequence[Clip]) -> Table:
    """Logos and watermarks over whole files, laid over the pictures that the stage `picture` takes of them."""
    bound = PictureSettings.model_validate({}).bounds["overlay"].model_copy(update={"column": "picture.marks"})
    shares: dict[str, list[float | None]] = {kind: [] for kind in ("", *MARKS)}
    for number, clip in enumerate(files):
        views = file_views(clip)
        for kind, values in shares.items():
            if kind:
                mark = draw_mark(np.random.default_rng(number), kind, *views[0].shape[:2])
                values.append(mark_share(list(laid(mark, np.stack(views)))))
            else:
                values.append(mark_share(views))
    rows = [{"mark": kind, **judged(bound, shares[kind], shares[""])} for kind in MARKS if files]
    curves = {f"{kind}, picture.marks": curve(bound, shares[kind], shares[""]) for kind in MARKS if files}
    unsaid = sum(value is None for value in shares[""])
    told = (
        f"Marks over {len(files)} files, by what stays over their shots; sound shots are here the files as they are. "
        f"Of {unsaid} of these nothing can be said, as too few of their shots differ."
    )
    return Table("marks", told, rows, curves)


def clarity(shots: Sequence[Shot]) -> Table:
    """The level of sound shots blurred to the six known degrees."""
    bound = Bound(column="clarity.level", least=ClaritySettings().least)
    chosen = [shot for shot in shots if not shot.fault][:BLURRED]
    levels: list[list[float]] = [[] for _ in BLURS]
    for shot in chosen:
        frames = shot.clip.material().frames
        assert frames is not None
        frames = frames[np.linspace(0, len(frames) - 1, 5).round().astype(int)]
        for blur, found in zip(BLURS, levels, strict=True):
            deviation = blur * min(frames.shape[1:3]) / 1000
            found.append(clarity_level(gaussian_filter(frames, (0, deviation, deviation, 0)) if blur else frames))
    rows = [
        {
            "blur, thousandths of the side": blur,
            "true level": LEVELS - 1 - n,
            "shots": len(found),
            "median level": float(np.median(found)) if found else None,
            "below the level before": share(sum(b < a for a, b in zip(levels[n - 1], found, strict=True)), len(found))
            if n
            else None,
            "rejected": share(sum(not bound.holds(value) for value in found), len(found)),
        }
        for n, (blur, found) in enumerate(zip(BLURS, levels, strict=True))
    ]
    told = "Sound shots blurred to the six reference degrees; below the level before: than the same shot less blurred."
    points = curve(bound, levels[-1], levels[0]) if chosen else []
    return Table("clarity", told, rows if chosen else [], {"clarity.level, of the most blurred and the sharp": points})
