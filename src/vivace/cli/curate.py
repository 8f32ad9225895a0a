"""`vivace curate`: from raw footage to shards, and what was kept and why."""

from __future__ import annotations

import json
import time
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
    from vivace.curation.stage import Bound

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

    from vivace.curation.engine import Engine
    from vivace.curation.funnel import KeptClips, passages
    from vivace.curation.ledger import Ledger
    from vivace.curation.local import cores
    from vivace.curation.recipe import EXECUTORS, load_recipe
    from vivace.curation.shards import write_shards
    from vivace.curation.sources import clips_of

    settings = load_recipe(recipe)
    if foresee:
        _foresee(settings, as_json)
        return
    settings.check_ready()
    chosen = settings.executor
    console = Console(stderr=True)
    with Ledger(settings.output) as ledger, console.status("Looking for footage") as shown:
        number = ledger.begin_run(time.time(), str(recipe), chosen.workers or cores())
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
            settings.planned(),
            EXECUTORS[chosen.kind],
            chosen.workers,
            chosen.limits,
            chosen.attempts,
            chosen.patience,
            report,
        ).run()
        written: dict[str, int] = {}
        if settings.shards.use:
            shown.update("writing shards")
            ledger.note_run(number, "writing shards", jobs)
            written = write_shards(KeptClips(ledger), settings.shards, settings.output / "shards")
        ledger.note_run(number, "done", jobs, time.time())
        found = passages(ledger)
    if as_json:
        typer.echo(json.dumps({"stages": [vars(passage) for passage in found], "shards": written}))
        return
    _print(_funnel(found))
    if written:
        typer.echo(
            f"{written['train']} clips for training and {written['validation']} held out in "
            f"{settings.output / 'shards'}; left out: {written['shorter']} shorter than every length, "
            f"{written['cut_speech']} whose speech fits in none, {written['long_caption']} with too long a caption, "
            f"{written['unreadable']} that cannot be read any more."
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
        from vivace.media import contact_sheet, write_png

        if picture.suffix.lower() != ".png":
            raise VivaceError(f"Output {str(picture)!r} does not end in .png; contact sheets are written as PNG.")
        material = found.material()
        sheet = contact_sheet(material.frames, material.fps, material.audio, material.sample_rate, title=found.id)
        write_png(picture, sheet)
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
            limit = f"  (wanted {_limit(limits[name])})" if name in limits else ""
            typer.echo(_readable(f"  {name} = {str(value)[:200]}{limit}"))
    if parts:
        typer.echo(f"clips: {' '.join(parts)}")


@app.command("what-if", epilog="Example: vivace curate what-if curated picture.blurred --least 0.3")
def what_if(
    folder: Folder,
    bound: Annotated[str, typer.Argument(metavar="STAGE.REASON", help="Such as picture.blurred.")],
    least: Annotated[float | None, typer.Option(help="Another lower bound.")] = None,
    most: Annotated[float | None, typer.Option(help="Another upper bound.")] = None,
    as_json: Json = False,
) -> None:
    """Tell which share of the measured clips a bound lets through, and which another would. Computes nothing anew."""
    from vivace.curation.funnel import effect
    from vivace.curation.ledger_reader import LedgerReader
    from vivace.curation.stage import Bound

    with LedgerReader(folder) as ledger:
        found = effect(ledger, bound)
    now = found.bound
    wanted = now.least if least is None else least, now.most if most is None else most
    try:
        other = Bound(column=now.column, least=wanted[0], most=wanted[1])
    except ValueError:
        raise VivaceError(
            f"Bound {bound!r} would be from {wanted[0]} to {wanted[1]}; give --least and --most in order."
        ) from None
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
                }
            )
        )
        return
    typer.echo(f"{now.column} of {count} clips, {found.without} without a value; wanted {_limit(now)}:")
    typer.echo(f"now  {found.share(now):7.1%} pass")
    if (least, most) != (None, None):
        typer.echo(f"then {found.share(other):7.1%} pass, with {_limit(other)}")
    for place, value in enumerate(found.quantiles()):
        typer.echo(f"{place * 10:4d} % of the clips have at most {value:.4g}")


def _limit(bound: Bound) -> str:
    sides = [f"at least {bound.least:g}"] if bound.least is not None else []
    sides += [f"at most {bound.most:g}"] if bound.most is not None else []
    return " and ".join(sides) or "anything"


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
