"""`vivace world`: clips whose every event is known, and pictures of them to look at."""

from __future__ import annotations

import functools
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vivace.cli.options import MAX_SEED
from vivace.cli.world_portrait import portrait
from vivace.errors import VivaceError

if TYPE_CHECKING:
    from vivace.timeline import Timeline
    from vivace.world import Scene, Truth

app = typer.Typer(
    name="world",
    help="Render clips of the procedural world with their exact truth, and look at them.",
    no_args_is_help=True,
)

Kind = Annotated[str | None, typer.Option(help="What happens, such as impacts, drum or talk; drawn when not given.")]
Split = Annotated[str, typer.Option(help="train, val or test: disjoint streams of scenes.")]
Seconds = Annotated[float, typer.Option(help="Length of a clip.")]
Size = Annotated[str, typer.Option(metavar="WxH", help="Picture size in pixels.")]
Fps = Annotated[float, typer.Option(help="Pictures per second.")]
Json = Annotated[bool, typer.Option("--json", help="Print one machine-readable line at the end.")]
LONGEST_COUNT = 10_000_000


@app.command(epilog="Example: vivace world render --count 8 --kind drum --output clips")
def render(
    output: Annotated[Path, typer.Option(help="Folder for the clips; clips already complete in it are kept.")],
    count: Annotated[int, typer.Option(help="Number of clips.")] = 8,
    kind: Kind = None,
    split: Split = "train",
    seconds: Seconds = 2.0,
    size: Size = "128x128",
    fps: Fps = 24.0,
    seed: Annotated[int, typer.Option(help="Seed of the first clip; the others count up from it.")] = 0,
    as_json: Json = False,
) -> None:
    """Write clips as MP4, each with its caption and the truth about it as JSON beside it."""
    from rich.console import Console
    from rich.progress import track

    from vivace.cli.outputs import free_name
    from vivace.media import Clip, replacing, write_clip
    from vivace.world import render_audio, render_video
    from vivace.world.sample import check_seconds

    if not 1 <= count <= LONGEST_COUNT:
        raise VivaceError(f"--count {count} is out of range; give a number from 1 to {LONGEST_COUNT}.")
    width, height = _size(size)
    check_seconds(seconds, kind)
    timeline = _timeline(seconds, fps)
    made = 0
    notes: list[str] = []
    # Only where a person watches, and gone where an error or the last line takes its place.
    hidden = as_json or not sys.stderr.isatty()
    for number in track(range(count), "Rendering", console=Console(stderr=True), disable=hidden, transient=True):
        scene = _scene(seed + number, split, kind, seconds)
        record = _record(scene, timeline, height, width)
        text = json.dumps(record, indent=1)
        wanted = output / f"{split}-{scene.kind}-{scene.seed:06d}.mp4"
        ours = functools.partial(_rendered, scene=scene)
        clip_path, told = (wanted, []) if _is_kept(wanted, text) else free_name(wanted, _with_record, ours)
        notes += told
        if _is_kept(clip_path, text):
            continue
        clip = Clip(
            render_video(scene, timeline, height, width),
            timeline.fps,
            render_audio(scene, timeline),
            timeline.sample_rate,
        )
        write_clip(clip_path, clip, {"caption": record["caption"], "scene": scene.to_json()})
        # The record comes last: a clip with a record is complete.
        with replacing(clip_path.with_suffix(".json")) as temporary:
            temporary.write_text(text, encoding="utf-8")
        made += 1
    for note in notes:
        typer.echo(f"Note: {note}", err=True)
    if as_json:
        typer.echo(json.dumps({"output": str(output), "clips": count, "rendered": made, "kept": count - made}))
    else:
        typer.echo(f"{count} clips in {output} ({made} rendered, {count - made} were there already).")


@app.command(epilog="Example: vivace world play 7 --kind bell --output bell.png")
def play(
    ctx: typer.Context,
    what: Annotated[str, typer.Argument(metavar="SEED|CLIP.mp4", help="A seed, or a clip of `vivace world render`.")],
    output: Annotated[Path | None, typer.Option(help="The PNG; named from the seed or clip when not given.")] = None,
    kind: Kind = None,
    split: Split = "train",
    seconds: Seconds = 2.0,
    size: Size = "128x128",
    fps: Fps = 24.0,
    as_json: Json = False,
) -> None:
    """Make a contact sheet: pictures over waveform and spectrogram, ticks at events, words, cuts and passings."""
    from vivace.cli.outputs import check_ending, free_name, mark_of, sheet_mark, write_sheet
    from vivace.media import contact_sheet, read_clip
    from vivace.world import render_audio, render_video, truth
    from vivace.world.sample import LONGEST_SCENE, check_seconds

    frames: Any
    audio: Any
    if re.fullmatch(r"\d+", what):
        width, height = _size(size)
        check_seconds(seconds, kind)
        timeline = _timeline(seconds, fps)
        scene = _scene(int(what), split, kind, seconds)
        record = _record(scene, timeline, height, width)
        title, events = str(record["caption"]), _moments(truth(scene, timeline, height, width))
        frames, audio = render_video(scene, timeline, height, width), render_audio(scene, timeline)
        rate, sample_rate = timeline.fps, timeline.sample_rate
        target = output or Path(f"world-{split}-{scene.seed:06d}.png")
    else:
        _refuse_options_of_a_seed(ctx, what)
        clip = read_clip(what)
        if clip.frames is None:
            raise VivaceError(f"Clip {what!r} has no pictures; give a clip that `vivace world render` wrote.")
        scene, title = _scene_of(Path(what))
        height, width = clip.frames.shape[1:3]
        # A clip of the longest length lasts up to a latent frame longer.
        timeline = _timeline(min(float(clip.seconds), LONGEST_SCENE), float(clip.fps))
        events = _moments(truth(scene, timeline, height, width))
        frames, audio, rate, sample_rate = clip.frames, clip.audio, clip.fps, clip.sample_rate
        target = output or Path(what).with_suffix(".png")
    check_ending(target, ".png", "a contact sheet")
    mark = mark_of({"scene": scene.to_json(), "pictures": frames.shape, "fps": str(rate)})
    target, notes = free_name(target, lambda path: [path], lambda path: sheet_mark(path) == mark)
    write_sheet(target, contact_sheet(frames, rate, audio, sample_rate, events=events, title=title), mark)
    for note in notes:
        typer.echo(f"Note: {note}", err=True)
    if as_json:
        times = [time for time, _ in events]
        typer.echo(json.dumps({"output": str(target), "caption": title, "events": times, "seed": scene.seed}))
    else:
        typer.echo(f"{target}: {title}\n{_told(events)}")


app.command(epilog="Example: vivace world portrait anna.png --seed 8")(portrait)


def _refuse_options_of_a_seed(ctx: typer.Context, clip: str) -> None:
    """Raises VivaceError for an option that says what to draw of a seed, where a clip is named."""
    for name in ("kind", "split", "seconds", "size", "fps"):
        source = ctx.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise VivaceError(
                f"--{name} says what is drawn of a seed, and {clip!r} is shown as it was rendered; leave it out, or "
                "give a seed."
            )


def _with_record(clip: Path) -> list[Path]:
    return [clip.with_suffix(".json"), clip]


def _is_kept(clip: Path, record: str) -> bool:
    """Whether a clip is there, with this very record beside it."""
    beside = clip.with_suffix(".json")
    return clip.is_file() and beside.is_file() and beside.read_bytes() == record.encode()


def _rendered(path: Path, scene: Scene) -> bool:
    """Whether a file is a clip of a scene of this name, or its record, as `render` writes them."""
    from vivace.media import read_metadata
    from vivace.plain_json import parsed_object, read_object

    try:
        if path.suffix == ".json":
            record = read_object(path, "")
            stored = record.get("scene") if {"caption", "truth"} <= record.keys() else None
        else:
            stored = parsed_object(read_metadata(path).get("scene", ""), "", "")
    except VivaceError:
        return False
    names = ("seed", "split", "kind")
    return isinstance(stored, dict) and all(stored.get(name) == getattr(scene, name) for name in names)


def _moments(known: Truth) -> list[tuple[float, str]]:
    """What deserves a tick, in order of time (s), with its name where it has one: events, cuts, the moment at which a
    vehicle is nearest, and by its name every word that is spoken."""
    passing = [] if known.passing is None else [known.passing.time]
    lines = () if known.talk is None else known.talk.lines
    words = [(word.start, word.word) for line in lines for word in line.words if word.start < known.seconds]
    return sorted([*((time, "") for time in (*known.times, *known.cuts, *passing)), *words])


def _told(moments: list[tuple[float, str]]) -> str:
    """A line on what happens when."""
    parts = []
    events = [f"{time:.3f}" for time, word in moments if not word]
    words = [f"{word} at {time:.3f}" for time, word in moments if word]
    if events:
        parts.append(f"events at {', '.join(events)} s")
    if words:
        parts.append(f"{', '.join(words)} s")
    return "; ".join(parts) or "no single moment to mark"


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,9})x(\d{1,9})", text.strip().lower())
    if found is None:
        raise VivaceError(f"--size {text!r} is not a size; give WIDTHxHEIGHT such as 128x128.")
    return int(found[1]), int(found[2])


def _timeline(seconds: float, fps: float) -> Timeline:
    from vivace.timeline import Timeline

    return Timeline.covering(seconds, fps)


def _scene(seed: int, split: str, kind: str | None, seconds: float) -> Scene:
    """The scene of a seed. It is drawn for the length at 24 fps, so that a seed means one scene at every rate."""
    from vivace.timeline import Timeline
    from vivace.world import sample_scene

    if seed > MAX_SEED:
        raise VivaceError(f"Seed {seed} is out of range; give a whole number from 0 to {MAX_SEED}.")
    return sample_scene(seed, split, kind=kind, seconds=float(Timeline.covering(seconds).seconds))


def _record(scene: Scene, timeline: Timeline, height: int, width: int) -> dict[str, Any]:
    """What is written beside a clip: its caption (a function of the scene's seed), scene and truth."""
    import numpy as np

    from vivace.world import caption_with_attributes, truth

    text, stated = caption_with_attributes(scene, np.random.default_rng([scene.seed, 1]))
    return {
        "caption": text,
        "stated": stated,
        "scene": json.loads(scene.to_json()),
        "truth": json.loads(truth(scene, timeline, height, width).to_json()),
    }


def _scene_of(path: Path) -> tuple[Scene, str]:
    from vivace.media import read_metadata
    from vivace.world import Scene

    tags = read_metadata(path)
    if "scene" not in tags:
        raise VivaceError(f"{str(path)!r} holds no scene; give a seed, or a clip made by `vivace world render`.")
    return Scene.from_json(tags["scene"]), tags.get("caption", path.name)
