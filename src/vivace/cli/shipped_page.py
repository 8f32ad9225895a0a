"""`vivace evaluate models`: one page that holds several models against each other and against the truth."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

SHIPPED = ("nano-nava", "nano-alive")


def models(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RUN...", help="Results folders of `evaluate world`; those of the shipped models."),
    ] = None,
    split: Annotated[str, typer.Option(help="Without RUN: of results/MODEL-SPLIT, val or test.")] = "test",
    output: Annotated[Path, typer.Option(help="Folder for models.md and models.html.")] = Path("results/models"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one machine-readable line at the end.")] = False,
) -> None:
    """Write a page of the models that were measured: figures beside the truth, paired differences, and the commands.

    Nothing is made or measured. A model without a finished run stands on the page as missing, with how many of its
    clips are measured and the command that makes the run. Runs that were measured differently are refused.
    """
    from vivace.evaluation.models_measured import measured_models
    from vivace.evaluation.prompts import check_request
    from vivace.evaluation.report.models_report import write_models

    check_request(split, 2)
    found = measured_models(runs or [Path("results") / f"{name}-{split}" for name in SHIPPED])
    words = ["vivace", "evaluate", "models", *map(str, runs or ())]
    words += [] if runs or split == "test" else ["--split", split]
    write_models(output, found, shlex.join([*words, "--output", str(output)]))
    if as_json:
        missing = [{"model": one.name, "clips": one.clips} for one in found.missing]
        line = {"command": "evaluate models", "output": str(output), "models": list(found.runs), "missing": missing}
        print(json.dumps(line))
        return
    for one in found.missing:
        print(f"{one.name} is missing ({one.clips} clips measured so far): {one.command}")
    print(f"{', '.join(found.runs)}: {output / 'models.html'}")
