"""`vivace train`: run one recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

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
        from vivace.training.recipe import load_recipe, run_recipe
    except ModuleNotFoundError as error:
        raise VivaceError(f"Training needs {error.name!r}; install it with: pip install 'vivace[train]'.") from None

    settings = load_recipe(recipe, override or [])
    folder = run or default_run(recipe)
    remember(settings, folder, accept_changes)
    try:
        figures = run_recipe(settings, folder)
    except KeyboardInterrupt:
        raise Stopped(f"Stopped; what is done is kept, and the same command goes on from there ({folder}).") from None
    typer.echo(" ".join(f"{name} {value:.4g}" for name, value in figures.items()), err=True)
    if as_json:
        typer.echo(json.dumps({"run": str(folder), "unit": settings.unit, "figures": figures}))


def default_run(recipe: Path) -> Path:
    """runs/nano-nava/5-joint for recipes/nano-nava/5-joint.toml."""
    return Path("runs") / recipe.resolve().parent.name / recipe.stem


def remember(settings: Any, folder: Path, accept_changes: bool) -> None:
    """Keep the recipe in the run's folder, and every one that it replaces.

    Raises:
        VivaceError: the run was begun with another recipe and changes are not accepted.
    """
    from vivace.media.atomic import replacing
    from vivace.training.recipe import recipe_json

    path, now = folder / "recipe.json", recipe_json(settings)
    before = path.read_text() if path.is_file() else None
    if before == now:
        return
    if before is not None and not accept_changes:
        keys = ", ".join(differing_keys(json.loads(before), json.loads(now)))
        raise VivaceError(
            f"Run {str(folder)!r} was begun with another recipe (different: {keys}); name a new folder with --run, or "
            "add --accept-changes to go on."
        )
    if before is not None:
        history = folder / "recipe-history.jsonl"
        kept = history.read_text() if history.is_file() else ""
        with replacing(history) as temporary:
            temporary.write_text(kept + json.dumps(json.loads(before)) + "\n")
    with replacing(path) as temporary:
        temporary.write_text(now)


def differing_keys(before: Any, now: Any, place: str = "") -> list[str]:
    """Dotted keys whose values differ."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [*before, *(key for key in now if key not in before)]
        return [k for key in keys for k in differing_keys(before.get(key), now.get(key), f"{place}.{key}".lstrip("."))]
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = enumerate(zip(before, now, strict=True))
        return [k for number, (old, new) in pairs for k in differing_keys(old, new, f"{place}.{number}")]
    return [] if before == now else [place]
