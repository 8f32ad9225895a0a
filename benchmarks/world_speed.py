"""How long the world takes to draw a clip: pictures, sound and caption of every kind of scene, on one core.

    python -m benchmarks.world_speed [--size 96] [--seconds 2] [--clips 12] [--output docs/results/world-speed.md]

CPU time of this process, medians over clips after one of each kind that does not count. What it means for a training is
the last column: clips that are drawn while a clip lasts, on one core.
"""

from __future__ import annotations

import argparse
import shlex
import statistics
import sys
import time
from pathlib import Path

import numpy as np

from vivace.media import replacing
from vivace.timeline import Timeline
from vivace.world import caption, render_audio, render_video, sample_scene
from vivace.world.scene import ALL_KINDS

FIRST_SEED = 3_000_000


def seconds_of(kind: str, timeline: Timeline, size: int, clips: int) -> dict[str, float]:
    """Median CPU seconds of a clip: "scene" (drawn by lot, with its caption), "pictures", "sound", and "all"."""
    spent: dict[str, list[float]] = {"scene": [], "pictures": [], "sound": [], "all": []}
    for number in range(clips + 1):
        marks = [time.process_time()]
        scene = sample_scene(FIRST_SEED + number, "train", kind=kind, seconds=float(timeline.seconds))
        caption(scene, np.random.default_rng(number))
        marks.append(time.process_time())
        render_video(scene, timeline, size, size)
        marks.append(time.process_time())
        render_audio(scene, timeline)
        marks.append(time.process_time())
        if number:
            for name, one in zip(("scene", "pictures", "sound"), np.diff(marks), strict=True):
                spent[name].append(float(one))
            spent["all"].append(marks[-1] - marks[0])
    return {name: statistics.median(times) for name, times in spent.items()}


def table(found: dict[str, dict[str, float]], timeline: Timeline, size: int, clips: int, command: str) -> str:
    """What was measured, for a reader."""
    lines = [
        "# How fast the world is drawn",
        "",
        f"Milliseconds of CPU time on one core for a clip of {float(timeline.seconds):.2f} s at {size}x{size} and 24 "
        f"pictures a second, medians over {clips} clips. Written by `{command}`.",
        "",
        "| kind | scene and caption | pictures | sound | all | clips drawn while one lasts |",
        "|---|---|---|---|---|---|",
    ]
    for kind, spent in found.items():
        cells = [f"{1000 * spent[name]:.0f}" for name in ("scene", "pictures", "sound", "all")]
        lines.append(f"| {kind} | {' | '.join(cells)} | {float(timeline.seconds) / spent['all']:.0f} |")
    return "\n".join([*lines, ""])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--clips", type=int, default=12, help="of each kind")
    parser.add_argument("--output", type=Path, default=Path("world-speed.md"))
    words = sys.argv[1:] if arguments is None else arguments
    asked = parser.parse_args(words)
    timeline = Timeline.covering(asked.seconds)
    found = {kind: seconds_of(kind, timeline, asked.size, asked.clips) for kind in ALL_KINDS}
    command = shlex.join(["python", "-m", "benchmarks.world_speed", *words])
    told = table(found, timeline, asked.size, asked.clips, command)
    with replacing(asked.output) as temporary:
        temporary.write_text(told, encoding="utf-8")
    print(told)


if __name__ == "__main__":
    main()
