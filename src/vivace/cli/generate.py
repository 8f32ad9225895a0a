"""`vivace generate` and `vivace rerun`."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from vivace.cli.making import Made, Models, make_clip
from vivace.cli.options import DEFAULT_MODEL, Request, make_request
from vivace.errors import VivaceError

Json = Annotated[bool, typer.Option("--json", help="Print one machine-readable line at the end, and only that.")]
Sheet = Annotated[bool, typer.Option("--contact-sheet", help="Also write a picture of the clip: frames over sound.")]
Download = Annotated[
    bool, typer.Option("--allow-download", help="Let --model fetch a repository from the Hugging Face hub.")
]

Memory = Annotated[
    str,
    typer.Option(metavar="auto|SIZE|PLAN", help="Most memory to use, such as 8GB, or a plan's name; see vivace plan."),
]


def generate(
    prompt: Annotated[str, typer.Argument(help="What is to be seen and heard; speech between <S> and <E>.")],
    model: Annotated[str, typer.Option(help="A shipped model, a model folder, or a hub repository.")] = DEFAULT_MODEL,
    negative: Annotated[str | None, typer.Option(help="What the clip should keep away from.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Length of the clip.")] = None,
    size: Annotated[str | None, typer.Option(metavar="WxH", help="Pixels, such as 128x128.")] = None,
    fps: Annotated[float | None, typer.Option(help="Pictures per second.")] = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps; fewer are faster.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed makes the same clip; drawn when absent.")] = None,
    preset: Annotated[str | None, typer.Option(help="Named steps, solver and guides of the model.")] = None,
    guide: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="text, align or timbre, with .video or .audio for one side; repeat."),
    ] = None,
    only: Annotated[str | None, typer.Option(metavar="video|audio", help="Make one side alone.")] = None,
    image: Annotated[str | None, typer.Option(metavar="FILE", help="The clip's first picture.")] = None,
    audio: Annotated[str | None, typer.Option(metavar="FILE", help="A sound to make pictures for.")] = None,
    video: Annotated[str | None, typer.Option(metavar="FILE", help="Pictures to make sound for.")] = None,
    extend: Annotated[str | None, typer.Option(metavar="FILE", help="A clip to go on from; adds --seconds.")] = None,
    voice: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Who speaks: a recording for each speech span in order, or one; repeat."),
    ] = None,
    dialogue: Annotated[
        str | None, typer.Option(metavar="FILE", help="Speakers with their voices, and their lines, in YAML.")
    ] = None,
    lora: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE[:SCALE]", help="An adapter on top of the model, and its weight; repeat to stack."),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="The file; named from prompt and seed when absent.")] = None,
    contact_sheet: Sheet = False,
    memory: Memory = "auto",
    allow_download: Download = False,
    as_json: Json = False,
) -> None:
    """Make a clip from a prompt, and from a picture, a sound, a video or a clip to continue.

    Example: vivace generate "a red ball bounces on a wooden floor" --seed 7
    """
    request = make_request(
        prompt,
        model,
        negative,
        seconds,
        size,
        fps,
        steps,
        seed,
        preset,
        guide or (),
        only,
        image=image,
        audio=audio,
        video=video,
        extend=extend,
        voice=voice or (),
        dialogue=dialogue,
        lora=lora or (),
    )
    start = time.perf_counter()
    made = make_clip(Models(allow_download, memory), request, output, contact_sheet=contact_sheet)
    report(made, time.perf_counter() - start, as_json)


def rerun(
    clip: Annotated[Path, typer.Argument(help="A clip that vivace generated, or its JSON record.")],
    model: Annotated[
        str | None, typer.Option(help="Where the clip's model is now, if not where it was when the clip was made.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="The file; the clip's name with -rerun when absent.")] = None,
    contact_sheet: Sheet = False,
    memory: Memory = "auto",
    allow_download: Download = False,
    as_json: Json = False,
) -> None:
    """Make the same clip again from its own record.

    Example: vivace rerun a-red-ball-bounces-7.mp4
    """
    from vivace.cli.record import read_record

    record = read_record(clip)
    request = Request.from_json(record["request"])
    if model is not None:
        request = replace(request, model=model)
    start = time.perf_counter()
    models = Models(allow_download, memory)
    from vivace.pipelines.folder import find_model, folder_hash

    model_hash = folder_hash(find_model(request.model, allow_download=allow_download))
    if model_hash != record["model_hash"]:
        raise VivaceError(
            f"Model {request.model!r} is not the one that made {str(clip)!r} (its files have changed); "
            "name the folder of that one with --model."
        )
    target = output or clip.with_name(f"{clip.stem}-rerun{request.suffix}")
    made = make_clip(models, request, target, contact_sheet=contact_sheet)
    same = made.record["latents_sha256"] == record["latents_sha256"]
    verdict = (
        "the same latents, bit for bit" if same else "latents that differ in rounding (another machine or version)"
    )
    report(made, time.perf_counter() - start, as_json, {"same_latents": same}, [f"It has {verdict}."])


def report(
    made: Made, seconds: float, as_json: bool, more: dict[str, Any] | None = None, lines: list[str] | None = None
) -> None:
    """Say what was made: notes on standard error; path, seed and time (or one JSON line) on standard output."""
    for note in made.notes:
        print(f"Note: {note}", file=sys.stderr)
    if as_json:
        entries = {
            "path": str(made.path),
            "seed": made.record["request"]["seed"],
            "seconds": round(seconds, 3),
            "contact_sheet": None if made.contact_sheet is None else str(made.contact_sheet),
            "record": str(made.path.with_suffix(".json")),
            "notes": made.notes,
            **(more or {}),
        }
        print(json.dumps(entries, ensure_ascii=False))
        return
    timings = made.record["timings"]
    spent = f"sampling {timings['sampling']:.1f} s, decoding {timings['decoding']:.1f} s"
    print(f"{made.path}  seed {made.record['request']['seed']}  {seconds:.1f} s ({spent})")
    if made.contact_sheet is not None:
        print(made.contact_sheet)
    for line in lines or []:
        print(line)
