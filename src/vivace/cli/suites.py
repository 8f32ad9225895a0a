"""The suites of `vivace evaluate`: clips that are made for prompts, or brought, and measured by a protocol."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vivace.cli.bars import bars
from vivace.cli.devices import MEASURES_ON, measuring_device, memory_told
from vivace.cli.option_sets import takes, words_of
from vivace.cli.options import DEFAULT_MODEL, parse_guides
from vivace.cli.outputs import check_folder
from vivace.errors import VivaceError

if TYPE_CHECKING:
    from vivace.evaluation.published import Skipped
    from vivace.evaluation.suites.making import MakeClips, ModelRun
    from vivace.evaluation.suites.shards import Shard
    from vivace.evaluation.suites.suite import Suite, SuiteItem
    from vivace.media import Clip
    from vivace.pipelines.clip_pipeline import ClipPipeline

Data = Annotated[Path, typer.Option(help="The benchmark's own folder, as its authors give it.")]


@dataclass(frozen=True)
class ClipsAsked:
    """What is asked of clips that are there already; the options of `clips`, which all suites have too."""

    output: Annotated[Path | None, typer.Option(help="Results folder; named from suite and model when not given.")] = (
        None
    )
    weights: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE.toml|KEY=PATH", help="Weights of published metrics that you have; repeat."),
    ] = None
    faces: Annotated[
        Path | None, typer.Option(help="A folder with face tracks ID.json of your detector, for Sync-C/D.")
    ] = None
    transcripts: Annotated[
        Path | None, typer.Option(help="A folder with transcripts by speaker ID.json of your recogniser, for cpCER.")
    ] = None
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Count missing clips as undefined and go on.")
    ] = False
    no_floor: Annotated[
        bool, typer.Option("--no-floor", help="Measure swapped sound without weights only; networks leave it out.")
    ] = False
    device: Annotated[str, typer.Option(help=MEASURES_ON)] = "cpu"
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="One of N processes that share the run and the results folder: the I-th."),
    ] = None
    as_json: Annotated[bool, typer.Option("--json", help="Print one machine-readable line at the end.")] = False


@dataclass(frozen=True)
class SuiteAsked(ClipsAsked):
    """What is asked of a suite, by options of the same names."""

    model: Annotated[str, typer.Option(help="A shipped model or a model folder, which makes what is missing.")] = (
        DEFAULT_MODEL
    )
    clips: Annotated[
        Path | None, typer.Option(help="A folder with clips ID.mp4 that are there already; then no model is used.")
    ] = None
    count: Annotated[
        int | None, typer.Option(min=1, help="The first so many items of each part; all when not given.")
    ] = None
    seconds: Annotated[float | None, typer.Option(help="Length of the clips; the model's when not given.")] = None
    steps: Annotated[int | None, typer.Option(help="Denoising steps; the preset's when not given.")] = None
    preset: Annotated[str | None, typer.Option(help="Named steps, solver and guides of the model.")] = None
    guide: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="As for generate; repeat.")] = None
    seeds: Annotated[
        int, typer.Option(min=1, help="Clips for each prompt, by its seed and the next ones; they count as one prompt.")
    ] = 1
    batch: Annotated[int, typer.Option(min=1, max=64, help="Clips made at a time.")] = 4


@takes(SuiteAsked)
def alive_style(
    options: SuiteAsked,
    part: Annotated[str | None, typer.Option(help="general or character; both when not given.")] = None,
    language: Annotated[str | None, typer.Option(help="en or zh; both when not given.")] = None,
) -> None:
    """264 prompts as people write them and 90 of characters, in English and Chinese, with a profile of 22 dimensions.

    In the style of Alive-Bench, whose prompts and dimensions are unpublished: these are our own.
    """
    from vivace.evaluation.suites.alive_style import alive_style_suite

    suite = alive_style_suite(part=part, language=language)
    run_suite(suite, options, _command("alive-style", options, part=part, language=language))


@takes(SuiteAsked)
def verse_bench(
    options: SuiteAsked,
    data: Data,
    protocol: Annotated[str, typer.Option(help="official, nava or mova: whose figures are reported.")] = "official",
    prompts: Annotated[
        Path | None, typer.Option(help="A folder with set1.jsonl ... of rewritten prompts, such as NAVA's.")
    ] = None,
) -> None:
    """Verse-Bench: 600 pictures with prompts, by the benchmark's own protocol, NAVA's or MOVA's."""
    from vivace.evaluation.suites.verse_bench import verse_bench_suite

    suite = verse_bench_suite(data, protocol, prompts)
    run_suite(suite, options, _command("verse-bench", options, data=data, protocol=protocol, prompts=prompts))


@takes(SuiteAsked)
def seed_tts(options: SuiteAsked, data: Data, language: Annotated[str, typer.Option(help="en or zh.")] = "en") -> None:
    """Seed-TTS: speech of a given voice and text, sound alone; word errors and similarity."""
    from vivace.evaluation.suites.seed_tts import seed_tts_suite

    suite = seed_tts_suite(data, language)
    run_suite(suite, options, _command("seed-tts", options, data=data, language=language))


@takes(SuiteAsked)
def javisbench(options: SuiteAsked, data: Data) -> None:
    """JavisBench: 10,140 captions, or the mini list of 1,000."""
    from vivace.evaluation.suites.javisbench import javisbench_suite

    run_suite(javisbench_suite(data), options, _command("javisbench", options, data=data))


@takes(ClipsAsked)
def clips(
    options: ClipsAsked,
    clips: Annotated[Path, typer.Option(help="A folder with clips of any origin.")],
    manifest: Annotated[
        Path | None, typer.Option(help="JSON lines that say what was asked for; without it all clips are measured.")
    ] = None,
) -> None:
    """Measure clips of any origin, without a model."""
    from vivace.evaluation.suites.folder import folder_suite

    suite, found = folder_suite(clips, manifest)
    command = _command("clips", options, clips=clips, manifest=manifest)
    run_suite(suite, SuiteAsked(**vars(options), clips=clips), command, found)


def _command(name: str, options: ClipsAsked, **own: Path | str | None) -> str:
    """The command that makes a run; shards of it make the same.

    Args:
        own: the suite's own options.
    """
    words = [word for key, value in own.items() if value is not None for word in (f"--{key}", str(value))]
    return shlex.join(["vivace", "evaluate", name, *words, *words_of(replace(options, shard=None))])


def run_suite(suite: Suite, asked: SuiteAsked, command: str, found: dict[str, Path] | None = None) -> None:
    """Run a suite and tell what came of it.

    Args:
        command: that makes this run.
        found: its clips by id where they are known; else those in `asked.clips`, or the model makes them.

    Raises:
        VivaceError: bad input of any kind.
    """
    from vivace.evaluation.av_align_published import published_av_align
    from vivace.evaluation.published import published_metrics
    from vivace.evaluation.quality_metrics import clip_metrics
    from vivace.evaluation.seeds import seeded
    from vivace.evaluation.speaker_transcripts import TRANSCRIPTS, speaker_transcript_metrics
    from vivace.evaluation.suites.folder import clips_of, with_files
    from vivace.evaluation.suites.run import WAITING, evaluate_suite
    from vivace.evaluation.suites.shards import Shard
    from vivace.evaluation.suites.suite import FACE_TRACKS

    shard = None if asked.shard is None else Shard.parse(asked.shard)
    device = measuring_device(asked.device)
    if asked.count is not None:
        suite = replace(suite, items=_first(suite.items, asked.count))
    suite = replace(suite, items=seeded(suite.items, asked.seeds))
    if asked.faces is not None:
        suite = with_files(suite, FACE_TRACKS, asked.faces)
    if asked.transcripts is not None:
        suite = with_files(suite, TRANSCRIPTS, asked.transcripts)
    if asked.clips is not None and found is None:
        found = clips_of(suite, asked.clips)
    named = weights_named(asked.weights or ())
    published, skipped = published_metrics(named)
    aligned, without = published_av_align()
    tell_unused(named, skipped)
    origin = Path(asked.model).name if asked.clips is None else asked.clips.resolve().name
    folder = asked.output or Path("results") / f"{origin}-{suite.name}"
    check_folder(folder)  # before a model is loaded
    model = None if asked.clips is not None else _model_run(suite, asked)
    with bars(asked.as_json) as progress, memory_told():
        summary = evaluate_suite(
            suite,
            folder,
            [*clip_metrics(), *speaker_transcript_metrics(), *aligned, *published],
            [*skipped, *without],
            model=model,
            clips=found,
            source=origin,
            allow_missing=asked.allow_missing,
            progress=progress,
            command=command,
            floor_networks=not asked.no_floor,
            device=device,
            shard=shard,
        )
    if shard is not None and WAITING in summary:
        _tell_waiting(suite.name, shard, summary[WAITING], folder, as_json=asked.as_json)
    elif asked.as_json:
        (_, scores), *beside = summary["groups"]["all"].items()
        line = {
            "command": f"evaluate {suite.name}",
            "output": str(folder),
            "scores": {name: _told(score) for name, score in scores.items()},
            "beside": {condition: {name: _told(score) for name, score in found.items()} for condition, found in beside},
            "columns": {name: _told(column) for name, column in summary["columns"].items()},
            "skipped": sorted({entry["metric"] for entry in summary["skipped"]}),
            "counted": {name: len(entries) for name, entries in summary["counted"].items()},
        }
        print(json.dumps(line))
    else:
        _tell(summary, folder)


def weights_named(weights: Sequence[str]) -> dict[str, Path]:
    """The weights that the user names; those named one by one go before those in files, later before earlier."""
    from vivace.perception.published.weights import named_weights

    found: dict[str, Path] = {}
    for entry in weights:
        if "=" not in entry:
            found |= named_weights(Path(entry))
    return found | named_weights(flags=[entry for entry in weights if "=" in entry])


def tell_unused(named: Mapping[str, Path], skipped: Sequence[Skipped]) -> None:
    """Say, before anything is measured, which weights are named and yet cannot be used."""
    for key, reason in {entry.key: entry.reason for entry in skipped if entry.key in named}.items():
        typer.echo(f"vivace: --weights {key} is not used. {reason}", err=True)


def _first(items: Sequence[SuiteItem], count: int) -> tuple[SuiteItem, ...]:
    taken: dict[str, int] = {}
    kept = []
    for item in items:
        taken[item.group] = taken.get(item.group, 0) + 1
        if taken[item.group] <= count:
            kept.append(item)
    return tuple(kept)


def _model_run(suite: Suite, asked: SuiteAsked) -> ModelRun:
    from vivace.cli.making import Models
    from vivace.evaluation.generating import has_voices
    from vivace.evaluation.suites.making import ModelRun

    guides = dict(parse_guides(asked.guide or ()))
    pipeline, model_hash = Models().load(asked.model)
    settings: dict[str, Any] = {
        "seconds": asked.seconds,
        "num_inference_steps": asked.steps,
        "preset": asked.preset,
        "guides": guides,
    }
    if suite.sides == "audio":
        settings["modalities"] = "audio"
    plan = pipeline.plan("a clip", **settings)
    told = {
        "seconds": float(plan.timeline.seconds),
        "size": f"{plan.width}x{plan.height}",
        "preset": plan.preset.model_dump(mode="json"),
        "first_frames": _shows_first_frames(pipeline) and any("image" in item.files for item in suite.items),
        "voices": has_voices(pipeline),
    }
    make, check = _maker(pipeline, settings), _checker(pipeline, settings)
    return ModelRun(make, asked.model, model_hash, told, asked.batch, check)


def _checker(pipeline: ClipPipeline, settings: dict[str, Any]) -> Callable[[SuiteItem], None]:
    """Refuses a prompt that the model would refuse once it is at work, such as one that is too long for it."""

    def check(item: SuiteItem) -> None:
        from vivace.conditioning.prompts import check_prompt
        from vivace.conditioning.text import tokenize

        pipeline.plan(item.prompt, **settings)
        tokenize(pipeline.tokenizer, check_prompt(item.prompt), pipeline.transformer.config.text_len)

    return check


def _shows_first_frames(pipeline: ClipPipeline) -> bool:
    try:
        pipeline.abilities.check_task("ti2av")
    except VivaceError:
        return False
    return True


def _maker(pipeline: ClipPipeline, settings: dict[str, Any]) -> MakeClips:
    from vivace.evaluation.generating import has_voices

    pictured = _shows_first_frames(pipeline) and settings.get("modalities") != "audio"
    voiced = has_voices(pipeline)

    def make(items: Sequence[SuiteItem]) -> list[Clip]:
        from vivace.conditioning.voices import read_voice
        from vivace.evaluation.generating import clips
        from vivace.media import read_image

        given: dict[str, Any] = {}
        if items[0].seconds is not None:
            given["seconds"] = min(items[0].seconds, pipeline.abilities.longest_seconds)
        if pictured and all("image" in item.files for item in items):
            given["image"] = [read_image(item.files["image"]) for item in items]
        if voiced and all("voice" in item.files and "<S>" in item.prompt for item in items):
            given["voices"] = [[read_voice(item.files["voice"])] * item.prompt.count("<S>") for item in items]
        prompts, seeds = [item.prompt for item in items], [item.seed for item in items]
        return clips(pipeline, prompts, seeds, **{**settings, **given})

    return make


def _tell_waiting(suite: str, shard: Shard, unfinished: Mapping[str, str], folder: Path, *, as_json: bool) -> None:
    """Say that a shard is done and which others are not."""
    from vivace.evaluation.suites.shards import unfinished_told

    if as_json:
        line = {"command": f"evaluate {suite}", "output": str(folder), "shard": str(shard), "waiting": dict(unfinished)}
        print(json.dumps(line))
    else:
        typer.echo(
            f"Shard {shard} is done. {unfinished_told(unfinished)}; the last one writes {folder / 'summary.md'}."
        )


def _tell(summary: dict[str, Any], folder: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from vivace.evaluation.published_metric import labelled
    from vivace.evaluation.seeds import told_n
    from vivace.evaluation.suites.summary import group_beside, items_told
    from vivace.evaluation.summary import beside_of

    console = Console()
    if summary["columns"]:
        table = Table("figure", "value", "n", "made of", title="As published", title_justify="left")
        for name, column in summary["columns"].items():
            title = labelled(name, column.get("version"))
            table.add_row(title, _shown(column) + beside_of(column), told_n(column), column["metric"] or "-")
        console.print(table)
    groups = summary["groups"]
    table = Table("metric", *groups, title=f"{summary['suite']}: {summary['model']}", title_justify="left")
    scores = {group: next(iter(conditions.values())) for group, conditions in groups.items()}
    for name in scores["all"]:
        if any(scores[group][name]["value"] is not None for group in groups):
            title = labelled(name, scores["all"][name]["version"])
            cells = (
                f"{_shown(scores[group][name])} (n {told_n(scores[group][name])}){group_beside(summary, group, name)}"
                for group in groups
            )
            table.add_row(title, *cells)
    console.print(table)
    if summary["dimensions"]:
        judged = [name for name, dimension in summary["dimensions"].items() if dimension["proxies"]]
        console.print(f"Of {len(summary['dimensions'])} dimensions {len(judged)} have automatic proxies.")
    counted = summary["counted"]
    told = [f"{len(entries)} {name.replace('_', ' ')}" for name, entries in counted.items() if entries]
    console.print(f"{items_told(summary)} items{', ' + ', '.join(told) if told else ''}.")
    if summary["skipped"]:
        names = sorted({entry["metric"] for entry in summary["skipped"]})
        console.print(f"Skipped for want of weights (--weights): {', '.join(names)}.")
    console.print(f"All figures with intervals, and what each skipped metric needs: {folder / 'summary.md'}")


def _told(figure: Mapping[str, Any]) -> dict[str, Any]:
    """A figure for programs: value, n, seeds where there are several, and that it is unverified where it is."""
    from vivace.evaluation.published_metric import UNVERIFIED

    trust = {UNVERIFIED: True} if UNVERIFIED in str(figure.get("version")) else {}
    seeds = {name: figure[name] for name in ("seeds", "clips") if name in figure}
    return {"value": figure["value"], "n": figure["n"], **seeds, **trust}


def _shown(figure: dict[str, Any]) -> str:
    return (
        "skipped" if figure.get("status") == "skipped" else "-" if figure["value"] is None else f"{figure['value']:.3f}"
    )
