"""Set what finds faces, lips and their agreement with the voice; report how good it is.

    python benchmarks/calibrate_talk.py --fit        writes faces.safetensors and the groups lips and lip_sync
    python benchmarks/calibrate_talk.py --report     measures the frozen detectors on clips not used for fitting

As in calibrate_perception.py, fitting uses seeds of the world's train split, the report seeds of its val split.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save
from scipy.ndimage import gaussian_filter

import vivace.perception
from vivace.media import replacing
from vivace.perception.faces import (
    COLUMNS,
    ROWS,
    Face,
    details,
    face_tracks,
    place_of_window,
    reduced,
    scores,
    window_at,
)
from vivace.perception.lip_sync import BANDS, RATE, band_loudness, lip_sync, sounding_opening, speaking
from vivace.perception.lips import lip_heights, mouths
from vivace.perception.thresholds import thresholds
from vivace.timeline import Timeline
from vivace.world import Scene, Truth, render_audio, render_video, sample_scene, truth
from vivace.world.characters import manner
from vivace.world.layout import view_at
from vivace.world.talk import lips

FOLDER = Path(vivace.perception.__path__[0])
TIMELINE = Timeline.covering(2.0)
FPS = float(TIMELINE.fps)
TIMES = TIMELINE.frame_times()
SIZE = 128
FIRST_FIT_SEED = 1_000_000
FACE_CLIPS, LIP_CLIPS, SOUND_CLIPS, REPORT_CLIPS = 250, 24, 90, 48
KINDS = ("talk", "talk", "talk with effect", None, "talk")
REGULARISATION = 1e-2
# The pictures of each template: the share that is blurred, and by how many pixels; as codecs and as models leave them.
BLURS = {"sharp": (0.6, 0.3, 1.2), "soft": (0.7, 0.3, 2.4)}
SOFT = 1.6  # pixels of blur of what the report calls soft
HARD = 6000  # windows that a first template mistakes for faces, repeated up to this number


def scenes(kind: str | None, split: str, count: int) -> list[Scene]:
    first = FIRST_FIT_SEED if split == "train" else 0
    return [sample_scene(first + number, split, kind=kind) for number in range(count)]


def true_faces(scene: Scene, number: int) -> list[Face]:
    """The faces of picture `number`."""
    view = view_at(scene, float(TIMES[number]), SIZE, SIZE)
    found = []
    for character in scene.talk.characters if scene.talk else ():
        aside, down, _ = manner(character, TIMES)
        size = view.scale * character.size
        column, row = view.column(character.x) + aside[number] * size, view.row(character.y) + down[number] * size
        found.append(Face(float(column), float(row), size, 1.0))
    return found


def pictures(share: float, least: float, most: float) -> Iterator[tuple[np.ndarray, list[Face]]]:
    """Details of true pictures, a share of them blurred (by `least` to `most` pixels) and all of them noisy, and their
    faces."""
    rng = np.random.default_rng(0)
    for number in range(FACE_CLIPS):
        scene = sample_scene(FIRST_FIT_SEED + number, "train", kind=KINDS[number % len(KINDS)])
        video = render_video(scene, TIMELINE, SIZE, SIZE)
        for place in rng.choice(len(video), 2, replace=False):
            picture = video[place].astype(np.float32)
            if rng.random() < share:
                blur = rng.uniform(least, most)
                picture = gaussian_filter(picture, (blur, blur, 0))
            picture = picture + rng.normal(size=picture.shape) * rng.uniform(0, 5)
            yield details(np.clip(picture, 0, 255).astype(np.uint8)), true_faces(scene, int(place))


def softened(video: np.ndarray, blur: float) -> np.ndarray:
    """Pictures uint8 [T, H, W, 3] as a model leaves them: blurred by a Gaussian of that standard deviation (pixels)."""
    blurred: np.ndarray = gaussian_filter(video, (0, blur, blur, 0)) if blur else video
    return blurred


def is_apart(face: Face, faces: list[Face], least: float) -> bool:
    """Whether none of `faces` is of this size and nearer than `least` half head widths."""
    return all(
        not 0.8 < other.size / face.size < 1.25
        or np.hypot(face.column - other.column, face.row - other.row) > least * face.size
        for other in faces
    )


def discriminant(faces: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, float]:
    """Fisher's linear discriminant: 1 for a usual face, 0 for the hundredth of the rest that is most like one."""
    spread = 0.5 * (np.cov(others.T) + np.cov(faces.T)) + REGULARISATION * np.eye(faces.shape[1])
    weight = np.linalg.solve(spread, faces.mean(axis=0) - others.mean(axis=0))
    low, high = np.quantile(others @ weight, 0.99), np.median(faces @ weight)
    return weight / (high - low), float(-low / (high - low))


def fit_faces() -> dict[str, float]:
    """Both templates; how the least likely face and the likeliest other thing come out with each."""
    templates, bounds = {}, {}
    for name, blurs in BLURS.items():
        templates[name], found = fit_template(*blurs)
        bounds |= {f"{name}_{what}": value for what, value in found.items()}
    weight, bias = (np.stack(each).astype(np.float32) for each in zip(*templates.values(), strict=True))
    with replacing(FOLDER / "faces.safetensors") as path:
        path.write_bytes(save({"weight": weight, "bias": bias}))
    return bounds


def fit_template(share: float, least: float, most: float) -> tuple[tuple[np.ndarray, float], dict[str, float]]:
    """A template [3, ROWS, COLUMNS] and its bias, of `pictures` so blurred."""
    rng = np.random.default_rng(1)
    sizes = SIZE * np.geomspace(thresholds().faces.smallest, thresholds().faces.largest, 8)
    found = list(pictures(share, least, most))
    faces, others = [], []
    for shown, here in found:
        for face in here:
            for _ in range(3):
                shift = rng.uniform(-0.05, 0.05, 2) * face.size
                size = face.size * np.exp(rng.uniform(-0.045, 0.045))
                faces.append(window_at(shown, Face(face.column + shift[0], face.row + shift[1], size, 1.0)).ravel())
        for size in sizes[::2]:
            small = reduced(shown, size)
            places = np.argwhere(np.ones((small.shape[1] - ROWS + 1, small.shape[2] - COLUMNS + 1), dtype=bool))
            for row, column in rng.permutation(places)[:60]:
                if is_apart(place_of_window(row, column, size, 0.0), here, 0.3):
                    others.append(small[:, row : row + ROWS, column : column + COLUMNS].ravel())
    positive, negative = np.array(faces), np.array(others)
    weight, bias = discriminant(positive, negative)
    hard = []
    for shown, here in found:
        for size in sizes:
            small = reduced(shown, size)
            likely = np.argwhere(scores(small, weight.reshape(1, 3, ROWS, COLUMNS), np.array([bias])) > 0.1)
            for row, column in likely:
                if is_apart(place_of_window(row, column, size, 0.0), here, 0.45):
                    hard.append(small[:, row : row + ROWS, column : column + COLUMNS].ravel())
    negative = np.concatenate([negative, np.repeat(np.array(hard), max(1, HARD // len(hard)), axis=0)])
    weight, bias = discriminant(positive, negative)
    ours, theirs = positive @ weight + bias, negative @ weight + bias
    bounds = {"faces_1st_percentile": float(np.quantile(ours, 0.01)), "others_most": float(theirs.max())}
    return (weight.reshape(3, ROWS, COLUMNS), bias), bounds


def fit_lips() -> tuple[dict[str, Any], dict[str, float]]:
    """The gain from heights to openings; the rest is as it stands."""
    settings = thresholds().lips
    gains = []
    for scene in scenes("talk", "train", LIP_CLIPS):
        video = render_video(scene, TIMELINE, SIZE, SIZE)
        true = truth(scene, TIMELINE, SIZE, SIZE).talk
        assert true is not None
        for track, speaker in zip(face_tracks(video), true.speakers, strict=False):
            if np.std(speaker.opening) > 0.05:
                heights = lip_heights(video, track, settings.unlike, settings.other)
                gains.append(float(np.polyfit(heights, speaker.opening, 1)[0]))
    chosen = dataclasses.replace(settings, gain=round(float(np.median(gains)), 3))
    return dataclasses.asdict(chosen), {"gain_least": min(gains), "gain_most": max(gains)}


def fit_lip_sync() -> tuple[dict[str, Any], dict[str, float]]:
    """Least squares from the loudness of bands to the true opening of all mouths together."""
    loudness, openings = [], []
    for scene in scenes("talk", "train", SOUND_CLIPS):
        assert scene.talk is not None
        bands = band_loudness(render_audio(scene, TIMELINE), TIMELINE.sample_rate)
        at = np.arange(len(bands)) / RATE
        loudness.append(np.stack([np.interp(TIMES, at, band) for band in bands.T], axis=1))
        openings.append(np.sum([opening for opening, _ in lips(scene.talk, TIMES)], axis=0))
    inputs, outputs = np.concatenate(loudness), np.concatenate(openings)
    inputs = np.column_stack([inputs, np.ones(len(inputs))])
    penalty = np.diag([*(1e-4 * len(inputs) * inputs[:, :BANDS].var(axis=0)), 0.0])
    weight = np.linalg.solve(inputs.T @ inputs + penalty, inputs.T @ outputs)
    explained = 1 - float(((inputs @ weight - outputs) ** 2).sum() / ((outputs - outputs.mean()) ** 2).sum())
    settings = dataclasses.replace(
        thresholds().lip_sync,
        bands=tuple(round(float(value), 4) for value in weight[:BANDS]),
        rest=round(float(weight[BANDS]), 4),
    )
    return dataclasses.asdict(settings), {"explained": explained}


def store(change: Callable[[dict[str, Any]], None]) -> None:
    stored = json.loads((FOLDER / "thresholds.json").read_text(encoding="utf-8"))
    change(stored)
    with replacing(FOLDER / "thresholds.json") as path:
        path.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")


def fit(groups: list[str]) -> None:
    bounds: dict[str, dict[str, float]] = {}
    chosen: dict[str, dict[str, Any]] = {}
    if "faces" in groups:
        bounds["faces"] = fit_faces()
    if "lips" in groups:
        chosen["lips"], bounds["lips"] = fit_lips()
    if "lip_sync" in groups:
        chosen["lip_sync"], bounds["lip_sync"] = fit_lip_sync()

    def keep(stored: dict[str, Any]) -> None:
        stored.update(chosen)
        talk = stored["provenance"].setdefault("talk", {"script": "benchmarks/calibrate_talk.py --fit"})
        talk |= {"split": "train", "first_seed": FIRST_FIT_SEED}
        talk |= {name: {key: round(value, 4) for key, value in values.items()} for name, values in bounds.items()}

    store(keep)
    thresholds.cache_clear()
    print(json.dumps(bounds))


class Tally:
    """How faces, lips, speakers and lip sync come out on clips of one kind."""

    def __init__(self) -> None:
        self.counts: list[bool] = []
        self.openings: list[float] = []
        self.places: list[float] = []
        self.who: list[bool] = []
        self.correlations: list[float] = []
        self.lags: list[float] = []
        self.floor: list[float] = []
        self._before: np.ndarray | None = None

    def add(self, scene: Scene, true: Truth, blur: float) -> None:
        """A clip of `scene`, its pictures blurred by so many pixels (standard deviation)."""
        assert true.talk is not None
        found = mouths(softened(render_video(scene, TIMELINE, SIZE, SIZE), blur))
        sound = render_audio(scene, TIMELINE)
        heard = sounding_opening(sound, TIMELINE.sample_rate)
        speakers = true.talk.speakers
        self.counts.append(len(found) == len(speakers))
        sync = lip_sync(found, heard, FPS)
        self.correlations.append(0.0 if sync is None else sync.correlation)
        if sync is not None:
            self.lags.append(1000 * sync.lag)
        swapped = None if self._before is None else lip_sync(found, self._before, FPS)
        if swapped is not None:
            self.floor.append(swapped.correlation)
        self._before = heard
        if not self.counts[-1]:
            self.who += [False] * (len(true.talk.lines) if len(speakers) == 2 else 0)
            return
        for mouth, speaker in zip(found, speakers, strict=True):
            away = np.hypot(*(np.array([mouth.x, mouth.y]) - np.mean(speaker.mouth, axis=0)))
            self.places.append(float(away) * SIZE / 2)
            if np.std(speaker.opening) > 0.05:
                self.openings.append(float(np.corrcoef(mouth.opening, speaker.opening)[0, 1]))
        if len(speakers) == 2:
            self.who += [speaking(found, line.start, line.end, FPS) == line.speaker for line in true.talk.lines]

    def figures(self) -> dict[str, Any]:
        openings, lags = np.array(self.openings), np.array(self.lags)
        return {
            "clips": len(self.counts),
            "faces_right": float(np.mean(self.counts)),
            "place_error_px": round(float(np.mean(self.places)), 2),
            "opening_correlation": round(float(openings.mean()), 4),
            "opening_correlation_p10": round(float(np.quantile(openings, 0.1)), 4),
            "who_speaks": round(float(np.mean(self.who)), 4) if self.who else None,
            "spans": len(self.who),
            "lip_sync": round(float(np.mean(self.correlations)), 4),
            "lip_sync_floor": round(float(np.mean(self.floor)), 4),
            "lag_mean_ms": round(float(lags.mean()), 2),
            "lag_mean_abs_ms": round(float(np.abs(lags).mean()), 2),
        }


def report(clips: int) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    groups = (("talk", "talk", 0.0), ("talk with effect", "talk with effect", 0.0), ("talk, soft", "talk", SOFT))
    for name, kind, blur in groups:
        tally = Tally()
        for scene in scenes(kind, "val", clips):
            tally.add(scene, truth(scene, TIMELINE, SIZE, SIZE), blur)
        figures[name] = tally.figures()
        print(name, json.dumps(figures[name]), flush=True)
    others = [
        len(mouths(render_video(scene, TIMELINE, SIZE, SIZE)))
        for kind in (None, "ambience", "vehicle", "silent", "shots")
        for scene in scenes(kind, "val", max(1, clips // 4))
    ]
    figures["others"] = {"clips": len(others), "clips_with_faces": int(np.count_nonzero(others))}
    print("others", json.dumps(figures["others"]), flush=True)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fit", nargs="*", choices=("faces", "lips", "lip_sync"), help="without a name: all")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--clips", type=int, default=REPORT_CLIPS, help="clips of each kind in the report")
    arguments = parser.parse_args()
    if arguments.fit is not None:
        fit(arguments.fit or ["faces", "lips", "lip_sync"])
    if arguments.report:
        figures = report(arguments.clips)
        if arguments.clips == REPORT_CLIPS:

            def keep(stored: dict[str, Any]) -> None:
                report = {"split": "val", "size": SIZE, "figures": figures}
                stored["provenance"].setdefault("talk", {})["report"] = report

            store(keep)


if __name__ == "__main__":
    main()
