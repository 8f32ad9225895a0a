"""Does it happen when, in which order and where the true scene has it happen: events and paths against the script.

Only where the script binds: of true clips, and where a side of the true clip, or its beginning, was given. References
(`vivace.evaluation.references`): "events", the script's events; "paths", the true paths of its balls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from vivace.evaluation.matching import match_times
from vivace.evaluation.metric import ItemMetric, Sample, Undefined, once_per_sample
from vivace.perception.thresholds import thresholds
from vivace.perception.tracks import coloured_tracks

TOLERANCES = (0.025, 0.05, 0.1)  # seconds
SAME_PLACE = 0.3  # of the screen's half width: events nearer than this are at one place, whose order says nothing

Outcome = list[float] | Undefined


@dataclass(frozen=True)
class ScriptEvent:
    """An event of the true scene: seconds, what it sounds like (a name of `perception.sounds.KINDS`), x in [-1, 1].

    heard: not in a silent scene.
    """

    time: float
    kind: str
    x: float
    heard: bool = True


@dataclass(frozen=True)
class Path:
    """Middle of a true ball from picture `first` on, (right, down) in shorter picture sides. [T, 2]"""

    first: int
    places: np.ndarray


def _seen_f1(tolerance: float) -> ItemMetric:
    def measure(sample: Sample) -> Outcome:
        true = [event.time for event in sample.refs["events"]]
        found = [impact.time for impact in sample.sees.impacts]
        if not true:
            return Undefined("the script has no event")
        return [2.0 * len(match_times(true, found, tolerance)), float(len(true) + len(found))]

    return ItemMetric(
        f"script_seen_f1_{round(1000 * tolerance)}ms", measure, requires=("video", "ref:events"), scope="pair"
    )


def _heard_f1(tolerance: float) -> ItemMetric:
    def measure(sample: Sample) -> Outcome:
        true = [event for event in sample.refs["events"] if event.heard]
        found = list(zip(sample.hears.onsets, sample.hears.kinds, strict=True))
        if not true:  # rain and engines have onsets too, which no script tells
            return Undefined("the script has no event that is heard")
        pairs = sum(
            len(
                match_times(
                    [event.time for event in true if event.kind == kind],
                    [onset.time for onset, name in found if name == kind],
                    tolerance,
                )
            )
            for kind in {event.kind for event in true}
        )
        return [2.0 * pairs, float(len(true) + len(found))]

    return ItemMetric(
        f"script_heard_f1_{round(1000 * tolerance)}ms", measure, requires=("audio", "ref:events"), scope="pair"
    )


def order_agreement(
    true: Sequence[ScriptEvent], found: Sequence[tuple[float, float, str | None]]
) -> tuple[int, int] | None:
    """(pairs in the right order minus pairs in the wrong one, all pairs) of events that differ in kind or place.

    Each found event (time, x, kind; None matches every kind) stands for one of the script by what it is and where,
    never by when; those that are the same in both stand for each other in the order of time, and make no pair. Divided
    this is Kendall's tau over such pairs. None where there is no such pair.
    """
    if len(true) < 2 or len(found) < 2:
        return None
    first, second = sorted(true, key=lambda event: event.time), sorted(found)
    cost = np.array(
        [
            [
                abs(event.x - x) + 2.0 * (kind is not None and kind != event.kind) + 1e-3 * abs(i - j)
                for j, (_, x, kind) in enumerate(second)
            ]
            for i, event in enumerate(first)
        ]
    )
    rows, columns = linear_sum_assignment(cost)
    score = pairs = 0
    for n, (i, j) in enumerate(zip(rows, columns, strict=True)):
        for k, m in zip(rows[n + 1 :], columns[n + 1 :], strict=True):
            apart = first[i].kind != first[k].kind or abs(first[i].x - first[k].x) > SAME_PLACE
            if apart and first[i].time != first[k].time:
                pairs += 1
                score += 1 if second[m][0] > second[j][0] else -1
    return (score, pairs) if pairs else None


def _order(heard: bool) -> ItemMetric:
    def measure(sample: Sample) -> Outcome:
        true = [event for event in sample.refs["events"] if event.heard or not heard]
        found: list[tuple[float, float, str | None]] = (
            [(onset.time, onset.pan, kind) for onset, kind in zip(sample.hears.onsets, sample.hears.kinds, strict=True)]
            if heard
            else [(impact.time, impact.x, None) for impact in sample.sees.impacts]
        )
        agreed = order_agreement(true, found)
        return Undefined("no two events that differ in kind or place") if agreed is None else list(map(float, agreed))

    name, side = ("order_heard", "audio") if heard else ("order_seen", "video")
    return ItemMetric(name, measure, requires=(side, "ref:events"), scope="pair")


def script_metrics() -> list[ItemMetric]:
    """Fresh instances of the metrics of events against the script, from findings.

    `script_seen_f1_*`, `script_heard_f1_*`: 2 x pairs / (events of the script + events found), one to one within the
    tolerance, of a sound only with one of its own kind, pooled. `order_*`: Kendall's tau (`order_agreement`), pooled.
    """
    return [*map(_seen_f1, TOLERANCES), *map(_heard_f1, TOLERANCES), _order(False), _order(True)]


def path_errors(paths: Sequence[Path], tracks: Sequence[Path]) -> tuple[list[float], float]:
    """Root mean square distance of each true path from the track that follows it, shorter picture sides, and the share
    of the true paths' pictures that are followed.

    Each track follows at most one path, so that the distances are least; a path without a track has no distance.
    """
    total = sum(len(path.places) for path in paths)
    cost = np.full((len(paths), len(tracks)), 1e3)
    shared = np.zeros_like(cost)
    for i, path in enumerate(paths):
        for j, track in enumerate(tracks):
            first = max(path.first, track.first)
            last = min(path.first + len(path.places), track.first + len(track.places))
            if last <= first:
                continue
            gap = (
                path.places[first - path.first : last - path.first]
                - track.places[first - track.first : last - track.first]
            )
            there = np.isfinite(gap).all(axis=1)
            if there.any():
                cost[i, j] = np.sqrt((gap[there] ** 2).sum(axis=1).mean())
                shared[i, j] = there.sum()
    rows, columns = linear_sum_assignment(cost)
    found = [(i, j) for i, j in zip(rows, columns, strict=True) if shared[i, j]]
    return [float(cost[i, j]) for i, j in found], float(sum(shared[i, j] for i, j in found)) / max(total, 1)


def _tracked(sample: Sample) -> tuple[list[float], float]:
    assert sample.clip is not None
    assert sample.clip.frames is not None
    settings = thresholds()
    tracks = []
    for track in coloured_tracks(sample.clip.frames, float(sample.clip.fps), settings.colours, settings.tracks):
        places = np.full((track.frames[-1] - track.frames[0] + 1, 2), np.nan)
        places[np.array(track.frames) - track.frames[0]] = np.stack([track.series("x"), track.series("y")], axis=1)
        tracks.append(Path(track.frames[0], places))
    return path_errors(sample.refs["paths"], tracks)


def path_metrics() -> list[ItemMetric]:
    """`trajectory_rmse`: root mean square distance of a ball's middle from its true path, % of the shorter picture
    side, mean over balls; `trajectory_followed`: share of the pictures in which a true ball is followed."""
    tracked = once_per_sample(_tracked)

    def rmse(sample: Sample) -> Outcome:
        errors, _ = tracked(sample)
        return [100.0 * sum(errors), float(len(errors))] if errors else Undefined("no ball is found")

    def followed(sample: Sample) -> Outcome:
        return [tracked(sample)[1], 1.0]

    need = ("pictures", "ref:paths")
    return [
        ItemMetric("trajectory_rmse", rmse, requires=need, unit="% of side", direction="lower", scope="pair"),
        ItemMetric("trajectory_followed", followed, requires=need, scope="pair"),
    ]
