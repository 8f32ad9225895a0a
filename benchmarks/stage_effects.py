"""What a training does over its steps: sync, words, voice, picture and sound at every kept checkpoint, and its losses.

    python -m benchmarks.stage_effects recipes/nano-nava/8-export-all.toml [--run FOLDER]... [--step 500]...
        [--count 64] [--split val] [--talk talk-unseen] [--seconds 2] [--batch 4] [--output FOLDER]

Takes the recipe that exports a run of the unit "joint" (for its codecs and settings) and the checkpoints that the run
has kept: those at the ends of stages and at multiples of `loop.milestone_every`, and the newest two. Several `--run`,
each of which began with the weights of the one before, are drawn one after another; steps are then counted from the
first one's beginning. Prompts, seeds and noise are the same at every one. A measurement that was interrupted goes on
with the same command, and later checkpoints are added to the folder.
Writes stages.png and stages.json; grey lines stand where a stage of the training ends. Held-out errors are drawn of a
single run only: runs weigh theirs differently.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from benchmarks.measured_points import MEASURES, generator, measure_points, prompts
from benchmarks.panels import Panel, draw_panels

from vivace.errors import VivaceError
from vivace.evaluation.ledger import Run, whole_rows
from vivace.evaluation.prompts import WorldItem
from vivace.evaluation.report.charts import Estimate, Point
from vivace.evaluation.summary import TRUTH
from vivace.evaluation.world import Generate
from vivace.media import Clip, replacing, write_png
from vivace.pipelines.nava import NavaPipeline
from vivace.training.export import ExportRecipe, read_recipe, run_export
from vivace.training.joint import JointRecipe
from vivace.training.recipe import load_recipe

COLUMNS = 4


@dataclass(frozen=True)
class Moment:
    """A checkpoint of a run that is one of several in a row.

    Args:
        run: its folder. step: of the checkpoint. at: the same, counted from the beginning of the first run.
    """

    run: Path
    step: int
    at: int

    @property
    def name(self) -> str:
        return f"step {self.at}"


def kept_moments(runs: Mapping[Path, JointRecipe]) -> list[Moment]:
    """The complete checkpoints of runs that began with each other's weights, in order.

    Raises:
        VivaceError: a run has kept none.
    """
    moments, before = [], 0
    for run, trained in runs.items():
        found = sorted(path.parent.name for path in (run / "checkpoints").glob("step-*/state.json"))
        if not found:
            raise VivaceError(f"Run {str(run)!r} has kept no checkpoint; train it with loop.milestone_every above 0.")
        steps = [int(name.removeprefix("step-")) for name in found]
        moments += [Moment(run, step, before + step) for step in steps]
        before += trained.stage_ends[-1]
    return moments


def chosen_moments(kept: Sequence[Moment], steps: Sequence[int]) -> list[Moment]:
    """Those at the named steps, or all when none is named.

    Raises:
        VivaceError: no checkpoint was kept at such a step.
    """
    by_step = {moment.at: moment for moment in kept}
    missing = [str(step) for step in steps if step not in by_step]
    if missing:
        have = ", ".join(str(step) for step in by_step)
        raise VivaceError(f"No checkpoint was kept at step {', '.join(missing)}; there are {have}.")
    return [by_step[step] for step in sorted(steps or by_step)]


def exported(recipe: ExportRecipe, moment: Moment) -> NavaPipeline:
    """The model as it was at that moment, with averaged weights."""
    chosen = {"run": moment.run, "step": moment.step, "records": {}}
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "model"
        run_export(recipe.model_copy(update={**chosen, "output": output}), output)
        pipeline = NavaPipeline.from_pretrained(output)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def at_moment(recipe: ExportRecipe, moment: Moment) -> Generate:
    """Clips by the model of a moment, which is exported when the first is asked for."""
    made: list[Generate] = []

    def generate(items: Sequence[WorldItem]) -> list[Clip]:
        if not made:
            made.append(generator(exported(recipe, moment), seconds=float(items[0].timeline.seconds)))
        return made[0](items)

    return generate


def held_out(run: Path) -> dict[str, list[Point]]:
    """The held-out losses of each side over the steps; those of tasks as "TASK video" and "TASK audio"."""
    lines: dict[str, list[Point]] = {}
    for row in whole_rows(run / "metrics.jsonl"):
        for name, value in row.items():
            place, _, side = name.removeprefix("val/").rpartition("/")
            if name.startswith("val/") and side in ("video", "audio"):
                point = Point(float(row["step"] + 1), Estimate(value, None, None, 1))
                lines.setdefault(f"{place} {side}".strip(), []).append(point)
    return lines


def stage_effects(
    recipe: ExportRecipe,
    output: Path,
    *,
    runs: Sequence[Path] = (),
    steps: Sequence[int] = (),
    split: str = "val",
    count: int = 64,
    talk: str = "talk-unseen",
    seconds: float = 2.0,
    batch: int = 4,
) -> dict[str, Any]:
    """Measure every step (all kept ones when none is named); writes stages.json and stages.png, returns the former.

    Args:
        recipe: exports a run. runs: instead of its run one or several, each begun with the weights of the one before.
        steps: counted from the beginning of the first run.

    Raises:
        VivaceError: no such checkpoint, or a run of another unit.
    """
    trained = {run: joint_recipe(run) for run in runs or [recipe.run]}
    moments = chosen_moments(kept_moments(trained), steps)
    first = exported(recipe, moments[0])
    plan = first.plan("a clip", seconds=seconds)
    items = prompts(first, split, count, talk, seconds=seconds, height=plan.height, width=plan.width)
    chosen = {"seconds": float(plan.timeline.seconds), "preset": plan.preset.model_dump(mode="json")}
    makers = {moment.name: at_moment(recipe, moment) for moment in moments}
    heading = " - ".join(run.name for run in trained)
    found = measure_points(makers, items, output, Run(heading, identity_of(trained), split, chosen), batch=batch)
    stages = ends_of(trained)
    report = {
        "runs": [run.name for run in trained],
        "split": split,
        "prompts": len(items),
        "stages": [{"run": run, "name": name, "ends": end} for run, name, end in stages],
        "steps": [moment.at for moment in moments],
        "points": found.to_json(),
        "differences_to_first": found.differences(moments[0].name),
    }
    with replacing(output / "stages.json") as path:
        path.write_text(json.dumps(report, indent=1) + "\n")
    marks = _inside([end for *_, end in stages], [moment.at for moment in moments])
    panels = [
        Panel(measure.title, {"": line}, _truth(found.figures[TRUTH], measure.metric), marks)
        for measure in MEASURES
        if (
            line := [
                Point(moment.at, found.figures[moment.name][measure.metric])
                for moment in moments
                if measure.metric in found.figures[moment.name]
            ]
        )
    ]
    if len(trained) == 1:
        ((run, only),) = trained.items()
        panels += loss_panels(held_out(run), only)
    rows: list[list[Panel | None]] = [list(panels[at : at + COLUMNS]) for at in range(0, len(panels), COLUMNS)]
    foot = "Bands: 95 % bootstrap intervals over prompts. Dashed: true clips. Grey: a stage ends."
    write_png(output / "stages.png", draw_panels(f"{heading}: over the steps of training", rows, foot))
    return report


def joint_recipe(run: Path) -> JointRecipe:
    """What a run was trained by.

    Raises:
        VivaceError: it is of another unit.
    """
    trained = read_recipe(run)
    if trained.unit != "joint":
        raise VivaceError(f"Run {str(run)!r} is of the unit {trained.unit!r}; name one of the unit 'joint'.")
    return trained


def identity_of(runs: Iterable[Path]) -> str:
    """What tells these trainings from others: a hash of their recipes."""
    return hashlib.sha256(b"".join((run / "recipe.json").read_bytes() for run in runs)).hexdigest()


def ends_of(runs: Mapping[Path, JointRecipe]) -> list[tuple[str, str, int]]:
    """Run, stage and the step, counted from the beginning of the first run, after which the stage ends."""
    ends, before = [], 0
    for run, trained in runs.items():
        for stage, end in zip(trained.stages, trained.stage_ends, strict=True):
            ends.append((run.name, stage.name, before + end))
        before += trained.stage_ends[-1]
    return ends


def loss_panels(lines: Mapping[str, list[Point]], trained: JointRecipe) -> list[Panel]:
    """Held-out velocity errors: of text to both, and of every other task that was watched."""
    names = ["", *dict.fromkeys(task.name for stage in trained.stages for task in stage.tasks)]
    panels = []
    for name in names:
        own = {side: lines[key] for side in ("video", "audio") if (key := f"{name} {side}".strip()) in lines}
        if own:
            steps = [point.at for line in own.values() for point in line]
            panels.append(
                Panel(f"held-out error: {name or 'text to both'}", own, None, _inside(trained.stage_ends, steps))
            )
    return panels


def _inside(ends: Sequence[int], steps: Sequence[float]) -> list[float]:
    """Ends of stages that lie between the first and the last step."""
    return [float(end) for end in ends if min(steps) < end < max(steps)]


def _truth(figures: Mapping[str, Estimate], metric: str) -> float | None:
    return figures[metric].value if metric in figures else None


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path, help="of the unit export")
    parser.add_argument("--run", type=Path, action="append", default=[], help="instead of the recipe's run; repeat")
    parser.add_argument("--step", type=int, action="append", default=[], help="instead of all that are kept; repeat")
    parser.add_argument("--count", type=int, default=64, help="prompts of scenes, and as many of talk")
    parser.add_argument("--split", choices=("val", "test"), default="val")
    parser.add_argument("--talk", default="talk-unseen", help="group of talking prompts")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("results/stages"))
    asked = parser.parse_args(words)
    if asked.threads:
        torch.set_num_threads(asked.threads)
    recipe = load_recipe(asked.recipe)
    if not isinstance(recipe, ExportRecipe):
        raise VivaceError(f"Recipe {str(asked.recipe)!r} exports nothing; name one of the unit 'export'.")
    settings = {name: getattr(asked, name) for name in ("split", "count", "talk", "seconds", "batch")}
    stage_effects(recipe, asked.output, runs=asked.run, steps=asked.step, **settings)
    print(asked.output / "stages.png")


if __name__ == "__main__":
    try:
        main()
    except VivaceError as error:
        raise SystemExit(str(error)) from None
