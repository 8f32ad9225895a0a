"""Set the thresholds for cuts, camera moves, silence, ambient sounds and passings; report how good the detectors are.

    python benchmarks/calibrate_scenes.py --fit        writes their groups in thresholds.json
    python benchmarks/calibrate_scenes.py --report     measures the frozen detectors on clips not used for fitting

As in calibrate_perception.py, fitting uses seeds of the world's train split, the report seeds of its val split.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import vivace.perception
from vivace.media import Clip, replacing
from vivace.perception.ambience import ambience_features, heard_ambience
from vivace.perception.camera import camera_motion
from vivace.perception.cuts import change_shares, detect_cuts, mean_colours, split_at
from vivace.perception.passing import passing_heard, passing_seen
from vivace.perception.percept import perceive
from vivace.perception.silence import is_silent, loudest
from vivace.perception.thresholds import AmbienceThresholds, PassingThresholds, Thresholds, thresholds
from vivace.timeline import Timeline
from vivace.world import CAMERA_MOVES, Scene, render_audio, render_video, sample_scene, truth
from vivace.world.ambience import AMBIENCES

FOLDER = Path(vivace.perception.__path__[0])
TIMELINE = Timeline.covering(2.0)
RATE = TIMELINE.sample_rate
FPS = float(TIMELINE.fps)
SIZE = 128
FIRST_FIT_SEED = 1_000_000
FIT_CLIPS, TEMPLATE_CLIPS, REPORT_CLIPS = 48, 240, 64
# Kinds of scenes on which a detector must find nothing of what it looks for.
OTHERS = (None, "ambience", "vehicle", "silent", "talk")
# A clip this much quieter than the quietest that sounds is silent, dB.
SILENCE_MARGIN = 12.0
# A clip this much farther from a template than any true clip still has its sound.
AMBIENCE_MARGIN = 2.0


def scenes(kind: str | None, split: str, count: int) -> list[Scene]:
    first = FIRST_FIT_SEED if split == "train" else 0
    return [sample_scene(first + number, split, kind=kind) for number in range(count)]


def with_move(move: str, split: str, count: int) -> list[Scene]:
    """Scenes of events and of ambient sounds, by turns, whose camera makes this move."""
    first = FIRST_FIT_SEED if split == "train" else 0
    drawn = (sample_scene(first + n, split, kind=(None, "ambience")[n % 2]) for n in itertools.count())
    return list(itertools.islice((scene for scene in drawn if scene.camera.move == move), count))


def video(scene: Scene) -> np.ndarray:
    return render_video(scene, TIMELINE, SIZE, SIZE)


def sound(scene: Scene) -> np.ndarray:
    return render_audio(scene, TIMELINE)


def between(low: float, high: float) -> float:
    """A threshold halfway between the largest value that must stay below it and the smallest above it."""
    return round((low + high) / 2, 4)


def fit_cuts() -> tuple[dict[str, Any], dict[str, float]]:
    settings = thresholds().cuts
    at_cuts = []
    for scene in scenes("shots", "train", FIT_CLIPS):
        shares = change_shares(mean_colours(video(scene), settings.cells), settings)
        at_cuts += [float(shares[round(shot.start * FPS)]) for shot in scene.shots[1:]]
    elsewhere = [
        float(change_shares(mean_colours(video(scene), settings.cells), settings).max())
        for kind in OTHERS
        for scene in scenes(kind, "train", FIT_CLIPS // 2)
    ]
    chosen = dataclasses.replace(settings, share=between(max(elsewhere), min(at_cuts)))
    return dataclasses.asdict(chosen), {"cut_least": min(at_cuts), "other_most": max(elsewhere)}


def fit_camera() -> tuple[dict[str, Any], dict[str, float]]:
    settings = thresholds().camera
    found = {
        move: [camera_motion(video(s)) for s in with_move(move, "train", FIT_CLIPS // (1 if move == "still" else 4))]
        for move in CAMERA_MOVES
    }
    pans = [abs(motion.pan) for move in ("pan left", "pan right") for motion in found[move]]
    zooms = [abs(motion.zoom) for move in ("zoom in", "zoom out") for motion in found[move]]
    still_pan = max(abs(motion.pan) for motion in found["still"])
    still_zoom = max(abs(motion.zoom) for motion in found["still"])
    chosen = dataclasses.replace(
        settings, least_pan=between(still_pan, min(pans)), least_zoom=between(still_zoom, min(zooms))
    )
    bounds = {"still_pan": still_pan, "pan": min(pans), "still_zoom": still_zoom, "zoom": min(zooms)}
    return dataclasses.asdict(chosen), bounds


def fit_silence() -> tuple[dict[str, Any], dict[str, float]]:
    kinds = [kind for kind in OTHERS if kind != "silent"]
    levels = [loudest(sound(scene), RATE) for kind in kinds for scene in scenes(kind, "train", 2 * FIT_CLIPS)]
    chosen = dataclasses.replace(thresholds().silence, level=round(min(levels) - SILENCE_MARGIN, 1))
    return dataclasses.asdict(chosen), {"quietest_dbfs": min(levels)}


def fit_ambience() -> tuple[dict[str, Any], dict[str, float]]:
    features: dict[str, list[np.ndarray]] = {name: [] for name in AMBIENCES}
    for scene in scenes("ambience", "train", TEMPLATE_CLIPS):
        assert scene.ambience is not None
        features[scene.ambience.sound].append(ambience_features(sound(scene), RATE))
    rest = np.concatenate([np.array(rows) - np.mean(rows, axis=0) for rows in features.values()])
    # No feature counts for more than a tenth of a neper would in hearing.
    scale = np.maximum(rest.std(axis=0), 0.1)
    templates = {name: tuple(np.round(np.mean(rows, axis=0), 3).tolist()) for name, rows in features.items()}
    settings = AmbienceThresholds(templates, tuple(np.round(scale, 3).tolist()), farthest=float("inf"))
    own = [
        heard_ambience(sound(scene), RATE, settings).distances[scene.ambience.sound]
        for scene in scenes("ambience", "train", TEMPLATE_CLIPS)
        if scene.ambience is not None
    ]
    foreign = [
        min(heard_ambience(sound(scene), RATE, settings).distances.values())
        for kind in (None, "talk", "shots")
        for scene in scenes(kind, "train", FIT_CLIPS)
    ]
    # Vehicles lie in between: a bus is not far from wind and traffic. Who needs to know asks `passing_heard` first.
    chosen = dataclasses.replace(settings, farthest=round(min(AMBIENCE_MARGIN * max(own), min(foreign)), 3))
    return dataclasses.asdict(chosen), {"own_farthest": max(own), "foreign_nearest": min(foreign)}


def fit_passing() -> tuple[dict[str, Any], dict[str, float]]:
    settings = PassingThresholds(bias=0.0)
    shifts = []
    for scene in scenes("vehicle", "train", FIT_CLIPS):
        heard = passing_heard(sound(scene), RATE, settings)
        if heard is not None and scene.vehicle is not None:
            shifts.append(heard.time - scene.vehicle.passing)
    chosen = dataclasses.replace(settings, bias=round(float(np.mean(shifts)), 5))
    return dataclasses.asdict(chosen), {"heard": len(shifts) / FIT_CLIPS}


FITS: dict[str, Callable[[], tuple[dict[str, Any], dict[str, float]]]] = {
    "cuts": fit_cuts,
    "camera": fit_camera,
    "silence": fit_silence,
    "ambience": fit_ambience,
    "passing": fit_passing,
}


def store(change: Callable[[dict[str, Any]], None]) -> None:
    stored = json.loads((FOLDER / "thresholds.json").read_text(encoding="utf-8"))
    change(stored)
    with replacing(FOLDER / "thresholds.json") as path:
        path.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")


def fit() -> None:
    for name, make in FITS.items():
        group, bounds = make()
        print(name, json.dumps(bounds), flush=True)

        def keep(stored: dict[str, Any], name: str = name, group: Any = group, bounds: Any = bounds) -> None:
            stored[name] = group
            scenes_of = stored["provenance"].setdefault("scenes", {"script": "benchmarks/calibrate_scenes.py --fit"})
            scenes_of |= {"split": "train", "first_seed": FIRST_FIT_SEED}
            scenes_of[name] = {key: round(value, 4) for key, value in bounds.items()}

        store(keep)
    thresholds.cache_clear()


def errors_ms(pairs: list[tuple[float, float]]) -> dict[str, float]:
    shifts = 1000 * np.array([found - true for true, found in pairs])
    return {
        "bias_ms": round(float(shifts.mean()), 2),
        "mae_ms": round(float(np.abs(shifts).mean()), 2),
        "p95_ms": round(float(np.quantile(np.abs(shifts), 0.95)), 2),
    }


def report_cuts(clips: int) -> dict[str, Any]:
    pairs, exact, things = [], 0, []
    for scene in scenes("shots", "val", clips):
        true = truth(scene, TIMELINE, SIZE, SIZE)
        clip = Clip(video(scene), TIMELINE.fps, sound(scene), RATE)
        assert clip.frames is not None
        cuts = detect_cuts(clip.frames, FPS)
        exact += len(cuts) == len(true.cuts)
        if len(cuts) == len(true.cuts):
            pairs += list(zip(true.cuts, cuts, strict=True))
            for part, shot in zip(split_at(clip, cuts), scene.shots, strict=True):
                seen = perceive(part).video
                colour = shot.scene.instrument.colour if shot.scene.instrument else shot.scene.balls[0].colour
                things.append(seen is not None and seen.colours == (colour,))
    false = sum(bool(detect_cuts(video(scene), FPS)) for kind in OTHERS for scene in scenes(kind, "val", clips // 4))
    return {
        "clips": clips,
        "count_right": round(exact / clips, 4),
        **errors_ms(pairs),
        "colour_in_each_shot": round(float(np.mean(things)), 4),
        "false_clips": false,
        "clips_without": len(OTHERS) * (clips // 4),
    }


def report_camera(clips: int) -> dict[str, Any]:
    right = {
        move: round(
            float(np.mean([camera_motion(video(scene)).move == move for scene in with_move(move, "val", clips // 4)])),
            4,
        )
        for move in CAMERA_MOVES
    }
    right["still, other kinds"] = round(
        float(
            np.mean(
                [
                    camera_motion(video(scene)).move == scene.camera.move
                    for kind in ("vehicle", "silent", "talk")
                    for scene in scenes(kind, "val", clips // 4)
                ]
            )
        ),
        4,
    )
    return {"clips_each": clips // 4, "right": right}


def report_silence(clips: int) -> dict[str, Any]:
    silent = [is_silent(sound(scene), RATE) for scene in scenes("silent", "val", clips)]
    kinds = [kind for kind in OTHERS if kind != "silent"]
    others = [is_silent(sound(scene), RATE) for kind in kinds for scene in scenes(kind, "val", clips)]
    return {"clips": clips, "silent_found": float(np.mean(silent)), "false_share": float(np.mean(others))}


def report_ambience(clips: int) -> dict[str, Any]:
    right = []
    for scene in scenes("ambience", "val", clips):
        assert scene.ambience is not None
        right.append(heard_ambience(sound(scene), RATE).name == scene.ambience.sound)
    others = {
        str(kind): float(np.mean([heard_ambience(sound(s), RATE).name is not None for s in scenes(kind, "val", clips)]))
        for kind in (None, "vehicle", "talk", "silent", "shots")
    }
    return {"clips": clips, "right": float(np.mean(right)), "false_share": others}


def report_passing(clips: int) -> dict[str, Any]:
    level, pitch, seen, falls = [], [], [], []
    right_heard = right_seen = 0
    for scene in scenes("vehicle", "val", clips):
        true, vehicle = truth(scene, TIMELINE, SIZE, SIZE).passing, scene.vehicle
        assert true is not None
        assert vehicle is not None
        heard = passing_heard(sound(scene), RATE)
        if heard is not None:
            level.append((true.time, heard.time))
            right_heard += heard.direction == true.direction
            ratio = vehicle.speed / 343.0
            if heard.pitch_time is not None:
                pitch.append((true.time, heard.pitch_time))
                falls.append(abs(heard.pitch_fall - 12 * np.log2((1 + ratio) / (1 - ratio))))
        shown = passing_seen(video(scene), FPS)
        if shown is not None:
            seen.append((true.time, shown.time))
            right_seen += shown.direction == true.direction and shown.colour == vehicle.colour
    kinds = [kind for kind in OTHERS if kind != "vehicle"]
    false_heard = [passing_heard(sound(s), RATE) is not None for kind in kinds for s in scenes(kind, "val", clips)]
    false_seen = [passing_seen(video(s), FPS) is not None for kind in kinds for s in scenes(kind, "val", clips // 4)]
    return {
        "clips": clips,
        "direction_heard": right_heard / clips,
        "level": errors_ms(level),
        "pitch_found": len(pitch) / clips,
        "pitch": errors_ms(pitch),
        "pitch_fall_error_semitones": round(float(np.mean(falls)), 3),
        "direction_and_colour_seen": right_seen / clips,
        "seen": errors_ms(seen),
        "false_heard": float(np.mean(false_heard)),
        "false_seen": float(np.mean(false_seen)),
    }


def report(clips: int) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "cuts", report_cuts(clips)
    yield "camera", report_camera(clips)
    yield "silence", report_silence(clips)
    yield "ambience", report_ambience(clips)
    yield "passing", report_passing(clips)


def main() -> None:
    assert set(FITS) <= {item.name for item in dataclasses.fields(Thresholds)}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--clips", type=int, default=REPORT_CLIPS, help="clips of each kind in the report, from 8")
    arguments = parser.parse_args()
    if arguments.fit:
        fit()
    if arguments.report:
        figures = {}
        for group, values in report(arguments.clips):
            figures[group] = values
            print(group, json.dumps(values), flush=True)
        if arguments.clips == REPORT_CLIPS:

            def keep(stored: dict[str, Any]) -> None:
                stored["provenance"]["scenes"]["report"] = {"split": "val", "size": SIZE, "figures": figures}

            store(keep)


if __name__ == "__main__":
    main()
