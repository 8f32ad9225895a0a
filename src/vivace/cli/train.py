"""`vivace train`: run one recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from vivace.cli.outputs import check_folder
from vivace.errors import Stopped, VivaceError


def train(
    recipe: Annotated[Path, typer.Argument(help="A TOML recipe, such as recipes/nano-nava/5-joint.toml.")],
    override: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Replace a value of the recipe, again and again."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(help="Folder of checkpoints and metrics.", show_default="runs/FOLDER/RECIPE"),
    ] = None,
    accept_changes: Annotated[
        bool,
        typer.Option(
            "--accept-changes", help="Go on with a run although the recipe differs from the one it began with."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="End with one line of JSON.")] = False,
) -> None:
    """Train, render or encode as a recipe says; the same command again goes on where it was interrupted.

    Example: vivace train recipes/nano-nava/5-joint.toml --set loop.threads=1 --run runs/trial
    """
    try:
        from vivace.training.recipe import load_recipe, recipe_json, run_recipe
        from vivace.training.run_folder import check_same, remember
    except ModuleNotFoundError as error:
        raise VivaceError(f"Training needs {error.name!r}; install it with: pip install 'vivace[train]'.") from None

    settings = load_recipe(recipe, override or [])
    folder = run or default_run(recipe)
    kept = recipe_json(settings)
    check_same(kept, folder, accept_changes)
    check_folder(folder, "Run")
    try:
        figures = run_recipe(settings, folder, begun=lambda: remember(kept, folder))
    except KeyboardInterrupt:
        raise Stopped(f"Stopped; what is done is kept, and the same command goes on from there ({folder}).") from None
    typer.echo(" ".join(f"{name} {value:.4g}" for name, value in figures.items()), err=True)
    if as_json:
        typer.echo(json.dumps({"run": str(folder), "unit": settings.unit, "figures": figures}))


def default_run(recipe: Path) -> Path:
    """runs/nano-nava/5-joint for recipes/nano-nava/5-joint.toml."""
    return Path("runs") / recipe.resolve().parent.name / recipe.stem
