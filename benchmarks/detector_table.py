"""How right the detectors are, on clean and on degraded true clips of the world: precision, recall and bias.

    python benchmarks/detector_table.py --clips 32                       the full table
    python benchmarks/detector_table.py --clips 4 --material impacts     small
    python benchmarks/detector_table.py --clips 4 --output FOLDER        writes elsewhere

Clips are of the world's val split, which no threshold was set on. Writes docs/results/detectors.md and .json. An event
is found where a detection lies within the tolerance, one to one; the bias is detected minus true. Stretches (frozen and
black pictures, voice) are compared picture by picture, or hundredth by hundredth of a second.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vivace.evaluation.groups import group_items
from vivace.evaluation.matching import match_times
from vivace.evaluation.prompts import WorldItem, true_clip, world_items
from vivace.media import Clip, replacing
from vivace.perception.cuts import detect_cuts
from vivace.perception.onsets import detect_onsets
from vivace.perception.percept import perceive
from vivace.perception.stills import black_pictures, still_steps
from vivace.perception.text_overlay import text_share
from vivace.perception.thresholds import thresholds
from vivace.perception.voice_activity import detect_voice
from vivace.perception.words import hear_words
from vivace.world import truth
from vivace.world.footage_faults import faulty_picture, faulty_sound

OUTPUT = Path(__file__).parents[1] / "docs" / "results"
PICTURES = ("clean", "noisy", "blurred", "blocky", "dark")
SOUNDS = ("clean", "20 dB noise", "6 dB noise", "hissing", "dull", "clipped")
EVENT, WORD, VOICE_STEP = 0.05, 0.1, 0.01  # seconds
TEXT = 0.004  # share of the picture from which on a clip counts as lettered, for this table alone
MATERIAL = ("impacts", "shots", "talk")


@dataclass
class Tally:
    """Right, found and true events or steps, and by how much the right ones are off."""

    right: int = 0
    found: int = 0
    true: int = 0
    shifts: list[float] = field(default_factory=list)

    def add_times(self, true: Sequence[float], found: Sequence[float], tolerance: float) -> None:
        pairs = match_times(true, found, tolerance)
        self.right += len(pairs)
        self.found += len(found)
        self.true += len(true)
        self.shifts += [1000.0 * (found[j] - true[i]) for i, j in pairs]

    def add_steps(self, true: np.ndarray, found: np.ndarray) -> None:
        """Whether each step is so and is found so, bool [N] both."""
        self.right += int((true & found).sum())
        self.found += int(found.sum())
        self.true += int(true.sum())

    def row(self) -> dict[str, float | int | None]:
        """A share of nothing is None."""
        return {
            "precision": self.right / self.found if self.found else None,
            "recall": self.right / self.true if self.true else None,
            "true": self.true,
            "found": self.found,
            "bias_ms": float(np.mean(self.shifts)) if self.shifts else None,
            "mae_ms": float(np.abs(self.shifts).mean()) if self.shifts else None,
        }


Tallies = dict[tuple[str, str], Tally]  # by detector and condition


def _rng(*words: str) -> np.random.Generator:
    return np.random.default_rng([zlib.crc32(word.encode()) for word in words])


def degraded_sound(name: str, audio: np.ndarray, rate: int, condition: str) -> np.ndarray:
    """The sound in one of `SOUNDS`; noise is white, measured against the root mean square of the whole sound."""
    rng = _rng(name, condition)
    if condition == "clean":
        return audio
    if condition.endswith("dB noise"):
        level = float(np.sqrt((audio**2).mean())) * 10.0 ** (-float(condition.split()[0]) / 20.0)
        noisy: np.ndarray = (audio + rng.normal(0.0, level, audio.shape)).clip(-1, 1).astype(np.float32)
        return noisy
    return faulty_sound(rng, audio, rate, condition)


def degraded_pictures(name: str, frames: np.ndarray, condition: str) -> np.ndarray:
    return frames if condition == "clean" else faulty_picture(_rng(name, condition), frames, condition)


def of_impacts(name: str, item: WorldItem, clip: Clip, tallies: Tallies) -> None:
    """Onsets and impacts; and stretches and lettering, which are put into the pictures."""
    assert item.scene is not None
    assert clip.frames is not None
    assert clip.audio is not None
    times = truth(item.scene, item.timeline, item.height, item.width).times
    for condition in SOUNDS:
        sound = degraded_sound(name, clip.audio, clip.sample_rate, condition)
        found = [onset.time for onset in detect_onsets(sound, clip.sample_rate)]
        _of(tallies, "sound onsets", condition).add_times(times, found, EVENT)
    frozen, black = (faulty_picture(_rng(name, fault), clip.frames, fault) for fault in ("frozen", "black"))
    lettered = faulty_picture(_rng(name, "overlay"), clip.frames, "overlay")
    still = (frozen[1:] == frozen[:-1]).all(axis=(1, 2, 3))
    dark = (black == 0).all(axis=(1, 2, 3))
    for condition in PICTURES:
        seen = perceive(Clip(degraded_pictures(name, clip.frames, condition), clip.fps, None, clip.sample_rate)).video
        assert seen is not None
        impacts = [impact.time for impact in seen.impacts]
        _of(tallies, "visual impacts", condition).add_times(times, impacts, EVENT)
        # Noise comes before a picture freezes or goes black, as in a file; so the same degradation lies under both.
        under = degraded_pictures(name, clip.frames, condition)
        first = len(frozen) // 6
        held = np.concatenate([under[:first], np.repeat(under[first : first + 1], len(under) - first, axis=0)])
        _of(tallies, "frozen pictures", condition).add_steps(still, still_steps(held))
        gone = under.copy()
        gone[dark] = 0
        _of(tallies, "black pictures", condition).add_steps(dark, black_pictures(gone))
        for written, frames in ((True, lettered), (False, clip.frames)):
            share = text_share(degraded_pictures(name, frames, condition))
            _of(tallies, "lettering", condition).add_steps(np.array([written]), np.array([share >= TEXT]))


def of_shots(name: str, item: WorldItem, clip: Clip, tallies: Tallies) -> None:
    """Cuts."""
    assert item.scene is not None
    assert clip.frames is not None
    cuts = list(truth(item.scene, item.timeline, item.height, item.width).cuts)
    for condition in PICTURES:
        found = detect_cuts(degraded_pictures(name, clip.frames, condition), float(clip.fps))
        _of(tallies, "cuts", condition).add_times(cuts, found, EVENT)


def of_talk(name: str, item: WorldItem, clip: Clip, tallies: Tallies) -> None:
    """Words with their time and name, and voice."""
    assert item.scene is not None
    assert clip.audio is not None
    talk = truth(item.scene, item.timeline, item.height, item.width).talk
    assert talk is not None
    words = [(word.word, word.start) for line in talk.lines for word in line.words]
    for condition in SOUNDS:
        sound = degraded_sound(name, clip.audio, clip.sample_rate, condition)
        heard = [(word.word, word.start) for word in hear_words(sound, clip.sample_rate)]
        for word in {word for word, _ in (*words, *heard)}:
            times = ([start for other, start in side if other == word] for side in (words, heard))
            _of(tallies, "words", condition).add_times(*times, WORD)
        grid = np.arange(0.0, float(clip.seconds), VOICE_STEP)
        said = _inside(grid, [(line.start, line.end) for line in talk.lines])
        voiced = _inside(grid, [(span.start, span.end) for span in detect_voice(sound, clip.sample_rate)])
        _of(tallies, "voice activity", condition).add_steps(said, voiced)


def _inside(grid: np.ndarray, spans: Iterable[tuple[float, float]]) -> np.ndarray:
    inside = np.zeros(len(grid), bool)
    for start, end in spans:
        inside |= (grid >= start) & (grid < end)
    return inside


def _of(tallies: Tallies, detector: str, condition: str) -> Tally:
    return tallies.setdefault((detector, condition), Tally())


JUDGES: dict[str, Callable[[str, WorldItem, Clip, Tallies], None]] = {
    "impacts": of_impacts,
    "shots": of_shots,
    "talk": of_talk,
}


def items_of(material: str, count: int) -> list[WorldItem]:
    if material == "impacts":
        return world_items("val", max(count, 2), hand=False, camera=False)[:count]
    return group_items("val", ["talk-seen" if material == "talk" else "shots"], max(count, 2), hand=False)[:count]


def table(materials: Sequence[str], count: int) -> Iterator[dict[str, Any]]:
    """Rows by detector and condition."""
    for material in materials:
        tallies: Tallies = {}
        for item in items_of(material, count):
            JUDGES[material](item.id, item, true_clip(item), tallies)
            print(material, item.id, flush=True)
        for (detector, condition), tally in sorted(tallies.items(), key=lambda entry: entry[0][0]):
            yield {"material": material, "detector": detector, "condition": condition, "clips": count, **tally.row()}


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
        "viewer would reject the clip. Events are found within 50 ms (words within 100 ms), one to one; bias and mean "
        "absolute error are of what was found. Words count only where the word itself is right."
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
        share = ["-" if row[name] is None else f"{row[name]:.3f}" for name in ("precision", "recall")]
        off = ["-" if row[name] is None else f"{row[name]:.1f}" for name in ("bias_ms", "mae_ms")]
        cells = [row["detector"], row["condition"], *share, row["true"], row["found"], *off, row["clips"]]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join([*lines, *calibrated()]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=32, help="true clips of each material")
    parser.add_argument("--material", choices=MATERIAL, action="append", help="repeat; all when not given")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder of the table")
    arguments = parser.parse_args()
    rows = list(table(arguments.material or MATERIAL, arguments.clips))
    only = "".join(f" --material {name}" for name in arguments.material or ())
    command = f"python benchmarks/detector_table.py --clips {arguments.clips}{only}"
    arguments.output.mkdir(parents=True, exist_ok=True)
    with replacing(arguments.output / "detectors.json") as path:
        path.write_text(json.dumps({"command": command, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    with replacing(arguments.output / "detectors.md") as path:
        path.write_text(markdown(rows, command), encoding="utf-8")


if __name__ == "__main__":
    main()
