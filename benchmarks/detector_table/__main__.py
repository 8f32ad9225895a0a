"""How right the detectors are, on clean and on degraded true clips of the world: precision, recall and bias.

    python -m benchmarks.detector_table --clips 32                       the full table
    python -m benchmarks.detector_table --clips 4 --material impacts     small
    python -m benchmarks.detector_table --clips 4 --output FOLDER        writes elsewhere

Clips are of the world's val split, which no threshold was set on. Writes docs/results/detectors.md and .json. An event
is found where a detection lies within the tolerance, one to one; the bias is detected minus true. Stretches (frozen and
black pictures, voice) are compared picture by picture, or hundredth by hundredth of a second.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.detector_table.events import of_camera, of_impacts, of_scenes, of_shots, of_talk
from benchmarks.detector_table.tally import Tallies
from benchmarks.detector_table.values import of_lips, of_pictures, of_sound, of_voices

from vivace.evaluation.groups import group_items
from vivace.evaluation.prompts import WorldItem, true_clip, world_items
from vivace.media import Clip, replacing
from vivace.perception.thresholds import thresholds

OUTPUT = Path(__file__).parents[2] / "docs" / "results"
SCENES = ("silence", "ambience", "vehicle")


def of_events(name: str, item: WorldItem, clip: Clip, tallies: Tallies) -> None:
    of_impacts(name, item, clip, tallies)
    of_sound(name, clip, tallies)
    of_pictures(name, clip, tallies)


def of_people(name: str, item: WorldItem, clip: Clip, tallies: Tallies) -> None:
    of_talk(name, item, clip, tallies)
    of_lips(name, item, clip, tallies)


JUDGES: dict[str, Callable[[str, WorldItem, Clip, Tallies], None]] = {
    "impacts": of_events,
    "shots": of_shots,
    "talk": of_people,
    "scenes": of_scenes,
    "camera": of_camera,
}
MATERIAL = (*JUDGES, "voices")


def items_of(material: str, count: int) -> list[WorldItem]:
    match material:
        case "impacts":
            return world_items("val", max(count, 2), hand=False, camera=False)[:count]
        case "camera":
            # One prompt in sixteen of the benchmark moves its camera.
            return [item for item in world_items("val", 16 * count, hand=False) if item.group == "camera"][:count]
        case "talk":
            return group_items("val", ["talk-seen"], max(count, 2), hand=False)[:count]
        case "scenes":
            each = max(2, -(-count // len(SCENES)))
            return group_items("val", SCENES, each, hand=False)
    return group_items("val", [material], max(count, 2), hand=False)[:count]


def table(materials: Sequence[str], count: int) -> Iterator[dict[str, Any]]:
    """Rows by detector and condition, those of events and those of values."""
    for material in materials:
        tallies = Tallies()
        clips = count
        if material == "voices":
            of_voices(count, tallies)
        else:
            items = items_of(material, count)
            clips = len(items)
            for item in items:
                JUDGES[material](item.id, item, true_clip(item), tallies)
                print(material, item.id, flush=True)
        for kind, found in (("events", tallies.events), ("values", tallies.values)):
            for (detector, condition), tally in sorted(found.items(), key=lambda entry: entry[0][0]):
                about = {"material": material, "kind": kind, "detector": detector, "condition": condition}
                yield {**about, "clips": clips, **tally.row()}


def calibrated() -> list[str]:
    """What the calibration of the thresholds itself has reported, over more clips and clean ones alone, as a table."""
    found = thresholds().provenance.get("report", {}).get("figures", {})
    lines = []
    for kind, figures in found.items():
        for detector, name in (("onsets", "sound onsets"), ("impacts", "visual impacts")):
            one = figures[detector]
            cells = [name, kind, f"{one['precision']:.3f}", f"{one['recall']:.3f}", one["events"]]
            cells += [f"{one['bias_ms']:.1f}", f"{one['mae_ms']:.1f}", figures["clips"]]
            lines.append(f"| {' | '.join(map(str, cells))} |")
    if not lines:
        return []
    title = "## Clean clips, as measured when the thresholds were frozen"
    head = "| detector | scenes | precision | recall | true | bias (ms) | error (ms) | clips |"
    return [
        "",
        title,
        "",
        "By `python benchmarks/calibrate_perception.py --report`.",
        "",
        head,
        "|---" * 8 + "|",
        *lines,
    ]


def markdown(rows: Sequence[dict[str, Any]], command: str) -> str:
    about = (
        f"Written by `{command}`, on true clips of 2 s of the world's val split. Noise is white against the mean level "
        "of the whole sound; what the other degradations are says `vivace.world.footage_faults`. They are strong: a "
        "viewer would reject the clip. Events are found within 50 ms (words within 100 ms, fades within 150 ms, what "
        "passes within 250 ms), one to one; bias and mean absolute error are of what was found. Words count only where "
        "the word itself is right; what has names counts where the name is right."
    )
    lines = [
        "# How right the detectors are",
        "",
        about,
        "",
        "| detector | condition | precision | recall | true | found | bias (ms) | error (ms) | clips |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if row["kind"] == "events":
            cells = [row["detector"], row["condition"], _number(row["precision"], 3), _number(row["recall"], 3)]
            cells += [row["true"], row["found"], _number(row["bias_ms"], 1), _number(row["mae_ms"], 1), row["clips"]]
            lines.append(f"| {' | '.join(map(str, cells))} |")
    lines += [
        "",
        "## Amounts",
        "",
        "Beside amounts that were put into the clips, or that the world knows. The rank correlation says whether both "
        "rise together; without a unit nothing else is claimed. None: values that the detector left out.",
        "",
        "| detector | condition | unit | bias | error | rank correlation | values | none |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if row["kind"] == "values":
            cells = [row["detector"], row["condition"], row["unit"] or "-", _number(row["bias"], 3)]
            cells += [_number(row["mae"], 3), _number(row["rank_correlation"], 2), row["values"], row["missing"]]
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join([*lines, *calibrated()]) + "\n"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=32, help="true clips of each material")
    parser.add_argument("--material", choices=MATERIAL, action="append", help="repeat; all when not given")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder of the table")
    arguments = parser.parse_args()
    rows = list(table(arguments.material or MATERIAL, arguments.clips))
    only = "".join(f" --material {name}" for name in arguments.material or ())
    command = f"python -m benchmarks.detector_table --clips {arguments.clips}{only}"
    arguments.output.mkdir(parents=True, exist_ok=True)
    with replacing(arguments.output / "detectors.json") as path:
        path.write_text(json.dumps({"command": command, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    with replacing(arguments.output / "detectors.md") as path:
        path.write_text(markdown(rows, command), encoding="utf-8")


if __name__ == "__main__":
    main()
