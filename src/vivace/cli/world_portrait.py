"""`vivace world portrait`: pictures of a character of the world, to be given to `vivace animate`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vivace.cli.options import parse_size
from vivace.errors import VivaceError

if TYPE_CHECKING:
    import numpy as np

    from vivace.world.cast import Character

CLIP_SIZE = (128, 128)  # height and width of clips that `vivace animate` makes when no other size is asked for
MOMENTS = (0.0, 0.5, 1.0)  # seconds of a take, the first with a shut mouth; later ones where a blink hid the eyes


def portrait(
    output: Annotated[Path, typer.Argument(metavar="FILE.png", help="The picture; of several, NAME-1.png and so on.")],
    seed: Annotated[int, typer.Option(help="Each number from 0 upwards is somebody else.")] = 0,
    count: Annotated[int, typer.Option(help="Pictures of this one character: other pose, place, light, clothes.")] = 1,
    split: Annotated[str, typer.Option(help="train, val or test; val and test were never trained on.")] = "val",
    size: Annotated[str, typer.Option(metavar="WxH", help="Picture size in pixels.")] = "128x128",
    as_json: Annotated[bool, typer.Option("--json", help="Print one machine-readable line at the end.")] = False,
) -> None:
    """Draw somebody, as a reference for `vivace animate`, and say in a caption's words who it is."""
    from PIL import Image

    from vivace.media import replacing
    from vivace.world.picture import check_size
    from vivace.world.takes import TAKES, identity

    if output.suffix.lower() != ".png":
        raise VivaceError(f"Output {str(output)!r} does not end in .png; portraits are written as PNG.")
    if not 1 <= count <= TAKES:
        raise VivaceError(f"--count {count} is out of range; give a number from 1 to {TAKES}.")
    width, height = parse_size(size)
    check_size(height, width)
    looks = described(identity(seed, split))
    pictures = list(islice(portraits(seed, split, height, width), count))
    if len(pictures) < count:
        raise VivaceError(
            f"The face of character {seed} of {split} is found in {len(pictures)} of its {TAKES} pictures of "
            f"{width}x{height} and --count is {count}; give a smaller --count, another --seed or a larger --size."
        )
    names = [output.name] if count == 1 else [f"{output.stem}-{n + 1}{output.suffix}" for n in range(count)]
    paths = [output.with_name(name) for name in names]
    with ExitStack() as all_or_none:
        for path, picture in zip(paths, pictures, strict=True):
            temporary = all_or_none.enter_context(replacing(path))
            Image.fromarray(picture).save(temporary, format="PNG", optimize=True)
    if as_json:
        typer.echo(json.dumps({"outputs": [str(path) for path in paths], "description": looks, "seed": seed}))
    else:
        typer.echo("\n".join(f"{path}: {looks}" for path in paths))


def portraits(number: int, split: str, height: int, width: int) -> Iterator[np.ndarray]:
    """Pictures uint8 [height, width, 3] of a character, from its takes, at most one of each, the least turned first.

    Only those are given that a model of drawn faces takes as a reference, for clips of the usual size and of its own.
    """
    from vivace.pipelines.capabilities import AliveCapabilities
    from vivace.pipelines.references import fitted_references
    from vivace.world.takes import TAKES, Shown, still, take_scene

    strict = AliveCapabilities.read({"most_references": 1, "reference_faces": "drawn"})

    def taken(picture: np.ndarray) -> bool:
        try:
            for shape in {CLIP_SIZE, (height, width)}:
                fitted_references(strict, picture, 1, shape, pictured=True)
        except VivaceError:
            return False
        return True

    def turned(take: int) -> float:
        talk = take_scene(number, take, split).talk
        assert talk is not None
        return abs(talk.characters[0].turn)

    for take in sorted(range(TAKES), key=turned):
        scene = take_scene(number, take, split)
        pictures = (still(Shown(scene, time), height, width) for time in MOMENTS)
        yield from islice(filter(taken, pictures), 1)


def described(character: Character) -> str:
    """'a woman with long red hair and glasses': what stays from take to take, as captions say it."""
    from vivace.world.caption_pieces import article, joined

    bald, bun = character.style == "bald", character.style == "bun"
    hair = f"{character.hair} hair in a bun" if bun else f"{character.style} {character.hair} hair"
    features = {hair: not bald, "glasses": character.glasses, "a beard": character.beard}
    listed = " and ".join(name for name, there in features.items() if there)
    return joined(article(joined("bald" if bald else "", character.person)), f"with {listed}" if listed else "")
