"""`vivace compare`: which differences between evaluation runs are real."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def compare(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Results folders, or FOLDER@CONDITION, such as run@truth.")
    ],
    output: Annotated[Path, typer.Option(help="Folder for the files.")] = Path("results/comparison"),
    group: Annotated[str, typer.Option(help="Group of prompts; 'all' as in the summaries.")] = "all",
    metric: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this metric; repeat. Every one with a better end.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one machine-readable line, and only that.")] = False,
) -> None:
    """Compare runs of one benchmark, prompt by prompt, with paired tests and Holm's correction.

    Writes comparison.html, comparison.md and comparison.json. Runs that were measured differently, or on other prompts,
    are not ranked together.

    Example: vivace compare results/nano-nava-val results/nano-alive-val
    """
    from vivace.evaluation.comparing import compare as compared
    from vivace.evaluation.comparing import read_subjects
    from vivace.evaluation.report.comparison_report import write_comparison

    found = compared(read_subjects(runs), group=group, metrics=metric or ())
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
            entry.metric, entry.first, entry.second, difference, str(paired.n), f"{entry.adjusted:.3g}", better
        )
    console.print(shown)
    console.print(f"All of it: {output / 'comparison.html'}", soft_wrap=True)
