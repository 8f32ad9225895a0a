"""Precision and recall of curation's stages on faulty footage of the world, against its truth.

    python benchmarks/curation.py --files 40 --output docs/results/curation.md

Every stage is measured by itself on the true shots, so that none hides behind the one before it; splitting, taking in
and de-duplicating are measured on whole files. For each bound the table gives how many of the shots with its fault it
finds (recall), how many sound shots it rejects too (false alarms) and the area under the curve over all thresholds. A
shot with another fault counts for neither: what is dark may well be flat.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vivace.curation.caption import parse
from vivace.curation.clip import Clip, Rejected
from vivace.curation.footage_files import write_footage
from vivace.curation.stage import Bound, Stage, judge
from vivace.curation.stages.captions import Captions, CaptionSettings
from vivace.curation.stages.coherence import Coherence, CoherenceSettings
from vivace.curation.stages.duplicates import Duplicates, DuplicateSettings
from vivace.curation.stages.ingest import Ingest, IngestSettings
from vivace.curation.stages.picture import Picture, PictureSettings
from vivace.curation.stages.sound import Sound, SoundSettings
from vivace.curation.stages.speech import Speech, SpeechSettings
from vivace.curation.stages.split import Split, SplitSettings
from vivace.curation.stages.subjects import Subjects, SubjectSettings
from vivace.media import replacing
from vivace.world.footage import FADE

FPS = 24.0
NEAR = 2.5 / FPS  # seconds within which a cut is found
# What a file's fault may be called; broken bytes show in one of several ways.
FILE_REASONS = {
    "truncated": {"truncated", "damaged", "unreadable"},
    "corrupt": {"truncated", "damaged", "unreadable"},
    "no_video": {"unreadable"},
    "no_sound": {"no_sound"},
}
FAULT_OF = {"out_of_sync": "shifted"}  # where a bound is not called as the fault
STEPS = 8  # thresholds of a curve


@dataclass
class Shot:
    """A true shot with what the stages found."""

    clip: Clip
    fault: str
    truth: dict[str, Any]
    rejected: dict[str, str] = field(default_factory=dict)


@dataclass
class Timer:
    """Seconds of processor time of every stage's measurements, which other programs do not lengthen."""

    spent: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def __call__(self, stage: Stage, clip: Clip) -> Clip | Rejected:
        began = time.process_time()
        try:
            return stage.measure(clip)
        finally:
            self.spent[stage.name].append(time.process_time() - began)


def shots_of(folder: Path, truth: dict[str, Any]) -> Iterator[Shot]:
    """The true shots of the whole files, without the pictures beside a seam and without fades."""
    for name, entry in truth.items():
        if entry["fault"]:
            continue
        whole = Clip.of_file(folder / name)
        for shot in entry["shots"]:
            end = shot["end"] - (2 * FADE if shot["fades"] else 0) / FPS
            clip = whole.part(shot["start"] + 1 / FPS, end - shot["start"] - 2 / FPS)
            yield Shot(clip, shot["fault"], shot)


def measure_shots(shots: Sequence[Shot], timer: Timer) -> None:
    """All stages of one clip; a rejection by the measurement itself is kept by the stage's name."""
    stages: list[Stage] = [
        Picture(PictureSettings.model_validate({})),
        Sound(SoundSettings.model_validate({})),
        Coherence(CoherenceSettings.model_validate({})),
        Speech(SpeechSettings.model_validate({})),
        Captions(CaptionSettings.model_validate({})),
        Subjects(SubjectSettings.model_validate({})),
    ]
    for shot in shots:
        for stage in stages:
            found = timer(stage, shot.clip)
            if isinstance(found, Rejected):
                shot.rejected[stage.name] = found.reason
                break
            shot.clip = found
            for reason, bound in stage.settings.bounds.items():
                if not bound.holds(found.get(bound.column)):
                    shot.rejected.setdefault(stage.name, reason)


def bound_rows(shots: Sequence[Shot]) -> list[dict[str, Any]]:
    """One row for each bound on the picture, the sound and their coherence."""
    rows = []
    tables = (PictureSettings, SoundSettings, CoherenceSettings)
    for reason, bound in (entry for table in tables for entry in table.DEFAULT_BOUNDS.items()):
        fault = FAULT_OF.get(reason, reason)
        own = [shot.clip.get(bound.column) for shot in shots if shot.fault == fault]
        clean = [shot.clip.get(bound.column) for shot in shots if not shot.fault]
        if own:
            rows.append(
                {"reason": reason, "fault": fault, **judged(bound, own, clean), "curve": curve(bound, own, clean)}
            )
    return rows


def judged(bound: Bound, own: Sequence[Any], clean: Sequence[Any]) -> dict[str, Any]:
    """Recall, false alarms and precision of a bound among the shots of its fault and the sound ones."""
    found, alarms = (sum(not bound.holds(value) for value in values) for values in (own, clean))
    return {
        "shots": len(own),
        "sound_shots": len(clean),
        "recall": found / len(own),
        "alarms": alarms / len(clean) if clean else 0.0,
        "precision": found / (found + alarms) if found + alarms else None,
        "area": area(bound, own, clean),
    }


def area(bound: Bound, own: Sequence[Any], clean: Sequence[Any]) -> float | None:
    """Chance that a shot with the fault lies farther on the bound's wrong side than a sound one; a shot without a value
    lies on the right side."""
    if not own or not clean:
        return None
    a, b = (np.array([distance(bound, value) for value in values]) for values in (own, clean))
    return float((a[:, None] > b).mean() + 0.5 * (a[:, None] == b).mean())


def distance(bound: Bound, value: Any) -> float:
    """How far on the wrong side; the two sides of motion have a bound each."""
    if value is None:
        return -np.inf
    return float(value) if bound.most is not None else -float(value)


def curve(bound: Bound, own: Sequence[Any], clean: Sequence[Any]) -> list[dict[str, float]]:
    """Recall and false alarms over thresholds between the two groups' extremes, the bound itself among them."""
    values = sorted({float(value) for value in (*own, *clean) if value is not None})
    if not values:
        return []
    chosen = {values[round(k * (len(values) - 1) / (STEPS - 1))] for k in range(STEPS)}
    side = "most" if bound.most is not None else "least"
    stated = getattr(bound, side)
    points = []
    for threshold in sorted({*chosen, stated}):
        other = bound.model_copy(update={side: threshold})
        found = judged(other, own, clean)
        points.append({"threshold": round(threshold, 4), "recall": found["recall"], "alarms": found["alarms"]})
    return points


def stage_rows(shots: Sequence[Shot]) -> list[dict[str, Any]]:
    """Whether a stage rejects shots with a fault of its own, for any reason, and keeps sound ones."""
    faults = {
        "picture": set(PictureSettings.DEFAULT_BOUNDS),
        "sound": set(SoundSettings.DEFAULT_BOUNDS),
        "coherence": {"shifted"},
        "subjects": {"dubbed", "off-screen"},
    }
    rows = []
    for stage, of_stage in faults.items():
        own = [shot for shot in shots if shot.fault in of_stage]
        # The captions' own fault is put right, not rejected, so that its shots are sound for the others.
        clean = [shot for shot in shots if not shot.fault and (stage != "subjects" or shot.truth["speakers"])]
        found, alarms = (sum(stage in shot.rejected for shot in group) for group in (own, clean))
        precision = found / (found + alarms) if found + alarms else None
        recall = found / len(own) if own else None
        rows.append(
            {
                "stage": stage,
                "shots": len(own),
                "sound_shots": len(clean),
                "recall": recall,
                "alarms": alarms / len(clean) if clean else None,
                "precision": precision,
            }
        )
    return rows


def speaker_figures(shots: Sequence[Shot]) -> dict[str, Any]:
    """What subject-speech correction does to wrong captions and to right ones."""
    talking = [shot for shot in shots if shot.truth["speakers"] and shot.fault in ("", "swapped")]
    counts: dict[str, int] = defaultdict(int)
    for shot in talking:
        kind = "wrong" if shot.fault == "swapped" else "right"
        counts[kind] += 1
        reason = next((shot.rejected[name] for name in ("speech", "captions", "subjects") if name in shot.rejected), "")
        if reason:
            counts[f"{kind}_rejected"] += 1
            counts[f"{kind}: {reason}"] += 1
        elif parse(shot.clip["subjects.text"]).speakers() == list(shot.truth["speakers"]):
            counts[f"{kind}_right_after"] += 1
        else:
            counts[f"{kind}_wrong_after"] += 1
    return dict(counts)


def file_rows(folder: Path, truth: dict[str, Any], timer: Timer) -> tuple[list[dict[str, Any]], dict[str, Clip]]:
    """What ingest says of each kind of file, and the files that it takes in."""
    stage = Ingest(IngestSettings.model_validate({}))
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    taken = {}
    for name, entry in truth.items():
        measured = timer(stage, Clip.of_file(folder / name))
        found = measured if isinstance(measured, Rejected) else judge(stage.settings, measured) or measured
        fault = entry["fault"] if entry["fault"] in FILE_REASONS else "whole"
        right = isinstance(found, Clip) if fault == "whole" else _reason(found) in FILE_REASONS[fault]
        counts[fault][0] += 1
        counts[fault][1] += right
        if isinstance(found, Clip):
            taken[name] = found
    return [{"file": kind, "files": n, "right": right} for kind, (n, right) in sorted(counts.items())], taken


def _reason(found: Clip | Rejected) -> str:
    return found.reason if isinstance(found, Rejected) else ""


def split_rows(taken: dict[str, Clip], truth: dict[str, Any], timer: Timer) -> list[dict[str, Any]]:
    """Hard cuts and fades against the truth. Within a shot that goes black, seams are as they should be."""
    stage = Split(SplitSettings.model_validate({"shortest": 1.0}))
    cuts, fades = [0, 0, 0], [0, 0, 0]
    for name, clip in taken.items():
        shots = truth[name]["shots"]
        if truth[name]["fault"] or not shots:
            continue
        found = timer(stage, clip)
        if isinstance(found, Rejected):
            cuts[0] += sum(not shot["fades"] for shot in shots[:-1])
            fades[0] += sum(shot["fades"] for shot in shots[:-1])
            continue
        passing = [shot for shot in shots if shot["fault"] == "black"]
        wanted = [shot["end"] for shot in shots[:-1] if not shot["fades"]]
        given = [
            t
            for t in found["split.cuts"]
            if not any(shot["start"] + NEAR < t < shot["end"] - NEAR for shot in passing)
            and not any(
                shot["fades"] and shot["end"] - 2 * FADE / FPS - NEAR < t <= shot["end"] + NEAR for shot in shots
            )
        ]
        _count(cuts, wanted, given, lambda a, b: abs(a - b) <= NEAR)
        ends = [shot["end"] for shot in shots[:-1] if shot["fades"]]
        seen = [
            span
            for span in found["split.fades"]
            if not any(shot["start"] < span[0] and span[1] < shot["end"] - NEAR for shot in passing)
        ]
        _count(fades, ends, seen, lambda end, span: span[0] - NEAR <= end and span[1] >= end - 2 * FADE / FPS)
    rows = []
    for kind, (wanted_count, hit, given_count) in (("cuts", cuts), ("fades", fades)):
        recall = hit / wanted_count if wanted_count else None
        precision = hit / given_count if given_count else None
        rows.append(
            {"seam": kind, "true": wanted_count, "found": given_count, "recall": recall, "precision": precision}
        )
    return rows


def _count(counts: list[int], wanted: Sequence[Any], given: Sequence[Any], meets: Any) -> None:
    """Adds the wanted, the met (each given one meets one wanted at most) and the given."""
    left = list(given)
    for one in wanted:
        other = next((candidate for candidate in left if meets(one, candidate)), None)
        if other is not None:
            left.remove(other)
            counts[1] += 1
    counts[0] += len(wanted)
    counts[2] += len(given)


def duplicate_figures(folder: Path, truth: dict[str, Any], timer: Timer) -> dict[str, Any]:
    """Pairs of a shot and its resized, quieter copy: of each one of both must go, and nothing else."""
    stage = Duplicates(DuplicateSettings.model_validate({}))
    clips, pair_of = [], {}
    for name, entry in truth.items():
        if entry["fault"] not in ("", "duplicate"):
            continue
        whole = Clip.of_file(folder / name)
        for number, shot in enumerate(entry["shots"]):
            end = shot["end"] - (2 * FADE if shot["fades"] else 0) / FPS
            found = timer(stage, whole.part(shot["start"] + 1 / FPS, end - shot["start"] - 2 / FPS))
            assert isinstance(found, Clip)
            clips.append(found)
            pair_of[found.id] = (entry.get("of", name), number)
    clips.sort(key=lambda clip: clip.id)
    gone = [decision.clip for decision in stage.decide(clips)]
    copied = {entry["of"] for entry in truth.values() if entry["fault"] == "duplicate"}
    pairs = {pair for pair in pair_of.values() if pair[0] in copied}
    hit = {pair_of[clip] for clip in gone} & pairs
    precision = len(hit) / len(gone) if gone else None
    return {
        "clips": len(clips),
        "pairs": len(pairs),
        "rejected": len(gone),
        "recall": len(hit) / len(pairs) if pairs else None,
        "precision": precision,
    }


def run(folder: Path, truth: dict[str, Any]) -> dict[str, Any]:
    """All figures."""
    timer = Timer()
    files, taken = file_rows(folder, truth, timer)
    shots = list(shots_of(folder, truth))
    seams = split_rows(taken, truth, timer)
    duplicates = duplicate_figures(folder, truth, timer)
    measure_shots(shots, timer)
    return {
        "files": files,
        "seams": seams,
        "duplicates": duplicates,
        "stages": stage_rows(shots),
        "bounds": bound_rows(shots),
        "speakers": speaker_figures(shots),
        "seconds": {name: float(np.mean(spent)) for name, spent in timer.spent.items()},
        "clip_seconds": float(np.mean([shot.clip.seconds or 0.0 for shot in shots])),
    }


def written(found: dict[str, Any], told: str) -> str:
    """The figures as Markdown."""
    lines = ["# Curation on faulty footage", "", told, "", "Shots without any fault are called sound.", ""]
    lines += [
        "## Stages",
        "",
        "| stage | shots with its faults | recall | precision | sound shots rejected |",
        "|---|---|---|---|---|",
    ]
    for row in found["stages"]:
        lines.append(
            f"| {row['stage']} | {row['shots']} | {_share(row['recall'])} | {_share(row['precision'])} | "
            f"{_share(row['alarms'])} of {row['sound_shots']} |"
        )
    lines += [
        "",
        "## Bounds",
        "",
        "| bound | shots with the fault | recall | precision | sound shots rejected | area |",
        "|---|---|---|---|---|---|",
    ]
    for row in found["bounds"]:
        lines.append(
            f"| {row['reason']} | {row['shots']} | {_share(row['recall'])} | {_share(row['precision'])} | "
            f"{_share(row['alarms'])} | {_number(row['area'])} |"
        )
    lines += ["", "## Files", "", "| file | number | rightly taken or rejected |", "|---|---|---|"]
    lines += [f"| {row['file']} | {row['files']} | {row['right']} |" for row in found["files"]]
    lines += ["", "## Seams and duplicates", "", "| | true | found | recall | precision |", "|---|---|---|---|---|"]
    for row in found["seams"]:
        lines.append(
            f"| {row['seam']} | {row['true']} | {row['found']} | {_share(row['recall'])} | {_share(row['precision'])} |"
        )
    row = found["duplicates"]
    lines.append(
        f"| duplicates | {row['pairs']} | {row['rejected']} | {_share(row['recall'])} | {_share(row['precision'])} |"
    )
    counts = defaultdict(int, found["speakers"])
    lines += [
        "",
        "## Who says what",
        "",
        "| caption before | shots | right after | wrong after | rejected |",
        "|---|---|---|---|---|",
    ]
    for kind in ("wrong", "right"):
        after = [counts[f"{kind}_{end}"] for end in ("right_after", "wrong_after", "rejected")]
        reasons = ", ".join(f"{n} {key.partition(': ')[2]}" for key, n in counts.items() if key.startswith(f"{kind}: "))
        lines.append(f"| {kind} | {counts[kind]} | {after[0]} | {after[1]} | {after[2]}{reasons and f' ({reasons})'} |")
    lines += ["", "## Thresholds", "", "Recall / sound shots rejected, at each threshold.", ""]
    for row in found["bounds"]:
        points = ", ".join(f"{p['threshold']:g}: {p['recall']:.2f} / {p['alarms']:.2f}" for p in row["curve"])
        lines.append(f"- {row['reason']}: {points}")
    lines += [
        "",
        "## Seconds",
        "",
        f"Of one core for a clip of {found['clip_seconds']:.1f} s (ingest and split: a whole file).",
    ]
    lines += ["", "| stage | seconds |", "|---|---|"]
    lines += [f"| {name} | {seconds:.3f} |" for name, seconds in found["seconds"].items()]
    return "\n".join(lines) + "\n"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--files", type=int, default=40)
    parser.add_argument("--shots", type=int, default=4)
    parser.add_argument("--faulty", type=float, default=0.75)
    parser.add_argument("--seed", type=int, default=9000, help="of the first file; bounds were set on others")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument(
        "--footage", type=Path, help="folder for the footage; is used as it is where it has a truth.json"
    )
    parser.add_argument("--output", type=Path, help="Markdown; the same name with .json has all figures")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.footage or Path(temporary)
        stored = folder / "truth.json"
        if stored.is_file():
            truth = json.loads(stored.read_text())
        else:
            truth = write_footage(
                folder, chosen.files, chosen.seed, shots=chosen.shots, faulty=chosen.faulty, size=chosen.size
            )
        found = run(folder, truth)
    told = (
        f"{chosen.files} files of {chosen.shots} shots of {chosen.size} x {chosen.size}, {chosen.faulty:.0%} of them "
        f"faulty, and {len(truth) - chosen.files} broken or copied files, from seed {chosen.seed} on: "
        f"`python benchmarks/curation.py --files {chosen.files}`."
    )
    text = written(found, told)
    print(text)
    if chosen.output is not None:
        for path, content in ((chosen.output, text), (chosen.output.with_suffix(".json"), json.dumps(found, indent=1))):
            with replacing(path) as place:
                place.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
