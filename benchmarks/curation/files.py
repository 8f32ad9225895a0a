"""Stages that look at whole files, and at copies among them: ingest, split, duplicates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.curation.counting import Row, Table, curve, share
from benchmarks.curation.shots import FPS, Timer, inside

from vivace.curation.clip import Clip, Rejected
from vivace.curation.footage_files import NEAR_DUPLICATES
from vivace.curation.stage import judge
from vivace.curation.stages.duplicates import Duplicates, DuplicateSettings
from vivace.curation.stages.ingest import Ingest, IngestSettings
from vivace.curation.stages.split import Split, SplitSettings
from vivace.world.footage import DISSOLVE, FADE

NEAR = 2.5 / FPS  # seconds within which a cut is found
# What a file's fault may be called; broken bytes show in one of several ways.
FILE_REASONS = {
    "truncated": {"truncated", "damaged", "unreadable"},
    "corrupt": {"truncated", "damaged", "unreadable"},
    "no_video": {"unreadable"},
    "no_sound": {"no_sound"},
}
COPIES = ("duplicate", *NEAR_DUPLICATES)
APART = (0.02, 0.04, 0.08, 0.12, 0.16, 0.2, 0.25, 0.3, 0.4)  # shares of the bits that differ


def ingest(folder: Path, truth: dict[str, Any], timer: Timer) -> tuple[Table, dict[str, Clip]]:
    """What ingest says of each kind of file, and the files that it takes in."""
    stage = Ingest(IngestSettings.model_validate({}))
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    missing: dict[bool, list[Any]] = {True: [], False: []}
    taken = {}
    for name, entry in truth.items():
        measured = timer(stage, Clip.of_file(folder / name))
        found = measured if isinstance(measured, Rejected) else judge(stage.settings, measured) or measured
        fault = entry["fault"] if entry["fault"] in FILE_REASONS else "whole"
        reason = found.reason if isinstance(found, Rejected) else ""
        counts[fault][0] += 1
        counts[fault][1] += reason in FILE_REASONS[fault] if fault in FILE_REASONS else isinstance(found, Clip)
        if isinstance(measured, Clip) and fault in ("whole", "truncated", "corrupt"):
            missing[fault != "whole"].append(measured["ingest.missing"])
        if isinstance(found, Clip):
            taken[name] = found
    rows = [{"file": kind, "files": n, "rightly taken or rejected": hit} for kind, (n, hit) in sorted(counts.items())]
    bound = stage.settings.bounds["truncated"]
    curves = {"ingest.missing, of files that open": curve(bound, missing[True], missing[False])}
    return Table("ingest", "Files by what is wrong with them.", rows, curves if missing[True] else {}), taken


def split(taken: dict[str, Clip], truth: dict[str, Any], timer: Timer) -> Table:
    """Cuts, fades and dissolves against the truth. Within a shot that goes black, seams are as they should be."""
    stage = Split(SplitSettings.model_validate({"shortest": 1.0}))
    counts: dict[str, list[int]] = {"cut": [0, 0, 0], "fade": [0, 0, 0], "dissolve": [0, 0, 0]}
    nearness = {pictures: [0, 0, 0] for pictures in (0.5, 1.5, 2.5, 4.5, 8.5)}
    for name, clip in taken.items():
        shots = truth[name]["shots"]
        if truth[name]["fault"] or not shots:
            continue
        found = timer(stage, clip)
        cuts, seen = ([], []) if isinstance(found, Rejected) else (found["split.cuts"], found["split.fades"])
        gradual = {
            "fade": [(s["end"] - 2 * FADE / FPS, s["end"]) for s in shots[:-1] if s["fades"]],
            "dissolve": [
                (s["end"] - DISSOLVE / 2 / FPS, s["end"] + DISSOLVE / 2 / FPS) for s in shots[:-1] if s["dissolves"]
            ],
        }
        black = [(s["start"] + NEAR, s["end"] - NEAR) for s in shots if s["fault"] == "black"]
        passing = [*black, *((a - NEAR, b + NEAR) for spans in gradual.values() for a, b in spans)]
        cuts = [t for t in cuts if not any(a < t < b for a, b in passing)]
        wanted = [s["end"] for s in shots[:-1] if not s["fades"] and not s["dissolves"]]
        for pictures, tally in nearness.items():
            _count(tally, wanted, cuts, partial(_near, pictures / FPS))
        # What is found between two shots is of the kind that lies there; what lies nowhere is a fade too many.
        seen = [span for span in seen if not any(a - NEAR < span[0] and span[1] < b + NEAR for a, b in black)]
        dissolving = [span for span in seen if any(_meet(place, span) for place in gradual["dissolve"])]
        _count(counts["dissolve"], gradual["dissolve"], dissolving, _meet)
        _count(counts["fade"], gradual["fade"], [span for span in seen if span not in dissolving], _meet)
    counts["cut"] = nearness[2.5]
    rows = [
        {"seam": kind, "true": n, "found": given, "recall": share(hit, n), "precision": share(hit, given)}
        for kind, (n, hit, given) in counts.items()
    ]
    points = [
        {"threshold": pictures, "recall": share(hit, n), "precision": share(hit, given)}
        for pictures, (n, hit, given) in nearness.items()
    ]
    told = "Seams between true shots; a cut is found within 2.5 pictures, a gradual seam where the two overlap."
    return Table("split", told, rows, {"cuts over the pictures that they may be off": points})


def _near(seconds: float, wanted: float, given: float) -> bool:
    return abs(wanted - given) <= seconds


def _meet(place: Sequence[float], span: Sequence[float]) -> bool:
    return bool(span[0] - NEAR <= place[1] and span[1] + NEAR >= place[0])


def _count(counts: list[int], wanted: Sequence[Any], given: Sequence[Any], meets: Callable[[Any, Any], bool]) -> None:
    """Adds the wanted, the met (each given one meets one wanted at most) and the given."""
    left = list(given)
    for one in wanted:
        other = next((candidate for candidate in left if meets(one, candidate)), None)
        if other is not None:
            left.remove(other)
            counts[1] += 1
    counts[0] += len(wanted)
    counts[2] += len(given)


def duplicates(taken: dict[str, Clip], truth: dict[str, Any], timer: Timer) -> Table:
    """Pairs of a shot and its copy: of each one of both must go, and nothing else."""
    stage = Duplicates(DuplicateSettings.model_validate({}))
    clips: list[Clip] = []
    pair_of: dict[str, tuple[str, int]] = {}
    for name, entry in truth.items():
        if entry["fault"] not in ("", *COPIES) or name not in taken:
            continue
        for number in range(len(entry["shots"])):
            start, end = inside(entry["shots"], number)
            found = timer(stage, taken[name].part(start, end - start))
            assert isinstance(found, Clip)
            clips.append(found)
            pair_of[found.id] = (entry.get("of", name), number)
    clips.sort(key=lambda clip: clip.id)
    kind_of = {entry["of"]: entry["fault"] for entry in truth.values() if entry["fault"] in COPIES}
    pairs = {pair for pair in pair_of.values() if pair[0] in kind_of}

    def gone(settings: DuplicateSettings) -> list[tuple[str, int]]:
        return [pair_of[decision.clip] for decision in Duplicates(settings).decide(clips)]

    def of_kind(found: set[tuple[str, int]], kind: str) -> list[tuple[str, int]]:
        return [pair for pair in found if kind_of[pair[0]] == kind]

    rejected = gone(stage.settings)
    rows: list[Row] = []
    for kind in (kind for kind in COPIES if of_kind(pairs, kind)):
        hit, all_pairs = len(of_kind(set(rejected) & pairs, kind)), len(of_kind(pairs, kind))
        rows.append({"copy": kind, "pairs": all_pairs, "found": hit, "recall": share(hit, all_pairs)})
    points = []
    for apart in APART:
        others = gone(stage.settings.model_copy(update={"picture": apart}))
        met = len(set(others) & pairs)
        points.append({"threshold": apart, "recall": share(met, len(pairs)), "precision": share(met, len(others))})
    precision = share(len(set(rejected) & pairs), len(rejected))
    told = (
        f"Copies of {len(clips)} shots: resized and quieter, without their ends, mirrored, under a logo or watermark. "
        f"{len(rejected)} are rejected, a share of {precision or 0:.2f} of them rightly."
    )
    return Table("duplicates", told, rows, {"share of the picture's bits that may differ": points})
