"""`vivace study`: which clips people prefer."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vivace.errors import VivaceError

if TYPE_CHECKING:
    from vivace.evaluation.study.design import Axis

app = typer.Typer(
    name="study",
    no_args_is_help=True,
    help="Blind pairs of clips for people to judge: plan, make, serve, and analyse the votes.",
)

Folder = Annotated[Path, typer.Argument(metavar="STUDY", help="The study's folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print one machine-readable line, and only that.")]


@app.command(epilog="Example: vivace study plan --net 0.15 --axes 6 --opponents 2")
def plan(
    net: Annotated[float, typer.Option(help="The smallest net (G - B) / n worth showing, such as 0.15.")],
    ties: Annotated[float, typer.Option(help="The share of votes that say the same.")] = 0.25,
    axes: Annotated[int, typer.Option(min=1, help="Questions about each pair.")] = 6,
    opponents: Annotated[int, typer.Option(min=1, help="Systems that the first is compared with.")] = 1,
    raters: Annotated[int, typer.Option(min=1, help="Votes on each pair.")] = 3,
    alike: Annotated[float, typer.Option(help="How far votes on one pair correlate, 0 to 1.")] = 0.3,
    per_rater: Annotated[int, typer.Option(min=1, help="Pairs that one person judges.")] = 40,
    power: Annotated[float, typer.Option(help="The chance to show it.")] = 0.8,
    as_json: Json = False,
) -> None:
    """Say how many prompts and raters a study needs, before it is made."""
    from vivace.evaluation.study.planning import plan_study

    found = plan_study(
        net, ties=ties, tests=axes * opponents, raters=raters, alike=alike, per_rater=per_rater, power=power,
        opponents=opponents,
    )  # fmt: skip
    if as_json:
        print(json.dumps({"command": "study plan", **vars(found)}))
        return
    print(
        f"To show a net of {net:g} with {power:.0%} power on each of {axes} axes against {opponents} opponents "
        f"({axes * opponents} tests, level {found.level:.3g} each): {found.votes} votes for each opponent, that is "
        f"{found.prompts} prompts with {raters} votes each, by {found.people} people who judge {per_rater} pairs each. "
        f"For one test alone: {found.votes_alone} votes."
    )


@app.command(epilog="Example: vivace study make study --system ours=clips/ours --system theirs=clips/theirs")
def make(
    study: Folder,
    system: Annotated[
        list[str], typer.Option(metavar="NAME=FOLDER", help="Clips ID.mp4 of a system; repeat. The first is ours.")
    ],
    title: Annotated[str, typer.Option(help="Above the page; name no system in it.")] = "Which clip is better?",
    prompts: Annotated[
        Path | None, typer.Option(help='Lines of {"id", "prompt"}; otherwise the titles in the files.')
    ] = None,
    axis: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=QUESTION", help="Own questions instead of Alive's six axes; +NAME for hearing."),
    ] = None,
    dimensions: Annotated[
        bool, typer.Option("--dimensions", help="Ask about 22 dimensions, of each clip those that its prompt is about.")
    ] = False,
    every_pair: Annotated[bool, typer.Option(help="Every two systems, not only the first with each other.")] = False,
    raters: Annotated[int, typer.Option(help="Votes on each pair in the first round.")] = 3,
    per_rater: Annotated[int, typer.Option(help="Pairs that one person judges, without controls.")] = 40,
    controls: Annotated[float, typer.Option(help="Share of each kind of control; 0 for none.")] = 0.05,
    control_pass: Annotated[float, typer.Option(help="Share of controls to be passed to be counted.")] = 0.8,
    seed: Annotated[int, typer.Option(min=0, help="Of order and sides.")] = 0,
    as_json: Json = False,
) -> None:
    """Copy clips under random names, without their tags, and write down what will be asked."""
    from vivace.evaluation.study.design import ALIVE_AXES
    from vivace.evaluation.study.dimensions import ALIVE_DIMENSIONS, dimensions_of
    from vivace.evaluation.study.making import clips_of, make_study, read_prompts

    if dimensions and axis:
        raise VivaceError("--dimensions and --axis both say what is asked; leave one of them out.")
    systems = _systems(system)
    texts, tagged = (None, {}) if prompts is None else read_prompts(prompts)
    asked = None
    if dimensions:
        asked = dimensions_of({clip for name, folder in systems.items() for clip in clips_of(name, folder)}, tagged)
    design, notes = make_study(
        study,
        systems,
        title=title,
        axes=[_axis(text) for text in axis] if axis else ALIVE_DIMENSIONS if dimensions else ALIVE_AXES,
        prompts=texts,
        asked=asked,
        every_pair=every_pair,
        raters=raters,
        per_rater=per_rater,
        control_share=controls,
        control_pass=control_pass,
        seed=seed,
    )
    for note in notes:
        print(f"Note: {note}", file=sys.stderr)
    counts = {
        "pairs": len(design.real),
        "identical": len(design.controls("identical")),
        "degraded": len(design.controls("degraded")),
    }
    if as_json:
        print(json.dumps({"command": "study make", "study": str(study), **counts, "notes": notes}))
    else:
        print(f"{counts['pairs']} pairs, {counts['identical']} identical and {counts['degraded']} degraded controls.")
        print(f"Next: vivace study serve {study}")


@app.command(epilog="Example: vivace study serve study --host 0.0.0.0")
def serve(
    study: Folder,
    host: Annotated[str, typer.Option(help="127.0.0.1 for this machine alone; 0.0.0.0 for phones near by.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="0 for any that is free.")] = 8765,
) -> None:
    """Serve the pages until Ctrl-C; votes are written as they come.

    There is no password and no encryption: whoever reaches the address can vote.
    """
    from vivace.evaluation.study.server import StudyServer
    from vivace.evaluation.study.store import Study

    with StudyServer(Study(study), host, port) as server:
        print(f"Round {server.study.round} at {server.url} (Ctrl-C ends it)", flush=True)
        server.serve_forever()


@app.command(epilog="Example: vivace study offline study ann-folder --rater ann")
def offline(
    study: Folder,
    output: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder, to be sent to the rater.")],
    rater: Annotated[str, typer.Option(help="Who judges; the votes are theirs.")],
    as_json: Json = False,
) -> None:
    """Write pages for one rater that open without a server, by a double click on index.html.

    The rater sends the file that the last page saves; `vivace study import` takes it over. Stop `serve` first.
    """
    from vivace.evaluation.study.offline import write_offline
    from vivace.evaluation.study.store import Study

    pairs = write_offline(Study(study), rater, output)
    told = {"command": "study offline", "output": str(output), "pairs": pairs}
    print(json.dumps(told) if as_json else f"{pairs} pairs for {rater}: {output / 'index.html'}")


@app.command("second-round", epilog="Example: vivace study second-round study")
def second_round(study: Folder, as_json: Json = False) -> None:
    """Begin the second round: fresh raters, only for what the first left open. Stop `serve` first."""
    from vivace.evaluation.study.rounds import open_second_round
    from vivace.evaluation.study.store import Study

    reasons = open_second_round(Study(study))
    if as_json:
        print(json.dumps({"command": "study second-round", "pairs": reasons}))
    else:
        print(f"{len(reasons)} pairs go into the second round.")


@app.command(epilog="Example: vivace study analyse study")
def analyse(
    study: Folder,
    output: Annotated[Path | None, typer.Option(help="Folder for the files; the study's own when not given.")] = None,
    as_json: Json = False,
) -> None:
    """Write analysis.html, analysis.md and analysis.json."""
    from vivace.evaluation.study.analysis import analyse as analysed
    from vivace.evaluation.study.analysis_report import write_analysis
    from vivace.evaluation.study.store import Study

    opened = Study(study)
    found = analysed(opened)
    folder = output or study
    write_analysis(folder, opened, found)
    if as_json:
        print(json.dumps({"command": "study analyse", "output": str(folder), **found.to_json()}))
        return
    for entry in found.verdicts:
        low, high = entry.net_interval
        print(
            f"{entry.axis}: {entry.first} against {entry.second}: {entry.tally.good}/{entry.tally.same}/"
            f"{entry.tally.bad}, net {entry.tally.net:+.3f} [{low:.3f}, {high:.3f}], n {entry.tally.n}, "
            f"p {entry.adjusted:.3g} (Holm)"
        )
    print(f"All of it: {folder / 'analysis.html'}")


@app.command(epilog="Example: vivace study export study votes.jsonl")
def export(
    study: Folder, file: Annotated[Path, typer.Argument(help="A new .jsonl file.")], as_json: Json = False
) -> None:
    """Write every vote as a line of JSON, controls too."""
    from vivace.evaluation.study.store import Study
    from vivace.media import replacing

    votes = [vote for _, vote in sorted(Study(study).votes.items())]
    with replacing(file) as path:
        path.write_text("".join(json.dumps(vars(v), ensure_ascii=False) + "\n" for v in votes), encoding="utf-8")
    told = {"command": "study export", "file": str(file), "votes": len(votes)}
    print(json.dumps(told) if as_json else f"{len(votes)} votes in {file}")


@app.command("import", epilog="Example: vivace study import study votes.jsonl")
def import_votes(
    study: Folder,
    file: Annotated[Path, typer.Argument(help="Votes of the same study, exported elsewhere.")],
    as_json: Json = False,
) -> None:
    """Take over votes that were cast on a copy of this study; all of a file or nothing. Stop `serve` first."""
    from vivace.evaluation.study.store import Study

    opened = Study(study)
    if not file.is_file():
        raise VivaceError(f"Votes {str(file)!r} do not exist; check the path.")
    try:
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (ValueError, RecursionError) as error:
        raise VivaceError(f"Votes {str(file)!r} cannot be read ({error}); give a file that was exported.") from error
    new, there = opened.take(rows)
    told = {"command": "study import", "new": new, "there": there}
    print(json.dumps(told) if as_json else f"{new} votes are new, {there} were there.")


def _systems(texts: list[str]) -> dict[str, Path]:
    systems: dict[str, Path] = {}
    for text in texts:
        name, equals, folder = text.partition("=")
        if not equals or not name or not folder:
            raise VivaceError(f"--system {text!r} is not NAME=FOLDER; write it like ours=results/run/clips/model.")
        if name in systems:
            raise VivaceError(f"The system {name!r} was given twice; give each a name of its own.")
        systems[name] = Path(folder)
    return systems


def _axis(text: str) -> Axis:
    from vivace.evaluation.study.design import Axis

    name, equals, question = text.partition("=")
    if not equals or not name.strip("+ ") or not question.strip():
        raise VivaceError(f"--axis {text!r} is not NAME=QUESTION; write it like 'sync=Which is better in time?'.")
    return Axis(name.strip("+ "), question.strip(), hears=name.startswith("+"))
