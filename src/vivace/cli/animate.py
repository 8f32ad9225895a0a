"""`vivace animate`: a clip of somebody, from pictures of them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from vivace.cli.generate import Download, Json, Memory, Sheet, report
from vivace.cli.making import Models, make_clip
from vivace.cli.options import make_request
from vivace.errors import VivaceError

ALIVE_MODEL = "nano-alive"


def animate(
    prompt: Annotated[str, typer.Argument(help="What they do and say; speech between <S> and <E>.")],
    reference: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help="A picture of who is to be seen; repeat for several.")
    ] = None,
    model: Annotated[str, typer.Option(help="An Alive model that has learned to use references.")] = ALIVE_MODEL,
    audio: Annotated[str | None, typer.Option(metavar="FILE", help="A sound that they are to be seen making.")] = None,
    negative: Annotated[str | None, typer.Option(help="What the clip should keep away from.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Length of the clip.")] = None,
    size: Annotated[str | None, typer.Option(metavar="WxH", help="Pixels, such as 128x128.")] = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps; fewer are faster.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed makes the same clip; drawn when absent.")] = None,
    preset: Annotated[str | None, typer.Option(help="Named steps, solver and guides of the model.")] = None,
    guide: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="text, mutual or references, with .video or .audio; repeat."),
    ] = None,
    lora: Annotated[
        list[str] | None, typer.Option(metavar="FILE[:SCALE]", help="An adapter and its weight (1); repeat.")
    ] = None,
    cache: Annotated[
        float | None, typer.Option(metavar="0..1", help="Leave out what hardly changes from step to step; 0 is exact.")
    ] = None,
    memory: Memory = "auto",
    output: Annotated[Path | None, typer.Option(help="The file; named from prompt and seed when absent.")] = None,
    contact_sheet: Sheet = False,
    allow_download: Download = False,
    as_json: Json = False,
) -> None:
    """Make a clip of the people in pictures, in a place and with words of the prompt.

    Example: vivace animate "A woman says <S>hello<E>." --reference anna.png
    """
    if not reference:
        raise VivaceError("No reference was given; name a picture of who is to be seen with --reference.")
    request = make_request(
        prompt,
        model,
        negative,
        seconds,
        size,
        None,
        steps,
        seed,
        preset,
        guide or (),
        audio=audio,
        reference=reference,
        lora=lora or (),
        cache=cache,
    )
    start = time.perf_counter()
    made = make_clip(Models(allow_download, memory), request, output, contact_sheet=contact_sheet)
    report(made, time.perf_counter() - start, as_json)
