"""`vivace evaluate`: how good a model is, measured against what is true."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vivace.cli import suites
from vivace.cli.options import DEFAULT_MODEL, parse_guides
from vivace.errors import VivaceError

if TYPE_CHECKING:
    from vivace.evaluation.prompts import WorldItem
    from vivace.evaluation.world import Generate, Progress
    from vivace.media import Clip
    from vivace.pipelines.capabilities import TaskName
    from vivace.pipelines.clip_pipeline import ClipPipeline

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

Model = Annotated[str, typer.Option(help="A shipped model or a model folder.")]
Output = Annotated[Path | None, typer.Option(help="Results folder; named from the model when not given.")]
Json = Annotated[bool, typer.Option("--json", help="Print one machine-readable line at the end.")]
HEADLINES = (
    "av_event_f1_50ms",
    "av_event_f1_75ms",
    "av_offset_median",
    "av_offset_median_abs",
    "av_offset_mean_abs",
    "av_offset_in_window",
    "sound_kind",
    "material_seen",
    "colour",
    "count_heard",
    "count_seen",
    "one_object",
    "pan_agreement",
)
# Figures that another task adds to them.
TASK_HEADLINES = ("first_frame_psnr", "second_frame_psnr")


@app.command(epilog="Example: vivace evaluate world --split val --count 32 --output results/val")
def world(
    model: Model = DEFAULT_MODEL,
    split: Annotated[str, typer.Option(help="val to choose settings with, test to report.")] = "val",
    count: Annotated[int, typer.Option(help="Prompts of held-out scenes; half are unseen combinations.")] = 128,
    output: Output = None,
    seconds: Annotated[float, typer.Option(help="Length of the clips.")] = 2.0,
    steps: Annotated[int | None, typer.Option(help="Denoising steps; the preset's when not given.")] = None,
    preset: Annotated[str | None, typer.Option(help="Named steps, solver and guides of the model.")] = None,
    guide: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="As for generate; repeat.")] = None,
    compare_alignment: Annotated[
        bool, typer.Option(help="Also generate with alignment guidance switched off (or on at 1 where it is off).")
    ] = True,
    hand: Annotated[bool, typer.Option(help="Also the prompts written by hand.")] = True,
    camera: Annotated[bool, typer.Option(help="Also scenes with a moving camera.")] = True,
    task: Annotated[
        str, typer.Option(help="t2av, ti2av, t2a, t2v, a2v, v2a or extend; what is given comes from true clips.")
    ] = "t2av",
    group: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Further prompts, such as talk-unseen or silence; repeat. All it knows."),
    ] = None,
    more: Annotated[bool, typer.Option(help="Further groups of prompts: talk, silence, ambience, ...")] = True,
    batch: Annotated[int, typer.Option(min=1, max=64, help="Clips made at a time.")] = 4,
    keep_clips: Annotated[bool, typer.Option(help="Keep every clip made as MP4 in the results folder.")] = False,
    as_json: Json = False,
) -> None:
    """Generate for held-out prompts and score what is seen and heard against what was asked for.

    Beside the model stand the true clips, their round trip through the codecs (ceiling), and the model's pictures with
    the sound of another clip (floor). An interrupted run goes on where it stopped. Writes items.jsonl, summary.json
    and summary.md.
    """
    from vivace.cli.making import Models
    from vivace.evaluation.codecs import round_trip
    from vivace.evaluation.groups import check_groups, group_items, groups_of
    from vivace.evaluation.ledger import Run
    from vivace.evaluation.prompts import check_request, world_items
    from vivace.evaluation.tasks import for_task, suits
    from vivace.evaluation.world import evaluate_world
    from vivace.media import write_clip
    from vivace.sampling.presets import Preset

    check_request(split, count)  # before a model is loaded
    check_groups(group or ())
    asked = _task(task)
    guides = dict(parse_guides(guide or ()))
    pipeline, model_hash = Models().load(model)
    pipeline.abilities.check_task(asked)
    settings: dict[str, Any] = {"seconds": seconds, "num_inference_steps": steps, "preset": preset, "guides": guides}
    plan = pipeline.plan("a clip", **settings)
    # A clip to be continued is as long again as what is added.
    shape: dict[str, Any] = {"height": plan.height, "width": plan.width}
    shape["seconds"] = 2 * seconds if asked == "extend" else seconds
    groups = (group or groups_of(pipeline.abilities)) if more else ()
    items = world_items(split, count, hand=hand, camera=camera, **shape)
    items += group_items(split, groups, max(count // 2, 2), hand=hand, **shape)
    items = [for_task(item, asked) for item in items if suits(item, asked)]
    generators: dict[str, Generate] = {"model": _generator(pipeline, settings, asked)}
    if compare_alignment and asked not in ("t2a", "t2v"):
        meeting, off, on = ("align", 0.0, 1.0) if isinstance(plan.preset, Preset) else ("mutual", 1.0, 3.0)
        scale = getattr(plan.preset, meeting)
        aligned = scale is not None and (scale.video, scale.audio) != (off, off)
        name, other = ("without alignment", off) if aligned else ("with alignment", on)
        generators[name] = _generator(pipeline, settings | {"guides": guides | {meeting: other}}, asked)
    run = Run(
        model=model,
        model_hash=model_hash,
        split=split,
        settings={
            "seconds": float(plan.timeline.seconds),
            "size": f"{plan.width}x{plan.height}",
            "preset": plan.preset.model_dump(mode="json"),
        }
        | ({} if asked == "t2av" else {"task": asked}),
    )
    folder = output or Path("results") / f"{Path(model).name}-{split}{'' if asked == 't2av' else f'-{asked}'}"

    def keep(condition: str, item: Any, clip: Clip) -> None:
        name = folder / "clips" / condition.replace(" ", "-") / f"{item.id}.mp4"
        write_clip(name, clip, {"title": item.prompt})

    codecs = pipeline.vae, pipeline.audio_vae, pipeline.vocoder
    with _progress(as_json) as progress:
        summary = evaluate_world(
            generators,
            items,
            folder,
            run,
            task=asked,
            round_trip=lambda clip: round_trip(*codecs, clip),
            batch=batch,
            progress=progress,
            keep=keep if keep_clips else None,
        )
    if as_json:
        model_scores = {
            name: {metric: conditions["model"][metric]["value"] for metric in _headlines(name, conditions)}
            for name, conditions in summary["groups"].items()
        }
        print(json.dumps({"command": "evaluate world", "output": str(folder), "model": model_scores}))
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


def _task(name: str) -> TaskName:
    from vivace.pipelines.capabilities import TASKS

    for task in TASKS:
        if task == name:
            return task
    raise VivaceError(f"The task {name!r} is unknown; use one of {', '.join(TASKS)}.")


def _generator(pipeline: ClipPipeline, settings: dict[str, Any], task: TaskName) -> Generate:
    def generate(items: Sequence[WorldItem]) -> list[Clip]:
        from vivace.evaluation.tasks import given
        from vivace.media import Clip, peak_limited

        things = [given(item, task) for item in items]
        arguments: dict[str, Any] = {name: [thing[name] for thing in things] for name in things[0]}
        if task in ("t2a", "t2v"):
            arguments["modalities"] = "audio" if task == "t2a" else "video"
        arguments |= _voices(pipeline, items)
        seeds = [item.seed for item in items]
        made: Any = pipeline([item.prompt for item in items], seed=seeds, **settings, **arguments)
        sides = [[None] * len(items) if side is None else side for side in (made.frames, made.audio)]
        return [
            Clip(frames, made.fps, None if audio is None else peak_limited(audio), made.audio_sample_rate)
            for frames, audio in zip(*sides, strict=True)
        ]

    return generate


def _voices(pipeline: ClipPipeline, items: Sequence[WorldItem]) -> dict[str, Any]:
    """A recording for every span of true scenes, where the model has voices."""
    from vivace.conditioning.voices import recording
    from vivace.evaluation.tasks import REFERENCE_RATE, references

    spoken = [[recording(sound, REFERENCE_RATE) for sound in references(item)] for item in items]
    if not pipeline.transformer.config.get("speaker_dim") or not any(spoken):
        return {}
    return {"voices": spoken}


@contextlib.contextmanager
def _progress(quiet: bool) -> Iterator[Progress]:
    """One bar for each condition on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True), disable=quiet) as bars:
        tasks: dict[str, Any] = {}

        def advance(condition: str, done: int, total: int) -> None:
            if condition not in tasks:
                tasks[condition] = bars.add_task(condition, total=total)
            bars.update(tasks[condition], completed=done)

        yield advance


def _headlines(group: str, conditions: dict[str, dict[str, Any]]) -> list[str]:
    """The metrics that are shown of a group: of impacts and instruments the headlines, of others all with a value."""
    from vivace.evaluation.groups import GROUPS

    model = conditions["model"]
    if group in GROUPS:
        return [
            name for name in model if any(scores[name]["value"] is not None for scores in conditions.values() if scores)
        ]
    return [name for name in (*HEADLINES, *TASK_HEADLINES) if name in model]


def _print_tables(groups: dict[str, dict[str, dict[str, Any]]], folder: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from vivace.evaluation.groups import GROUPS

    console = Console()
    for group, conditions in groups.items():
        if group != "all" and group not in GROUPS:
            continue
        title = "Held-out scenes, still camera" if group == "all" else f"Prompts: {group}"
        table = Table("metric", *conditions, title=title, title_justify="left")
        for name in _headlines(group, conditions):
            table.add_row(name, *(_cell(scores.get(name)) for scores in conditions.values()))
        console.print(table)
    console.print(f"All figures with intervals: {folder / 'summary.md'}")


def _cell(score: dict[str, Any] | None) -> str:
    return "-" if score is None or score["value"] is None else f"{score['value']:.3f} (n {score['n']})"
