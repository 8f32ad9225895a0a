"""`vivace generate` and `vivace rerun`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from vivace.cli.devices import joined
from vivace.cli.making import Made, Models, follow, make_clip
from vivace.cli.options import DEFAULT_MODEL, Request, make_request
from vivace.cli.rewriting import Rewrite, RewriteKey, RewriteModel
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
Compile = Annotated[bool, typer.Option("--compile", help="Compile the network's blocks first; pays for long clips.")]


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
        typer.Option(
            metavar="NAME=VALUE",
            help="NAVA: text, align, timbre; Alive: text, mutual, references; .video or .audio for one side; repeat.",
        ),
    ] = None,
    cache: Annotated[
        float | None, typer.Option(metavar="0..1", help="Reuse what steps have in common; 0 is exact, 0.1 is faster.")
    ] = None,
    only: Annotated[str | None, typer.Option(metavar="video|audio", help="Make one side alone.")] = None,
    first_frame: Annotated[
        str | None,
        typer.Option(
            metavar="held|overwritten|noised",
            help="How what is given is shown to the model; NAVA: overwritten.",
        ),
    ] = None,
    image: Annotated[str | None, typer.Option(metavar="FILE", help="The clip's first picture.")] = None,
    audio: Annotated[str | None, typer.Option(metavar="FILE", help="A sound to make pictures for.")] = None,
    video: Annotated[str | None, typer.Option(metavar="FILE", help="Pictures to make sound for.")] = None,
    extend: Annotated[str | None, typer.Option(metavar="FILE", help="A clip to go on from; adds --seconds.")] = None,
    voice: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|NAME", help="Who speaks: a recording or saved voice for each speech span, or one; repeat."
        ),
    ] = None,
    speaker_encoder: Annotated[
        str | None, typer.Option(metavar="FILE", help="An ONNX speaker encoder, for a model without its own.")
    ] = None,
    dialogue: Annotated[
        str | None, typer.Option(metavar="FILE", help="Speakers with their voices, and their lines, in YAML.")
    ] = None,
    reference: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="A picture of who is to be seen, for an Alive model; repeat."),
    ] = None,
    lora: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE[:SCALE]",
            help="An adapter (a file, or PEFT's folder) on top of the model, and its weight; repeat to stack.",
        ),
    ] = None,
    rewrite: Rewrite = None,
    rewrite_model: RewriteModel = None,
    rewrite_key: RewriteKey = None,
    output: Annotated[Path | None, typer.Option(help="The file; named from prompt and seed when absent.")] = None,
    contact_sheet: Sheet = False,
    memory: Memory = "auto",
    devices: Annotated[
        str | None,
        typer.Option(
            metavar="N|NxM", help="Of the processes that torchrun started: N for each sequence, M for branches."
        ),
    ] = None,
    compile_blocks: Compile = False,
    allow_download: Download = False,
    as_json: Json = False,
) -> None:
    """Make a clip from a prompt, and from a picture, a sound, a video or a clip to continue.

    Example: vivace generate "a red ball bounces on a wooden floor" --seed 7
    """
    with joined(devices) as crew:
        models = Models(allow_download, memory, compiled=compile_blocks, crew=crew)
        if crew is not None and crew.rank:
            follow(models)
            return
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
            cache=cache,
            first_frame=first_frame,
            rewrite=rewrite,
            rewrite_model=rewrite_model,
            rewrite_key=rewrite_key,
            speaker_encoder=speaker_encoder,
            reference=reference or (),
        )
        start = time.perf_counter()
        made = make_clip(models, request, output, contact_sheet=contact_sheet)
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
    from vivace.cli.record import read_record, rewriting_of

    record = read_record(clip)
    request = Request.from_json(record["request"])
    if request.seed is None:
        raise VivaceError(
            f"The record of {str(clip)!r} has no seed, without which its clip cannot be made again; give one as vivace "
            "wrote it."
        )
    if model is not None:
        request = replace(request, model=model)
    start = time.perf_counter()
    _check_same_model(request, record, clip, allow_download)
    models = Models(allow_download, memory)
    target = output or clip.with_name(f"{clip.stem}-rerun{request.suffix}")
    made = make_clip(models, request, target, contact_sheet=contact_sheet, rewriting=rewriting_of(record))
    same = made.record["latents_sha256"] == record["latents_sha256"]
    verdict = (
        "the same latents, bit for bit" if same else "latents that differ in rounding (another machine or version)"
    )
    report(made, time.perf_counter() - start, as_json, {"same_latents": same}, [f"It has {verdict}."])


def _check_same_model(request: Request, record: Mapping[str, Any], clip: Path, allow_download: bool) -> None:
    """Raises VivaceError where a request's model is not the one that made a clip with this record."""
    from vivace.pipelines.folder import find_model, folder_hash

    if folder_hash(find_model(request.model, allow_download=allow_download)) != record["model_hash"]:
        raise VivaceError(
            f"Model {request.model!r} is not the one that made {str(clip)!r} (its files have changed); "
            "name the folder of that one with --model."
        )


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
