"""Precision and recall of curation's stages on faulty footage of the world, against its truth.

    python -m benchmarks.curation --files 40 --output docs/results/curation.md

Every stage is measured by itself on the true shots, so that none hides behind the one before it; taking in, splitting
and de-duplicating are measured on whole files. Each stage has one table, and a curve for every threshold that it has.
A shot with another fault than a bound's counts neither as faulty nor as sound: what is dark may well be flat.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.curation import files, kinds, people, quality
from benchmarks.curation.counting import Table
from benchmarks.curation.shots import Timer, measure_shots, shots_of

from vivace.curation.footage_files import write_footage
from vivace.media import replacing
from vivace.world.footage import FAULTS, Variety

# Of the companions in turn copies and broken files, so that few files have some of each.
COMPANIONS = ("duplicate", "truncated", "trimmed", "corrupt", "mirrored", "no_video", "logo", "no_sound", "watermark")
VARIETY = Variety(dissolves=0.25, trios=0.2)


def run(folder: Path, truth: dict[str, Any], people_folder: Path, size: int, count: int) -> dict[str, Any]:
    """The tables of all stages, and what they took; `count` people come again in the clips of `people_folder`."""
    timer = Timer()
    ingest, taken = files.ingest(folder, truth, timer)
    whole = [clip for name, clip in taken.items() if not truth[name]["fault"]]
    shots = list(shots_of(folder, truth, taken))
    measure_shots(shots, timer)
    labelled = kinds.labelled(shots)
    tables: list[Table] = [
        ingest,
        files.split(taken, truth, timer),
        quality.picture(shots),
        quality.marks(whole),
        quality.sound(shots),
        quality.coherence(shots),
        files.duplicates(taken, truth, timer),
        people.speech(shots),
        people.captions(shots),
        people.subjects(shots),
        quality.clarity(shots),
        kinds.labels(labelled),
        kinds.balance(labelled),
        people.pairs(people_folder, size, count, timer),
    ]
    return {
        "tables": [asdict(table) for table in tables],
        "seconds": {name: float(np.mean(spent)) for name, spent in timer.spent.items()},
        "clip_seconds": float(np.mean([shot.clip.seconds or 0.0 for shot in shots])),
    }


def written(found: dict[str, Any], told: str) -> str:
    """The figures as Markdown."""
    lines = ["# Curation on faulty footage", "", told, "", "Shots without any fault are called sound.", ""]
    for table in found["tables"]:
        lines += Table(**table).markdown()
    lines += [
        "## Seconds",
        "",
        f"Of one core for a clip of {found['clip_seconds']:.1f} s (ingest and split: a whole file).",
        "",
        "| stage | seconds |",
        "|---|---|",
    ]
    lines += [f"| {name} | {seconds:.3f} |" for name, seconds in found["seconds"].items()]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--files", type=int, default=40)
    parser.add_argument("--shots", type=int, default=4)
    parser.add_argument("--faulty", type=float, default=0.75)
    parser.add_argument("--seed", type=int, default=9000, help="of the first file; bounds were set on others")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--people", type=int, default=6, help="who come again in several clips, for pairs")
    parser.add_argument(
        "--footage", type=Path, help="folder for the footage; is used as it is where it has a truth.json"
    )
    parser.add_argument("--output", type=Path, help="Markdown; the same name with .json has all figures")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.footage or Path(temporary) / "footage"
        stored = folder / "truth.json"
        if stored.is_file():
            truth = json.loads(stored.read_text())
        else:
            truth = write_footage(
                folder,
                chosen.files,
                chosen.seed,
                shots=chosen.shots,
                faulty=chosen.faulty,
                size=chosen.size,
                faults=(*FAULTS, "silent-part"),
                companions=COMPANIONS,
                variety=VARIETY,
            )
        found = run(folder, truth, Path(temporary), chosen.size, chosen.people)
    told = (
        f"{chosen.files} files of {chosen.shots} shots of {chosen.size} x {chosen.size}, {chosen.faulty:.0%} of them "
        f"faulty, and {len(truth) - chosen.files} broken or copied files, from seed {chosen.seed} on: "
        f"`python -m benchmarks.curation --files {chosen.files}`."
    )
    text = written(found, told)
    print(text)
    if chosen.output is not None:
        for path, content in ((chosen.output, text), (chosen.output.with_suffix(".json"), json.dumps(found, indent=1))):
            with replacing(path) as place:
                place.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
