"""Several ways to make the same clips, each measured for sync, speech, picture and sound; resumable.

What `guidance_sweep` and `stage_effects` share: a point is a setting of a model, or a moment of its training.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vivace.errors import VivaceError
from vivace.evaluation.generating import clips, voiced
from vivace.evaluation.groups import group_items, groups_of
from vivace.evaluation.ledger import Run, whole_rows
from vivace.evaluation.paired import paired_difference
from vivace.evaluation.prompts import WorldItem, true_clip, world_items
from vivace.evaluation.report.charts import Estimate
from vivace.evaluation.statistics import bootstrap_interval
from vivace.evaluation.summary import TRUTH
from vivace.evaluation.world import Generate, evaluate_world
from vivace.media import Clip
from vivace.perception.flicker import measure_flicker
from vivace.perception.sharpness import measure_sharpness
from vivace.perception.spectra import at_detector_rate, mel_power
from vivace.pipelines.nava import NavaPipeline

ALL = "all"
BANDS, FLOOR = 48, 1e-7


@dataclass(frozen=True)
class Measure:
    """A figure of a set of clips: its metric, the prompts it is taken over, and what a chart calls it."""

    metric: str
    title: str
    talk: bool = False
    quality: bool = False


MEASURES = (
    Measure("av_event_f1_75ms", "AV events (F1, 75 ms)"),
    Measure("av_offset_median_abs", "AV offset (median, ms)"),
    Measure("sound_kind", "right sound"),
    Measure("colour", "right colour"),
    Measure("word_error_rate", "word error rate", talk=True),
    Measure("voice_own", "own voice (similarity)", talk=True),
    Measure("lip_correlation", "lips and sound (correlation)", talk=True),
    Measure("sharpness", "picture: sharpness", quality=True),
    Measure("flicker", "picture: flicker", quality=True),
    Measure("spectrum", "sound: spectrum off the true one (dB)", quality=True),
)


def quality_of(clip: Clip, true: Clip | None) -> dict[str, float | None]:
    """Figures of a clip's picture (`vivace.perception`), and how far its sound's spectrum is from the true clip's."""
    frames, audio = clip.frames, clip.audio
    sound = None if true is None else true.audio
    off = None if audio is None or sound is None else spectrum_distance(audio, sound, clip.sample_rate)
    return {
        "sharpness": None if frames is None else measure_sharpness(frames),
        "flicker": None if frames is None else measure_flicker(frames, float(clip.fps)),
        "spectrum": off,
    }


def spectrum_distance(first: np.ndarray, second: np.ndarray, sample_rate: int) -> float:
    """Mean absolute difference of the two sounds' spectra over all their time, in dB over `BANDS` mel bands.

    Ours: it tells hiss, dullness and buzz from a sound like the true one, whenever its events come.

    Args:
        first, second: float [C, N] of one rate.
    """
    levels = []
    for sound in (first, second):
        power = mel_power(at_detector_rate(sound, sample_rate), hop=160, window=400, bands=BANDS)
        levels.append(10.0 * np.log10(power.mean(axis=(0, 1)) + FLOOR))
    return float(np.abs(levels[0] - levels[1]).mean())


def prompts(
    pipeline: NavaPipeline, split: str, count: int, talk: str, *, seconds: float, height: int, width: int
) -> list[WorldItem]:
    """Held-out scenes, and those of the group `talk` where the model knows them."""
    shape: dict[str, Any] = {"seconds": seconds, "height": height, "width": width}
    items = world_items(split, count, hand=False, camera=False, **shape)
    known = [talk] if talk in groups_of(pipeline.abilities) else []
    return items + group_items(split, known, count, hand=False, **shape)


def generator(pipeline: NavaPipeline, **settings: Any) -> Generate:
    """Clips of the items by this pipeline, with the voices of their scenes where it has voices."""

    def generate(items: Sequence[WorldItem]) -> list[Clip]:
        voices = voiced(pipeline, items, settings.get("guides"))
        return clips(pipeline, [item.prompt for item in items], [item.seed for item in items], **settings | voices)

    return generate


@dataclass(frozen=True)
class Measured:
    """What was found.

    Args:
        figures: point -> metric -> estimate; true clips are the point "truth".
        values: point -> metric -> prompt -> the metric's value for this prompt alone.
    """

    figures: Mapping[str, Mapping[str, Estimate]]
    values: Mapping[str, Mapping[str, Mapping[str, float]]]

    def differences(self, reference: str) -> dict[str, dict[str, dict[str, float]]]:
        """Point -> metric -> its paired difference to a reference point, prompt by prompt, with 95 % interval."""
        found: dict[str, dict[str, dict[str, float]]] = {}
        for point, metrics in self.values.items():
            for metric, own in metrics.items() if point not in (reference, TRUTH) else ():
                other = self.values[reference].get(metric, {})
                if len(own.keys() & other.keys()) > 1:
                    gap = paired_difference(own, other)
                    entry = {"mean": gap.mean, "low": gap.low, "high": gap.high, "n": gap.n, "p_value": gap.p_value}
                    found.setdefault(point, {})[metric] = entry
        return found

    def to_json(self) -> dict[str, Any]:
        """The estimates as plain numbers."""
        return {
            point: {
                name: {"value": one.value, "low": one.low, "high": one.high, "n": one.n}
                for name, one in metrics.items()
            }
            for point, metrics in self.figures.items()
        }


def measure_points(
    points: Mapping[str, Generate], items: Sequence[WorldItem], output: Path, run: Run, *, batch: int = 4
) -> Measured:
    """Make and measure what is not measured yet; the folder also gets the benchmark's own report.

    Raises:
        VivaceError: no point, or a folder that holds another run.
    """
    if not points:
        raise VivaceError("There is nothing to measure; name at least one point.")
    qualities = Qualities(output / "quality.jsonl")
    makers = {name: qualities.watching(name, generate) for name, generate in points.items()}
    summary = evaluate_world(makers, items, output, run, batch=batch)
    for item in items:
        if item.scene is not None and not qualities.has(TRUTH, item.id):
            qualities.add(TRUTH, item, true_clip(item))
    values: dict[str, dict[str, dict[str, float]]] = {}
    for row in whole_rows(output / "items.jsonl"):
        for metric, entry in row["metrics"].items():
            if entry.get("value") is not None:
                values.setdefault(row["condition"], {}).setdefault(metric, {})[row["id"]] = float(entry["value"])
    asked = [item.id for item in items if item.group in ("seen", "unseen")]
    talk = next((item.group for item in items if item.group not in ("seen", "unseen")), None)
    figures: dict[str, dict[str, Estimate]] = {}
    for point in (*points, TRUTH):
        own = figures.setdefault(point, {})
        for measure in MEASURES:
            if measure.quality:
                found = qualities.values(point, measure.metric, asked)
                values.setdefault(point, {})[measure.metric] = found
                estimate = mean_of(list(found.values()))
            else:
                group = talk if measure.talk else ALL
                entry = summary["groups"].get(group, {}).get(point, {}).get(measure.metric)
                estimate = None if entry is None else told(entry)
            if estimate is not None:
                own[measure.metric] = estimate
    return Measured(figures, values)


def told(entry: Mapping[str, Any]) -> Estimate | None:
    """A result as summary.json has it; None where it has no value."""
    return None if entry["value"] is None else Estimate(entry["value"], entry["ci_low"], entry["ci_high"], entry["n"])


def mean_of(values: Sequence[float]) -> Estimate | None:
    """A mean with its 95 % bootstrap interval; None of nothing."""
    if not values:
        return None
    low, high = bootstrap_interval("ratio", [(value, 1.0) for value in values])
    several = len(values) > 1
    return Estimate(float(np.mean(values)), low if several else None, high if several else None, len(values))


class Qualities:
    """quality.jsonl: a line for each point and prompt, written before the benchmark counts the clip as made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._found = {(row["point"], row["id"]): row["figures"] for row in whole_rows(path)}

    def has(self, point: str, item_id: str) -> bool:
        return (point, item_id) in self._found

    def add(self, point: str, item: WorldItem, clip: Clip) -> None:
        true = None if item.scene is None or point == TRUTH else true_clip(item)
        figures = self._found[point, item.id] = quality_of(clip, true)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"point": point, "id": item.id, "figures": figures}) + "\n")

    def values(self, point: str, figure: str, ids: Sequence[str]) -> dict[str, float]:
        """A figure by prompt, where it is defined."""
        found = {name: self._found[point, name].get(figure) for name in ids if self.has(point, name)}
        return {name: value for name, value in found.items() if value is not None}

    def watching(self, point: str, generate: Callable[[Sequence[WorldItem]], list[Clip]]) -> Generate:
        """The same generator, whose clips are measured when they are made."""

        def watched(items: Sequence[WorldItem]) -> list[Clip]:
            clips = generate(items)
            for item, clip in zip(items, clips, strict=True):
                self.add(point, item, clip)
            return clips

        return watched
