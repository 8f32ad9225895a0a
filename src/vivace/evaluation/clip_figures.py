"""What is measured of a clip of the world benchmark while it is there, and kept in its line for when it is not.

Figures of any clip (`quality_metrics.clip_metrics`), lengths, figures against the true clip (`pair_metrics`,
`script_metrics.path_metrics`), the traces that swapped sound is measured by, and the vectors of `signal_sets`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from vivace.evaluation.metric import ItemMetric, Result, Sample, Undefined
from vivace.evaluation.pair_metrics import length_metrics, pair_metrics
from vivace.evaluation.quality_metrics import clip_metrics
from vivace.evaluation.script_metrics import path_metrics
from vivace.evaluation.signal_sets import picture_features, sound_features
from vivace.evaluation.traces import (
    PictureTrace,
    SoundTrace,
    outcomes_of_traces,
    picture_trace,
    picture_trace_from_json,
    sound_trace,
    sound_trace_from_json,
)
from vivace.media import Clip

Outcome = list[float] | Undefined
_UNKNOWN = Undefined("the clip was made by an earlier version, which has not measured it by itself")
_PICTURES, _SOUND = frozenset({"pictures"}), frozenset({"sound"})


@dataclass(frozen=True)
class ClipFigures:
    """Args:
    outcomes: by metric. pictures, sound: traces of the sides that there are. features: "pictures", "sound" -> vector.
    """

    outcomes: Mapping[str, Outcome]
    pictures: PictureTrace | None = None
    sound: SoundTrace | None = None
    features: Mapping[str, np.ndarray] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "outcomes": {
                name: outcome.reason if isinstance(outcome, Undefined) else [round(value, 6) for value in outcome]
                for name, outcome in self.outcomes.items()
            },
            "pictures": None if self.pictures is None else asdict(self.pictures),
            "sound": None if self.sound is None else asdict(self.sound),
            "features": {side: [round(float(value), 6) for value in row] for side, row in self.features.items()},
        }


def figures_from_json(stored: Mapping[str, Any]) -> ClipFigures:
    """What `ClipFigures.to_json` gave."""
    pictures, sound = stored["pictures"], stored["sound"]
    return ClipFigures(
        {name: Undefined(told) if isinstance(told, str) else list(told) for name, told in stored["outcomes"].items()},
        None if pictures is None else picture_trace_from_json(pictures),
        None if sound is None else sound_trace_from_json(sound),
        {side: np.array(row) for side, row in stored["features"].items()},
    )


def figures_of(name: str, clip: Clip, refs: Mapping[str, Any]) -> ClipFigures:
    """Everything of a clip that needs the clip itself.

    Args:
        name: the sample's id. refs: what it is compared with (`vivace.evaluation.references.clip_refs`).
    """
    sample = Sample(name, clip=clip, refs=refs)
    features = {}
    if clip.frames is not None:
        features["pictures"] = picture_features(clip)
    if clip.audio is not None:
        features["sound"] = sound_features(clip)
    return ClipFigures(
        {metric.name: metric.outcome(sample) for metric in (*clip_metrics(), *_against(refs))},
        None if clip.frames is None else picture_trace(clip),
        None if clip.audio is None else sound_trace(clip),
        features,
    )


def swapped_figures(pictures: ClipFigures, sound: ClipFigures) -> ClipFigures:
    """The figures of one clip's pictures with the sound of another, of those that need nothing but a clip."""
    needs = _needs()
    outcomes = {name: outcome for name, outcome in pictures.outcomes.items() if needs.get(name) == _PICTURES}
    outcomes |= {name: outcome for name, outcome in sound.outcomes.items() if needs.get(name) == _SOUND}
    if pictures.pictures is not None and sound.sound is not None:
        outcomes |= outcomes_of_traces(pictures.pictures, sound.sound)
    return ClipFigures(outcomes, pictures.pictures, sound.sound)


def figure_results(found: Mapping[str, ClipFigures | None]) -> dict[str, Result]:
    """Each metric over the clips, by id; None for a clip whose line has no figures.

    A metric against the true clip has a result only where one of the clips was compared with it.
    """
    known = {name for figures in found.values() if figures is not None for name in figures.outcomes}
    results = {}
    for metric in every_figure():
        if metric.name not in known and metric.name not in _needs():
            continue
        for item_id, figures in found.items():
            metric.add(
                item_id, _UNKNOWN if figures is None else figures.outcomes.get(metric.name, Undefined("no such side"))
            )
        results[metric.name] = metric.compute()
    return results


def every_figure() -> list[ItemMetric]:
    """Fresh instances of every metric here."""
    return [*clip_metrics(), *length_metrics(), *pair_metrics(), *path_metrics()]


def _against(refs: Mapping[str, Any]) -> list[ItemMetric]:
    """The metrics whose references there are."""
    return [
        metric
        for metric in (*length_metrics(), *pair_metrics(), *path_metrics())
        if all(need.removeprefix("ref:") in refs for need in metric.requires if need.startswith("ref:"))
    ]


@lru_cache(maxsize=1)
def _needs() -> dict[str, frozenset[str]]:
    """What each metric of any clip needs."""
    return {metric.name: metric.requires for metric in clip_metrics()}
