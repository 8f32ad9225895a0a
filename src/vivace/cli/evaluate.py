"""`vivace evaluate`: how good a model is, measured against what is true."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from vivace.cli import suites
from vivace.cli.option_sets import takes
from vivace.cli.options import DEFAULT_MODEL
from vivace.cli.shipped_page import models
from vivace.cli.world_benchmark import WorldAsked, evaluate_model
from vivace.errors import VivaceError

app = typer.Typer(
    name="evaluate",
    help="Measure a model, its codecs, or clips of any origin.",
    no_args_is_help=True,
)
app.command(epilog="Example: vivace evaluate clips --clips FOLDER --weights weights.toml")(suites.clips)
app.command(epilog="Example: vivace evaluate alive-style --model nano-nava --count 8")(suites.alive_style)
app.command(epilog="Example: vivace evaluate verse-bench --data Verse-Bench --protocol nava")(suites.verse_bench)
app.command(epilog="Example: vivace evaluate seed-tts --data seedtts_testset --language en")(suites.seed_tts)
app.command(epilog="Example: vivace evaluate javisbench --data JavisBench-mini.csv")(suites.javisbench)
app.command(epilog="Example: vivace evaluate models results/nano-nava-test results/nano-alive-test")(models)

Model = Annotated[str, typer.Option(help="A shipped model or a model folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print one machine-readable line at the end.")]


@app.command(epilog="Example: vivace evaluate world --split val --count 32 --output results/val")
@takes(WorldAsked)
def world(options: WorldAsked) -> None:
    """Generate for held-out prompts and score what is seen and heard against what was asked for.

    Beside the model stand the true clips, their round trip through the codecs (ceiling), and the model's pictures with
    the sound of another clip (floor). An interrupted run goes on where it stopped. Writes items.jsonl, summary.json,
    summary.md and report.html. With the defaults nano-nava makes about 1,250 clips, which takes hours on two cores;
    --quick makes 16.
    """
    folder, summary = evaluate_model(options)
    if options.as_json:
        from vivace.evaluation.headlines import headlines

        model_scores = {
            name: {metric: conditions["model"][metric]["value"] for metric in headlines(name, conditions)}
            for name, conditions in summary["groups"].items()
        }
        line = {"command": "evaluate world", "output": str(folder), "model": model_scores}
        if options.weights:
            line["skipped"] = sorted({entry["metric"] for entry in summary["skipped"]})
        print(json.dumps(line))
    else:
        _print_tables(summary["groups"], folder)


@app.command(epilog="Example: vivace evaluate codecs --count 64")
def codecs(
    model: Model = DEFAULT_MODEL,
    vae: Annotated[Path | None, typer.Option(help="A video codec's own folder, instead of the model's.")] = None,
    audio_vae: Annotated[Path | None, typer.Option(help="An audio codec's own folder, with --vocoder.")] = None,
    vocoder: Annotated[Path | None, typer.Option(help="A vocoder's own folder.")] = None,
    split: Annotated[str, typer.Option(help="val or test.")] = "val",
    count: Annotated[int, typer.Option(min=1, help="Held-out clips.")] = 64,
    seconds: Annotated[float, typer.Option(help="Length of the clips.")] = 2.0,
    as_json: Json = False,
) -> None:
    """Report what the round trip through the codecs loses: the ceiling of everything made with them."""
    from vivace.evaluation.codecs import codec_report
    from vivace.evaluation.prompts import true_clip, world_items

    items = world_items(split, max(count, 2), seconds=seconds, hand=False, camera=False)[:count]
    parts = _codec_parts(model, vae, audio_vae, vocoder)
    report = codec_report(*parts, (true_clip(item) for item in items))
    if as_json:
        print(json.dumps({"command": "evaluate codecs", "split": split, **report}))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("figure", "value", title="Round trip through the codecs", title_justify="left")
    for name, value in report.items():
        table.add_row(name, "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value))
    Console().print(table)


def _codec_parts(model: str, vae: Path | None, audio_vae: Path | None, vocoder: Path | None) -> tuple[Any, Any, Any]:
    own = (vae, audio_vae, vocoder)
    if vae is not None and audio_vae is not None and vocoder is not None:
        from vivace.training.codec_files import load_codecs, load_vocoder

        return *load_codecs(vae, audio_vae), load_vocoder(vocoder)
    if any(path is not None for path in own):
        raise VivaceError("Of --vae, --audio-vae and --vocoder only some were given; give all three or none.")
    from vivace.cli.making import Models

    pipeline, _ = Models().load(model)
    return pipeline.vae, pipeline.audio_vae, pipeline.vocoder


def _print_tables(groups: dict[str, dict[str, dict[str, Any]]], folder: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from vivace.evaluation.groups import GROUPS
    from vivace.evaluation.headlines import headlines
    from vivace.evaluation.published_metric import labelled

    console = Console()
    for group, conditions in groups.items():
        if group != "all" and group not in GROUPS:
            continue
        title = "Held-out scenes, still camera" if group == "all" else f"Prompts: {group}"
        table = Table("metric", *conditions, title=title, title_justify="left")
        for name in headlines(group, conditions):
            version = next(scores[name]["version"] for scores in conditions.values() if name in scores)
            table.add_row(labelled(name, version), *(_cell(scores.get(name)) for scores in conditions.values()))
        console.print(table)
    console.print(f"All figures with intervals: {folder / 'summary.md'}")
    console.print(f"The same with clips to look at, in a browser: {folder / 'report.html'}")


def _cell(score: dict[str, Any] | None) -> str:
    from vivace.evaluation.seeds import told_n

    return "-" if score is None or score["value"] is None else f"{score['value']:.3f} (n {told_n(score)})"
