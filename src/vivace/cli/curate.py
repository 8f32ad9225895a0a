"""`vivace curate`: from raw footage to shards, and what was kept and why."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vivace.errors import VivaceError

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from vivace.curation.funnel import Passage, Progress
    from vivace.curation.ledger_answers import Failure
    from vivace.curation.recipe import CurationRecipe

app = typer.Typer(
    name="curate", help="Turn raw footage into captioned, balanced shards; see docs/curation.md.", no_args_is_help=True
)

Folder = Annotated[Path, typer.Argument(help="The output folder of a recipe.")]
SHOWN = 10  # failures of which `status` tells
Json = Annotated[bool, typer.Option("--json", help="Print one machine-readable line.")]


@app.command(epilog="Example: vivace curate run curation.toml")
def run(
    recipe: Annotated[Path, typer.Argument(help="A TOML recipe; docs/curation.md has one.")],
    retry: Annotated[bool, typer.Option("--retry", help="Try again what was set aside after failures.")] = False,
    foresee: Annotated[
        bool, typer.Option("--foresee", help="Tell what each stage would have to measure, and do nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Take all footage through all stages; the same command again goes on where it was interrupted."""
    from rich.console import Console

    from vivace.curation.encode import encode_stage
    from vivace.curation.engine import Engine
    from vivace.curation.funnel import KeptClips, passages
    from vivace.curation.ledger import Ledger
    from vivace.curation.recipe import load_recipe
    from vivace.curation.shard_writing import fill_shards
    from vivace.curation.sources import clips_of

    settings = load_recipe(recipe)
    if foresee:
        _foresee(settings, as_json)
        return
    settings.check_ready()
    chosen, shards = settings.executor, settings.output / "shards"
    planned = settings.planned()
    encode = encode_stage(settings.shards, planned, shards) if settings.shards.use else None
    console = Console(stderr=True)
    with Ledger(settings.output) as ledger, console.status("Looking for footage") as shown:
        number = ledger.begin_run(time.time(), str(recipe), chosen.workers_at_hand())
        noted, jobs, before = 0.0, 0, 0

        def report(doing: str, done: int) -> None:
            nonlocal noted, jobs, before
            # `done` begins anew with each phase.
            jobs, before = jobs + (done - before if done >= before else done), done
            shown.update(f"{doing}: {done} clips")
            if time.monotonic() - noted > 1:
                ledger.note_run(number, f"{doing}: {done} clips", jobs)
                noted = time.monotonic()

        _, replaced = ledger.add_files(clips_of(settings.input))
        if replaced:
            console.print(f"{replaced} files were replaced, or the input says something else of them: measured anew.")
        if retry:
            ledger.release()
        Engine(
            ledger,
            planned,
            chosen.executor(),
            chosen.workers,
            chosen.limits,
            chosen.attempts,
            chosen.patience,
            report,
            () if encode is None else (encode,),
        ).run()
        written: dict[str, int] = {}
        if encode is not None:
            written = fill_shards(
                KeptClips(ledger),
                encode,
                shards,
                ledger,
                chosen.limits,
                chosen.workers if chosen.kind == "local" else 0,
                chosen.attempts,
                chosen.patience,
                report,
            )
        ledger.note_run(number, "done", jobs, time.time())
        found = passages(ledger)
    if as_json:
        typer.echo(json.dumps({"stages": [vars(passage) for passage in found], "shards": written}))
        return
    _print(_funnel(found))
    if any(passage.aside for passage in found):
        typer.echo(f"What was set aside, and why: vivace curate status {settings.output}")
    if written:
        typer.echo(_told(written, shards))


def _told(written: Mapping[str, int], shards: Path) -> str:
    """What became of the clips when shards were written."""
    return (
        f"{written['train']} clips for training and {written['validation']} held out in {shards}; left out: "
        f"{written['shorter']} shorter than every length, {written['cut_speech']} whose speech fits in none, "
        f"{written['long_caption']} with too long a caption, {written['set_aside']} set aside."
    )


def _foresee(settings: CurationRecipe, as_json: bool) -> None:
    from rich.table import Table

    from vivace.curation.foresight import foresee
    from vivace.curation.ledger_reader import LedgerReader

    with LedgerReader(settings.output) as ledger:
        found = foresee(ledger, settings.planned())
    if as_json:
        typer.echo(json.dumps([{**vars(stage), "to_measure": stage.to_measure} for stage in found]))
        return
    table = Table("stage", "would come", "to measure", "kept of what is measured", "core minutes")
    for stage in found:
        minutes = "" if stage.seconds is None else f"{stage.to_measure * stage.seconds / 60:.1f}"
        table.add_row(stage.stage, str(stage.came), str(stage.to_measure), str(stage.kept), minutes)
    _print(table)
    typer.echo("Of files that the ledger knows, at least: what is measured may lead to more.")


@app.command(epilog="Example: vivace curate status curated")
def status(
    folder: Folder,
    watch: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=0.1, help="Show it again and again while a run goes on.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show how far a curation is: what each stage took, kept and rejected. It may be running."""
    from rich.live import Live

    from vivace.curation.funnel import progress
    from vivace.curation.ledger_answers import failures
    from vivace.curation.ledger_reader import LedgerReader

    with LedgerReader(folder) as ledger, Live(auto_refresh=False, transient=True) as shown:
        while True:
            found, failed = progress(ledger, time.time()), failures(ledger)
            going_on = found.run is not None and found.run.going_on
            if as_json:
                _print_progress(found, failed)
            if watch is None or not going_on:
                break
            if not as_json:
                shown.update(_shown(found, failed), refresh=True)
            time.sleep(watch)
    if not as_json:
        _print(_shown(found, failed))


@app.command(epilog="Example: vivace curate explain curated 3f9a --picture why.png")
def explain(
    folder: Folder,
    clip: Annotated[str, typer.Argument(help="A clip's id or its beginning, or the path of a file.")],
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Write a contact sheet of the clip here.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell why a clip was kept or rejected: what each stage measured and how far its bounds were."""
    from vivace.curation.clip import Clip
    from vivace.curation.funnel import story
    from vivace.curation.ledger_answers import parts_of
    from vivace.curation.ledger_reader import LedgerReader

    with LedgerReader(folder) as ledger:
        # As the input spells files: the folder without links, the name as it is.
        found = ledger.clip(clip) or ledger.clip(Clip.of_file(Path(clip).parent.resolve() / Path(clip).name).id)
        if found is None:
            raise VivaceError(f"Clip {clip!r} is none of {str(folder)!r}, or several begin so; give a longer id.")
        chapters, parts = story(ledger, found), parts_of(ledger, found.id)
    if picture is not None:
        from vivace.curation.sheet import write_sheet

        if picture.suffix.lower() != ".png":
            raise VivaceError(f"Output {str(picture)!r} does not end in .png; contact sheets are written as PNG.")
        write_sheet(found, picture)
    if as_json:
        told: list[dict[str, Any]] = [
            {
                "stage": chapter.stage,
                "verdict": chapter.verdict,
                "reason": chapter.reason,
                "columns": chapter.columns,
            }
            for chapter in chapters
        ]
        typer.echo(json.dumps({"clip": found.id, "path": found.path, "stages": told, "parts": parts}))
        return
    length = "" if found.seconds is None else f", {found.seconds:g} s from {found.start:g} s on"
    typer.echo(_readable(f"{found.id}: {found.path}{length}"))
    for chapter in chapters:
        typer.echo(_readable(f"{chapter.stage}: {chapter.verdict}{f' ({chapter.reason})' if chapter.reason else ''}"))
        limits = {bound.column.partition(".")[2]: bound for bound in chapter.bounds.values() if bound.use}
        for name, value in chapter.columns.items():
            limit = f"  (wanted {limits[name].wanted})" if name in limits else ""
            typer.echo(_readable(f"  {name} = {str(value)[:200]}{limit}"))
    if parts:
        typer.echo(f"clips: {' '.join(parts)}")


@app.command("what-if", epilog="Example: vivace curate what-if curated picture.blurred.least=0.3 clarity.cut=0.2")
def what_if(
    folder: Folder,
    changes: Annotated[
        list[str],
        typer.Argument(
            metavar="STAGE.REASON | STAGE.SETTING=VALUE...",
            help="One bound such as picture.blurred, or settings with values such as picture.blurred.least=0.3, "
            "clarity.cut=0.2 or 'balance.shares={Animals=0.2}', which hold together.",
        ),
    ],
    least: Annotated[float | None, typer.Option(help="Another lower bound, of one bound.")] = None,
    most: Annotated[float | None, typer.Option(help="Another upper bound, of one bound.")] = None,
    as_json: Json = False,
) -> None:
    """Tell what other bounds and other deciding settings would keep. Measures nothing anew.

    Of one bound: which share of the measured clips it lets through, which another would, and how its column is
    distributed. Of settings with values: what each stage keeps now and would keep then.
    """
    from vivace.curation.ledger_reader import LedgerReader
    from vivace.curation.stage import Bound
    from vivace.curation.what_if import effect

    if len(changes) > 1 or "=" in changes[0]:
        if (least, most) != (None, None):
            raise VivaceError("--least and --most are of one bound; give STAGE.REASON.least=VALUE among several.")
        _print_consequences(folder, changes, as_json)
        return
    bound = changes[0]
    with LedgerReader(folder) as ledger:
        found = effect(ledger, bound)
    now = found.bound
    wanted = now.least if least is None else least, now.most if most is None else most
    try:
        other = Bound.model_validate({**now.model_dump(), "least": wanted[0], "most": wanted[1], "use": True})
    except ValueError:
        problem = "is on text; give it one_of or none_of with values"
        if not now.on_text:
            problem = f"would be from {wanted[0]} to {wanted[1]}; give --least and --most in order"
        raise VivaceError(f"Bound {bound!r} {problem}.") from None
    count = len(found.values) + found.without
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "column": now.column,
                    "clips": count,
                    "share": found.share(now),
                    "share_then": found.share(other),
                    "quantiles": found.quantiles(),
                    "counts": found.counts(),
                }
            )
        )
        return
    typer.echo(f"{now.column} of {count} clips, {found.without} without a value; wanted {now.wanted}:")
    typer.echo(f"now  {found.share(now):7.1%} pass")
    if (least, most) != (None, None):
        typer.echo(f"then {found.share(other):7.1%} pass, with {other.wanted}")
    for place, value in enumerate(found.quantiles()):
        typer.echo(f"{place * 10:4d} % of the clips have at most {value:.4g}")
    for text, number in found.counts().items():
        typer.echo(_readable(f"{number / count:7.1%} have {text!r}"))


def _print_consequences(folder: Path, changes: list[str], as_json: bool) -> None:
    from rich.table import Table

    from vivace.curation.ledger_reader import LedgerReader
    from vivace.curation.what_if import consequences

    with LedgerReader(folder) as ledger:
        found = consequences(ledger, changes)
    if as_json:
        told = [
            {
                "stage": both.then.stage,
                **{f"{name}_now": getattr(both.now, name) for name in ("came", "kept", "to_measure")},
                **{f"{name}_then": getattr(both.then, name) for name in ("came", "kept", "to_measure")},
            }
            for both in found
        ]
        typer.echo(json.dumps(told))
        return
    table = Table("stage", "kept now", "kept then", "of those that come then", "not measured then")
    for both in found:
        share = f"{both.then.kept / both.then.came:.1%}" if both.then.came else ""
        table.add_row(both.then.stage, str(both.now.kept), str(both.then.kept), share, str(both.then.to_measure or ""))
    _print(table)
    if any(both.then.to_measure > both.now.to_measure for both in found):
        typer.echo("Clips that would come and are not measured yet count as not kept; a run measures them.")


@app.command("report", epilog="Example: vivace curate report curated")
def report_(
    folder: Folder,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE.html", show_default="FOLDER/report.html")
    ] = None,
    examples: Annotated[int, typer.Option(min=0, max=50, help="Clips that are shown for each reason.")] = 2,
) -> None:
    """Write one HTML page: funnel, bounds over what was measured, examples for each reason, what balance changed."""
    from vivace.curation.ledger_reader import LedgerReader
    from vivace.curation.report import gather
    from vivace.curation.report_page import page
    from vivace.media import replacing

    path = output or folder / "report.html"
    if path.suffix.lower() != ".html":
        raise VivaceError(f"Output {str(path)!r} does not end in .html; the report is one HTML page.")
    with LedgerReader(folder) as ledger:
        written = page(gather(ledger, _readable(f"Curation {folder.resolve().name}"), examples))
    with replacing(path) as temporary:
        temporary.write_text(written, encoding="utf-8")
    typer.echo(str(path))


class Form(StrEnum):
    """What clips are exported as."""

    nava = "nava"
    webdataset = "webdataset"


@app.command(epilog="Example: vivace curate export curated/shards/train exported --form nava")
def export(
    shards: Annotated[Path, typer.Argument(help="A folder of shards of clips.")],
    output: Annotated[Path, typer.Argument(help="A folder.")],
    form: Annotated[Form, typer.Option(help="NAVA's JSON lines beside videos, or webdataset's archives.")] = Form.nava,
    as_json: Json = False,
) -> None:
    """Write curated clips as videos in a form that other programs read."""
    from vivace.curation.exchange import export_nava, export_webdataset

    counts = (export_nava if form is Form.nava else export_webdataset)(shards, output)
    typer.echo(json.dumps(counts) if as_json else _counted(counts))


@app.command("import", epilog="Example: vivace curate import part-*.tar raw")
def import_(
    archives: Annotated[list[Path], typer.Argument(help="Archives of webdataset.")],
    output: Annotated[Path, typer.Argument(help="A folder for the videos and their manifest, rows.jsonl.")],
    as_json: Json = False,
) -> None:
    """Unpack webdataset's archives into videos and a manifest, from which a curation starts."""
    from vivace.curation.exchange import unpack

    counts = unpack(archives, output)
    typer.echo(json.dumps(counts) if as_json else _counted(counts))


def _readable(text: str) -> str:
    """Names of files may hold bytes that are no text, which no terminal or page takes."""
    return text.encode(errors="replace").decode()


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items())


def _print(shown: RenderableType) -> None:
    from rich.console import Console

    Console(soft_wrap=False).print(shown)


def _print_progress(found: Progress, failed: list[Failure]) -> None:
    told = {
        "doing": None if found.run is None else found.run.doing,
        "going_on": found.run is not None and found.run.going_on,
        "workers": None if found.run is None else found.run.workers,
        "per_minute": found.per_minute,
        "minutes_left": found.minutes_left,
        "stages": [vars(passage) for passage in found.stages],
        "failed": list(map(vars, failed)),
    }
    typer.echo(json.dumps(told))


def _shown(found: Progress, failed: list[Failure]) -> RenderableType:
    """The funnel with a few lines below it."""
    from rich.console import Group
    from rich.text import Text

    lines = []
    for failure in failed[:SHOWN]:
        state = "set aside" if failure.quarantined else "to be tried again"
        lines.append(_readable(f"{failure.clip} failed in {failure.stage}, {state}: {failure.error}"))
    if len(failed) > SHOWN:
        lines.append(f"and {len(failed) - SHOWN} more failures; --json lists all.")
    run = found.run
    if run is None:
        lines.append("last run: none")
    elif run.ended is not None:
        lines.append(f"last run: {run.doing}")
    else:
        rate = "" if found.per_minute is None else f", {found.per_minute:.1f} clips a minute"
        rate += f", workers: {run.workers}"
        lines.append(f"{'running' if run.going_on else 'last run, stopped before its end'}: {run.doing}{rate}")
    if found.minutes_left:
        lines.append(f"at least {found.minutes_left:.1f} minutes are left.")
    return Group(_funnel(found.stages), *(Text(line) for line in lines))


def _funnel(found: list[Passage]) -> Table:
    from rich.table import Table

    table = Table("stage", "came", "kept", "rejected", "set aside", "waiting", "s/clip")
    for passage in found:
        reasons = ", ".join(f"{count} {reason}" for reason, count in passage.rejected.items())
        seconds = "" if passage.seconds is None else f"{passage.seconds:.2f}"
        table.add_row(
            passage.stage,
            str(passage.entered),
            str(passage.kept),
            reasons or "0",
            str(passage.aside),
            str(passage.waiting),
            seconds,
        )
    return table
