"""Set the detectors' thresholds on true clips of the world and freeze them; report how good the detectors are.

    python benchmarks/calibrate_perception.py --fit        writes thresholds.json and sounds.safetensors
    python benchmarks/calibrate_perception.py --report     measures the frozen detectors on clips not used for fitting

Fitting uses seeds of the world's train split, the report seeds of its val split, 64 clips of each kind.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save
from scipy.optimize import minimize

import vivace.perception
from vivace.evaluation.matching import match_times
from vivace.media import Clip, replacing
from vivace.perception.materials import floor_appearance
from vivace.perception.onsets import detect_onsets
from vivace.perception.percept import perceive
from vivace.perception.sounds import KINDS, patches
from vivace.perception.thresholds import FloorThresholds, OnsetThresholds, Thresholds, thresholds
from vivace.timeline import Timeline
from vivace.world import FLOORS, Scene, Truth, render_audio, render_video, sample_scene, truth
from vivace.world import KINDS as SCENES

FOLDER = Path(vivace.perception.__path__[0])
TIMELINE = Timeline.covering(2.0)
SIZE = 128
FIT_SEEDS = range(1_000_000, 1_000_400)
FLOOR_SEEDS = range(1_000_000, 1_000_080)
REPORT_CLIPS = 64
SOUND_TOLERANCE = 0.05
PICTURE_TOLERANCE = 0.05
REGULARISATION = 1e-2


def sounds(seeds: Iterable[int]) -> Iterator[tuple[Scene, Truth, np.ndarray]]:
    for seed in seeds:
        scene = sample_scene(seed, "train")
        yield scene, truth(scene, TIMELINE, SIZE, SIZE), render_audio(scene, TIMELINE)


def fit_onsets(clips: list[tuple[Scene, Truth, np.ndarray]]) -> tuple[OnsetThresholds, dict[str, float]]:
    """The bias of the onset times and the middle of the range of thresholds that make the fewest mistakes.

    Half of the clips get noise 60 dB below their peak, so that the threshold does not lean on digital silence.
    """
    base = dataclasses.replace(OnsetThresholds(), bias=0.0)
    rng = np.random.default_rng(0)
    noisy = [
        audio + (rng.normal(size=audio.shape) * 0.001 * np.abs(audio).max()).astype(np.float32) * (number % 2)
        for number, (_, _, audio) in enumerate(clips)
    ]
    candidates = np.round(np.arange(0.15, 0.8, 0.1), 2)
    mistakes = []
    shifts: list[float] = []
    for rise in candidates:
        settings = dataclasses.replace(base, rise=float(rise))
        wrong = 0
        for (_, true, _), audio in zip(clips, noisy, strict=True):
            times = [onset.time for onset in detect_onsets(audio, TIMELINE.sample_rate, settings)]
            pairs = match_times(true.times, times, SOUND_TOLERANCE)
            wrong += len(times) + len(true.times) - 2 * len(pairs)
            shifts += [times[j] - true.times[i] for i, j in pairs]
        mistakes.append(wrong)
    best = candidates[np.array(mistakes) == min(mistakes)]
    chosen = dataclasses.replace(
        base, rise=round(float((best[0] + best[-1]) / 2), 3), bias=round(float(np.mean(shifts)), 5)
    )
    return chosen, {"mistakes": float(min(mistakes)), "rise_low": float(best[0]), "rise_high": float(best[-1])}


def fit_sounds(clips: list[tuple[Scene, Truth, np.ndarray]]) -> tuple[dict[str, np.ndarray], float]:
    """Multinomial logistic regression over the events' patches; returns the weights and the accuracy on these clips."""
    rows, labels = [], []
    for scene, true, audio in clips:
        rows.append(patches(audio, TIMELINE.sample_rate, true.times))
        name = f"ball on {scene.stage.floor}" if scene.instrument is None else scene.kind
        labels += [KINDS.index(name)] * len(true.times)
    features, classes = np.concatenate(rows), np.array(labels)
    mean, scale = features.mean(axis=0), features.std(axis=0) + 0.3
    inputs = (features - mean) / scale
    targets = np.eye(len(KINDS))[classes]
    shape = (inputs.shape[1], len(KINDS))

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        weight, bias = values[: shape[0] * shape[1]].reshape(shape), values[shape[0] * shape[1] :]
        logits = inputs @ weight + bias
        logits -= np.logaddexp.reduce(logits, axis=1, keepdims=True)
        error = (np.exp(logits) - targets) / len(inputs)
        value = -(logits * targets).sum() / len(inputs) + REGULARISATION / 2 * (weight**2).sum()
        return float(value), np.concatenate([(inputs.T @ error + REGULARISATION * weight).ravel(), error.sum(axis=0)])

    solution = minimize(loss, np.zeros(shape[0] * shape[1] + shape[1]), jac=True, method="L-BFGS-B").x
    weight, bias = solution[: shape[0] * shape[1]].reshape(shape), solution[shape[0] * shape[1] :]
    accuracy = float(((inputs @ weight + bias).argmax(axis=1) == classes).mean())
    tensors = {"mean": mean, "scale": scale, "weight": weight, "bias": bias}
    return {name: tensor.astype(np.float32) for name, tensor in tensors.items()}, accuracy


def fit_floors() -> FloorThresholds:
    """Median look of each floor over clips of all lights."""
    short = Timeline.covering(0.4)
    looks: dict[str, list[tuple[float, float]]] = {name: [] for name in FLOORS}
    for seed in FLOOR_SEEDS:
        scene = sample_scene(seed, "train")
        looks[scene.stage.floor].append(floor_appearance(render_video(scene, short, SIZE, SIZE)))
    materials = {name: tuple(np.round(np.median(seen, axis=0), 2).tolist()) for name, seen in looks.items()}
    return dataclasses.replace(FloorThresholds(), materials=materials)


def fit() -> None:
    clips = list(sounds(FIT_SEEDS))
    onsets, onset_fit = fit_onsets(clips)
    weights, accuracy = fit_sounds(clips)
    groups: dict[str, Any] = {}
    for item in dataclasses.fields(Thresholds):
        if item.name not in ("onsets", "floors", "provenance"):
            groups[item.name] = dataclasses.asdict(getattr(thresholds(), item.name))
    groups |= {"onsets": dataclasses.asdict(onsets), "floors": dataclasses.asdict(fit_floors())}
    # What calibrate_scenes.py and calibrate_talk.py have set is kept.
    groups["provenance"] = thresholds().provenance | {
        "script": "benchmarks/calibrate_perception.py --fit",
        "split": "train",
        "seeds": [FIT_SEEDS.start, FIT_SEEDS.stop],
        "floor_seeds": [FLOOR_SEEDS.start, FLOOR_SEEDS.stop],
        "onset_fit": onset_fit,
        "sound_accuracy_on_fit": accuracy,
    }
    with replacing(FOLDER / "thresholds.json") as path:
        path.write_text(json.dumps(groups, indent=2) + "\n", encoding="utf-8")
    with replacing(FOLDER / "sounds.safetensors") as path:
        path.write_bytes(save(weights))
    print(json.dumps(groups["provenance"]))


class Tally:
    """Events of one detector against the truth."""

    def __init__(self) -> None:
        self.pairs, self.found, self.true = 0, 0, 0
        self.shifts: list[float] = []

    def add(self, true: list[float], found: list[float], tolerance: float) -> None:
        pairs = match_times(true, found, tolerance)
        self.pairs += len(pairs)
        self.found += len(found)
        self.true += len(true)
        self.shifts += [1000.0 * (found[j] - true[i]) for i, j in pairs]

    def figures(self) -> dict[str, float]:
        return {
            "precision": round(self.pairs / max(self.found, 1), 4),
            "recall": round(self.pairs / max(self.true, 1), 4),
            "events": self.true,
            "bias_ms": round(float(np.mean(self.shifts)), 2),
            "mae_ms": round(float(np.abs(self.shifts).mean()), 2),
            "p95_ms": round(float(np.quantile(np.abs(self.shifts), 0.95)), 2),
        }


def report_group(scenes: list[Scene]) -> dict[str, Any]:
    heard, seen = Tally(), Tally()
    right = dict.fromkeys(("sound_kind", "colours", "floor", "objects", "count_heard", "count_seen"), 0)
    for scene in scenes:
        true = truth(scene, TIMELINE, SIZE, SIZE)
        frames = render_video(scene, TIMELINE, SIZE, SIZE)
        percept = perceive(Clip(frames, TIMELINE.fps, render_audio(scene, TIMELINE), TIMELINE.sample_rate))
        heard.add(true.times, [onset.time for onset in percept.audio.onsets], SOUND_TOLERANCE)
        seen.add(true.times, [impact.time for impact in percept.video.impacts], PICTURE_TOLERANCE)
        name = f"ball on {scene.stage.floor}" if scene.instrument is None else scene.kind
        right["sound_kind"] += percept.audio.kind == name
        right["floor"] += percept.video.floor == scene.stage.floor
        colours = [scene.instrument.colour] if scene.instrument else [ball.colour for ball in scene.balls]
        right["colours"] += sorted(colours) == sorted(percept.video.colours)
        right["objects"] += percept.video.objects == len(colours)
        right["count_heard"] += len(percept.audio.onsets) == len(true.times)
        right["count_seen"] += len(percept.video.impacts) == len(true.times)
    shares = {name: round(count / len(scenes), 4) for name, count in right.items()}
    return {"clips": len(scenes), "onsets": heard.figures(), "impacts": seen.figures(), **shares}


def scenes_of(kind: str | None, still: bool, count: int) -> list[Scene]:
    """The first `count` scenes of the val split of this kind with a still (or a moving) camera."""
    found: list[Scene] = []
    seed = 0
    while len(found) < count:
        scene = sample_scene(seed, "val", kind=kind)
        seed += 1
        if (scene.camera.move == "still") == still:
            found.append(scene)
    return found


def report(clips: int) -> Iterator[tuple[str, dict[str, Any]]]:
    for kind in SCENES:
        yield kind, report_group(scenes_of(kind, True, clips))
    yield "moving camera", report_group(scenes_of(None, False, clips))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--clips", type=int, default=REPORT_CLIPS, help="clips of each kind in the report")
    arguments = parser.parse_args()
    if arguments.fit:
        fit()
    if arguments.report:
        figures = {}
        for group, values in report(arguments.clips):
            figures[group] = values
            print(group, json.dumps(values), flush=True)
        if arguments.clips == REPORT_CLIPS:
            stored = json.loads((FOLDER / "thresholds.json").read_text(encoding="utf-8"))
            stored["provenance"]["report"] = {"split": "val", "size": SIZE, "figures": figures}
            with replacing(FOLDER / "thresholds.json") as path:
                path.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
