"""Held-out errors of the recorded trainings of a model, a row for each, with its stages; needs no weights.

    python -m benchmarks.stage_losses [--training src/vivace/nano/nano-nava/training] [--output stage-losses.png]
        [RUN...]

Takes the metrics that lie beside shipped weights. Errors fall along a row and are not comparable from one to the next
where their runs weigh them differently (`balance`). Grey lines stand where a stage ends.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.panels import Panel, draw_panels
from benchmarks.stage_effects import held_out, joint_recipe

from vivace.media import write_png

TRAINING = Path("src/vivace/nano/nano-nava/training")
# From the first run with NAVA's stages on; what each goes on from is in its recipe.
RUNS = (
    "joint-before-pictures",
    "joint-before-together",
    "joint-before-watching",
    "joint-before-every-task",
    "joint-before-listening",
    "joint-before-lengths",
    "joint",
)
TASKS = {"": "text to both", "t2a": "sound alone", "a2v": "pictures for a sound", "v2a": "sound for pictures"}


def row_of(run: Path) -> list[Panel | None]:
    """A run's panels, one for each of `TASKS`; None where the task was not watched."""
    lines, trained = held_out(run), joint_recipe(run)
    row: list[Panel | None] = []
    for task, called in TASKS.items():
        own = {side: lines[key] for side in ("video", "audio") if (key := f"{task} {side}".strip()) in lines}
        marks = [float(end) for end in trained.stage_ends[:-1]]
        row.append(Panel(called if row else f"{run.name}: {called}", own, None, marks) if own else None)
    return row


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="*", default=RUNS, help="folders of the training folder")
    parser.add_argument("--training", type=Path, default=TRAINING)
    parser.add_argument("--output", type=Path, default=Path("stage-losses.png"))
    asked = parser.parse_args(words)
    rows = [row_of(asked.training / run) for run in asked.run]
    foot = "Held-out velocity errors over the steps of each run, weighed as the run weighs them. Grey: a stage ends."
    write_png(asked.output, draw_panels("Held-out errors, a row for each run", rows, foot))


if __name__ == "__main__":
    main()
