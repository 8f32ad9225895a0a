"""`vivace compare`: which differences between evaluation runs are real."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from vivace.errors import VivaceError


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN|MODEL...", help="Results folders or models; with @CONDITION one of theirs, such as run@truth."
        ),
    ],
    output: Annotated[Path, typer.Option(help="Folder for the files.")] = Path("results/comparison"),
    group: Annotated[str, typer.Option(help="Group of prompts; 'all' as in the summaries.")] = "all",
    metric: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this metric; repeat. Every one with a better end.")
    ] = None,
    split: Annotated[str, typer.Option(help="Of models: val to choose settings with, test to report.")] = "val",
    count: Annotated[int, typer.Option(help="Of models: prompts of held-out scenes.")] = 32,
    seconds: Annotated[float, typer.Option(help="Of models: length of the clips.")] = 2.0,
    seeds: Annotated[int, typer.Option(min=1, help="Of models: clips for each prompt, by several seeds.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one machine-readable line, and only that.")] = False,
) -> None:
    """Compare models or evaluation runs, prompt by prompt, with paired tests and Holm's correction, and side by side.

    Writes comparison.html, comparison.md and comparison.json. Runs that were measured differently, or on other prompts,
    are not ranked together. Of a model (a shipped one or a folder) the world benchmark is made first, under
    OUTPUT/runs, where it goes on if it was interrupted.

    Example: vivace compare nano-nava ./my-nava nano-nava@truth --count 16
    """
    from vivace.evaluation.comparing import compare as compared
    from vivace.evaluation.comparing import read_subjects
    from vivace.evaluation.published_metric import labelled
    from vivace.evaluation.report.comparison_report import of_other_sizes, write_comparison

    made = _evaluated(runs, output / "runs", split, count, seconds, seeds, as_json)
    found = compared(read_subjects(made), group=group, metrics=metric or ())
    write_comparison(output, found)
    if as_json:
        print(json.dumps({"command": "compare", "output": str(output), **found.to_json()}))
        return
    from rich.console import Console
    from rich.table import Column, Table

    console = Console()
    shown = Table(Column("metric", no_wrap=True), "first", "second", "difference", "n", "p (Holm)", "better")
    for entry in found.differences:
        paired = entry.paired
        difference = f"{paired.mean:+.3f} [{paired.low:.3f}, {paired.high:.3f}]"
        better = entry.better or "none shown"
        shown.add_row(
            labelled(entry.metric, entry.version),
            entry.first,
            entry.second,
            difference,
            str(paired.n),
            f"{entry.adjusted:.3g}",
            better,
        )
    console.print(shown)
    if found.sizes:
        console.print(of_other_sizes(found), soft_wrap=True)
    console.print(f"All of it: {output / 'comparison.html'}", soft_wrap=True)


def _evaluated(
    subjects: Sequence[str], folder: Path, split: str, count: int, seconds: float, seeds: int, quiet: bool
) -> list[str]:
    """The subjects with results folders for models, whose benchmark is made where it is not there.

    Raises:
        VivaceError: two models of one name, or what `vivace evaluate world` refuses.
    """
    from vivace.cli.world_benchmark import WorldAsked, evaluate_model
    from vivace.evaluation.comparing import read_subjects

    found: list[str] = []
    runs: dict[Path, str] = {}
    for text in subjects:
        model, _, condition = text.partition("@") if not Path(text).is_dir() else (text, "", "")
        if not _is_model(model):
            read_subjects([text])  # what cannot be compared is told before anything is made
            found.append(text)
            continue
        run = folder / f"{Path(model).name}-{split}-{count}"
        if runs.setdefault(run, model) != model:
            raise VivaceError(
                f"Models {runs[run]!r} and {model!r} have one name, so that their results would lie in one folder; "
                "evaluate each with `vivace evaluate world --output`, and compare the folders."
            )
        found.append(f"{run}@{condition}" if condition else str(run))
    for run, model in runs.items():
        asked = WorldAsked(model, split, count, run, seconds, seeds=seeds, keep_clips=True, as_json=quiet)
        evaluate_model(replace(asked, compare_alignment=False, hand=False, camera=False, more=False))
    return found


def _is_model(text: str) -> bool:
    """Whether a text names a model; results of that name come first."""
    from vivace.pipelines.folder import INDEX, shipped_models

    results = (Path(text) / "summary.json").is_file()
    return not results and (text in shipped_models() or (Path(text) / INDEX).is_file())
