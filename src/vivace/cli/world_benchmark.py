"""The world benchmark of a model: its prompts, its conditions, and where its results lie."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vivace.cli.bars import bars
from vivace.cli.devices import MEASURES_ON, measuring_device, memory_told
from vivace.cli.option_sets import words_of
from vivace.cli.options import DEFAULT_MODEL, parse_guides, parse_size
from vivace.cli.outputs import check_folder
from vivace.cli.suites import tell_unused, weights_named
from vivace.errors import VivaceError

if TYPE_CHECKING:
    from vivace.evaluation.prompts import WorldItem
    from vivace.evaluation.world import Generate
    from vivace.evaluation.world_published import Published
    from vivace.media import Clip
    from vivace.pipelines.capabilities import TaskName
    from vivace.pipelines.clip_pipeline import ClipPipeline

QUICK = 16  # prompts


@dataclass(frozen=True)
class WorldAsked:
    """What is asked of the world benchmark; the options of `world`."""

    model: Annotated[str, typer.Option(help="A shipped model or a model folder.")] = DEFAULT_MODEL
    split: Annotated[str, typer.Option(help="val to choose settings with, test to report.")] = "val"
    count: Annotated[int, typer.Option(help="Prompts of held-out scenes; half are unseen combinations.")] = 128
    output: Annotated[Path | None, typer.Option(help="Results folder; named from the model when not given.")] = None
    seconds: Annotated[float, typer.Option(help="Length of the clips.")] = 2.0
    size: Annotated[
        str | None, typer.Option(metavar="WIDTHxHEIGHT", help="Pictures of another size or shape than the model's.")
    ] = None
    steps: Annotated[int | None, typer.Option(help="Denoising steps; the preset's when not given.")] = None
    preset: Annotated[str | None, typer.Option(help="Named steps, solver and guides of the model.")] = None
    guide: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="As for generate; repeat.")] = None
    first_frame: Annotated[
        str | None,
        typer.Option(metavar="held|overwritten|noised", help="As for generate; for tasks with something given."),
    ] = None
    compare_alignment: Annotated[
        bool, typer.Option(help="Also generate with alignment guidance switched off (or on at 1 where it is off).")
    ] = True
    hand: Annotated[bool, typer.Option(help="Also the prompts written by hand.")] = True
    camera: Annotated[bool, typer.Option(help="Also scenes with a moving camera.")] = True
    task: Annotated[
        str, typer.Option(help="t2av, ti2av, t2a, t2v, a2v, v2a or extend; what is given comes from true clips.")
    ] = "t2av"
    group: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Further prompts, such as talk-unseen or silence; repeat. All it knows."),
    ] = None
    more: Annotated[bool, typer.Option(help="Further groups of prompts: talk, silence, ambience, ...")] = True
    seeds: Annotated[
        int, typer.Option(min=1, help="Clips for each prompt, by its seed and the next ones; they count as one prompt.")
    ] = 1
    batch: Annotated[int, typer.Option(min=1, max=64, help="Clips made at a time.")] = 4
    keep_clips: Annotated[bool, typer.Option(help="Keep every clip, made and true, in the results folder.")] = False
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE.toml|KEY=PATH",
            help="Weights of published metrics that you have, for the model's and the true clips; repeat. Keeps clips.",
        ),
    ] = None
    device: Annotated[str, typer.Option(help=MEASURES_ON)] = "cpu"
    quick: Annotated[
        bool, typer.Option("--quick", help="A first look in minutes: 16 held-out prompts, and none of the others.")
    ] = False
    as_json: Annotated[bool, typer.Option("--json", help="Print one machine-readable line at the end.")] = False


def evaluate_model(asked: WorldAsked) -> tuple[Path, dict[str, Any]]:
    """The folder of a world benchmark, which goes on where it stopped, and its summary.

    Raises:
        VivaceError: bad input of any kind.
    """
    from vivace.cli.making import Models
    from vivace.evaluation.codecs import round_trip
    from vivace.evaluation.generating import has_voices, without_timbre
    from vivace.evaluation.groups import check_groups, is_talk
    from vivace.evaluation.kept_clips import KeptClips
    from vivace.evaluation.ledger import Run
    from vivace.evaluation.prompts import check_request
    from vivace.evaluation.world import evaluate_world

    command = shlex.join(["vivace", "evaluate", "world", *words_of(asked)])
    if asked.quick:
        asked = replace(asked, count=QUICK, compare_alignment=False, hand=False, camera=False, more=False)
    check_request(asked.split, asked.count)  # before a model is loaded
    if asked.output is not None:
        check_folder(asked.output)
    check_groups(asked.group or ())
    width, height = parse_size(asked.size) if asked.size is not None else (None, None)
    task, guides, published = _task(asked.task), dict(parse_guides(asked.guide or ())), _published(asked)
    pipeline, model_hash = Models().load(asked.model)
    pipeline.abilities.check_task(task)
    settings: dict[str, Any] = {
        "seconds": asked.seconds,
        "width": width,
        "height": height,
        "num_inference_steps": asked.steps,
        "preset": asked.preset,
        "guides": guides,
    }
    speaks = has_voices(pipeline)
    plan = pipeline.plan("a clip", **settings | {"guides": without_timbre(guides) if speaks else guides})
    preset = plan.preset
    if asked.first_frame is not None:
        preset, settings["first_frame"] = preset.with_first_frame(asked.first_frame), asked.first_frame
        if task in ("t2av", "t2a", "t2v"):
            raise VivaceError("--first-frame has nothing to act on, because nothing is given; name another --task.")
    items = _items(asked, pipeline, plan.height, plan.width, task)
    if speaks and "timbre" in guides and not any(is_talk(i.group) and i.scene is not None for i in items):
        raise VivaceError("Guide 'timbre' has nothing to act on, because no prompt has speech; add a group of talk.")
    told = {
        "seconds": float(plan.timeline.seconds),
        "size": f"{plan.width}x{plan.height}",
        "preset": preset.model_dump(mode="json"),
    }
    told |= {"timbre": guides["timbre"]} if "timbre" in guides else {}
    run = Run(asked.model, model_hash, asked.split, told | ({} if task == "t2av" else {"task": task}))
    parts = [
        Path(asked.model).name,
        asked.split,
        *([] if task == "t2av" else [task]),
        *(["quick"] if asked.quick else []),
    ]
    folder = asked.output or Path("results") / "-".join(parts)
    codecs = pipeline.vae, pipeline.audio_vae, pipeline.vocoder
    with bars(asked.as_json) as progress, memory_told():
        summary = evaluate_world(
            _generators(asked, pipeline, settings, preset, task),
            items,
            folder,
            run,
            task=task,
            round_trip=lambda clip: round_trip(*codecs, clip),
            batch=asked.batch,
            progress=progress,
            clips=KeptClips(folder) if asked.keep_clips or published is not None else None,
            published=published,
            command=command,
        )
    return folder, summary


def _published(asked: WorldAsked) -> Published | None:
    """What the user's weights can measure; None where none are named."""
    device = measuring_device(asked.device)
    if not asked.weights:
        return None
    from vivace.evaluation.published import published_metrics
    from vivace.evaluation.world_published import Published

    named = weights_named(asked.weights)
    metrics, skipped = published_metrics(named)
    tell_unused(named, skipped)
    return Published(metrics, skipped, device)


def _items(asked: WorldAsked, pipeline: ClipPipeline, height: int, width: int, task: TaskName) -> list[WorldItem]:
    """The prompts that are asked for, as they are in this task."""
    from vivace.evaluation.groups import group_items, groups_of
    from vivace.evaluation.prompts import world_items
    from vivace.evaluation.seeds import seeded
    from vivace.evaluation.tasks import for_task, suits

    # A clip to be continued is as long again as what is added.
    seconds = 2 * asked.seconds if task == "extend" else asked.seconds
    shape: dict[str, Any] = {"height": height, "width": width, "seconds": seconds, "hand": asked.hand}
    groups = (asked.group or groups_of(pipeline.abilities)) if asked.more else ()
    items = world_items(asked.split, asked.count, camera=asked.camera, **shape)
    items += group_items(asked.split, groups, max(asked.count // 2, 2), **shape)
    return list(seeded([for_task(item, task) for item in items if suits(item, task)], asked.seeds))


def _generators(
    asked: WorldAsked, pipeline: ClipPipeline, settings: dict[str, Any], preset: Any, task: TaskName
) -> dict[str, Generate]:
    """The model as it is asked for, and beside it with the meeting of both sides guided otherwise."""
    from vivace.sampling.presets import Preset

    generators: dict[str, Generate] = {"model": _generator(pipeline, settings, task)}
    if asked.compare_alignment and task not in ("t2a", "t2v"):
        meeting, off, on = ("align", 0.0, 1.0) if isinstance(preset, Preset) else ("mutual", 1.0, 3.0)
        scale = getattr(preset, meeting)
        aligned = scale is not None and (scale.video, scale.audio) != (off, off)
        name, other = ("without alignment", off) if aligned else ("with alignment", on)
        guides = settings["guides"] | {meeting: other}
        generators[name] = _generator(pipeline, settings | {"guides": guides}, task)
    return generators


def _task(name: str) -> TaskName:
    from vivace.pipelines.capabilities import TASKS

    for task in TASKS:
        if task == name:
            return task
    raise VivaceError(f"The task {name!r} is unknown; use one of {', '.join(TASKS)}.")


def _generator(pipeline: ClipPipeline, settings: dict[str, Any], task: TaskName) -> Generate:
    def generate(items: Sequence[WorldItem]) -> list[Clip]:
        from vivace.evaluation.generating import clips, voiced
        from vivace.evaluation.tasks import given

        things = [given(item, task) for item in items]
        arguments: dict[str, Any] = {name: [thing[name] for thing in things] for name in things[0]}
        if task in ("t2a", "t2v"):
            arguments["modalities"] = "audio" if task == "t2a" else "video"
        arguments |= voiced(pipeline, items, settings["guides"])
        prompts, seeds = [item.prompt for item in items], [item.seed for item in items]
        return clips(pipeline, prompts, seeds, **settings | arguments)

    return generate
