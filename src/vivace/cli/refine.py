"""`vivace refine`: the pictures of a finished clip, larger and cleaner; its sound stays as it is, packet by packet."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import secrets
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vivace.errors import VivaceError

if TYPE_CHECKING:
    from torch import Tensor

    from vivace.cli.files import GivenFile
    from vivace.cli.outputs import Outputs
    from vivace.pipelines.refiner import AliveRefinerPipeline, RefinerOutput, RefinerPlan

DEFAULT_REFINER = "nano-alive-refiner"
TAG = "vivace-refined"
FORMAT = 1


def refine(
    clip: Annotated[Path, typer.Argument(help="The clip, such as one that vivace generated.")],
    prompt: Annotated[
        str | None, typer.Option(help="What is seen and heard; the clip's own prompt when it was generated here.")
    ] = None,
    model: Annotated[str, typer.Option(help="A shipped refiner, or its folder.")] = DEFAULT_REFINER,
    base: Annotated[
        str | None, typer.Option(help="Folder of the refiner's base model, if it is not beside the refiner.")
    ] = None,
    scale: Annotated[float | None, typer.Option(help="How much larger each side becomes.")] = None,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Pixels instead of --scale, of the same shape.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps; fewer are faster.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed makes the same pictures; drawn when absent.")] = None,
    preset: Annotated[str | None, typer.Option(help="Named steps, solver and guides of the refiner.")] = None,
    guide: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="text or mutual; may be repeated.")
    ] = None,
    degradation: Annotated[
        float | None, typer.Option(metavar="0..1", help="Share of noise in the start; more invents more.")
    ] = None,
    negative: Annotated[str | None, typer.Option(help="What the pictures should keep away from.")] = None,
    output: Annotated[Path | None, typer.Option(help="The file; the clip's name with -refined when absent.")] = None,
    contact_sheet: Annotated[bool, typer.Option("--contact-sheet", help="Also write a picture of the clip.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one machine-readable line at the end.")] = False,
) -> None:
    """Make a clip's pictures larger and cleaner; the sound is copied as it is.

    Example: vivace refine a-red-ball-bounces-7.mp4
    """
    from vivace.cli.files import GivenFile
    from vivace.cli.making import quiet_libraries, step_bar
    from vivace.cli.options import parse_guides, parse_size
    from vivace.cli.outputs import Outputs, mark_of, write_sheet
    from vivace.cli.record import write_record
    from vivace.media import contact_sheet as sheet_of
    from vivace.media import read_clip, write_pictures_over_sound
    from vivace.pipelines.folder import REFINERS, find_model
    from vivace.timeline import MAX_SECONDS

    start = time.perf_counter()
    width, height = parse_size(size) if size is not None else (None, None)
    guides = dict(parse_guides(guide or ()))
    seed = secrets.randbelow(2**32) if seed is None else seed
    source = GivenFile.named("clip", clip)
    wanted = Outputs(_target(clip, output), contact_sheet)
    wanted.check()
    said = prompt if prompt is not None else own_prompt(clip)
    folder = find_model(model, kinds=REFINERS)
    given = read_clip(clip, at_most=MAX_SECONDS + 1)
    quiet_libraries()
    pipeline = _loaded(folder, base)
    plan = pipeline.plan(
        given,
        said,
        negative_prompt=negative,
        scale=scale,
        width=width,
        height=height,
        num_inference_steps=steps,
        preset=preset,
        guides=guides,
        degradation=degradation,
        seed=seed,
    )
    _check_own_sound(clip, plan)
    loaded = time.perf_counter()
    with step_bar(plan.preset.steps, True) as advance:
        out = pipeline.run(plan, on_step=lambda _: advance())
    record = _record(source, said, folder, seed, pipeline, plan, out, loaded - start)
    tags = {"title": said or clip.stem, TAG: json.dumps(record, ensure_ascii=False, separators=(",", ":"))}
    source.check("clip")  # what is copied is the sound of the very file that was refined
    outputs, name_notes = wanted.free(lambda path: _of_record(path, record))
    with outputs.written() as staged:
        write_pictures_over_sound(staged.clip, out.frames, out.fps, clip, tags)
        write_record(staged.record, record)
        if staged.sheet is not None:
            sheet = sheet_of(out.frames, out.fps, out.audio, out.audio_sample_rate, title=said or clip.stem)
            write_sheet(staged.sheet, sheet, mark_of(_asked(record)))
    _report(outputs, [*plan.notes, *name_notes], seed, time.perf_counter() - start, record, as_json)


def _check_own_sound(path: Path, plan: RefinerPlan) -> None:
    """Raises VivaceError where the file's own sound, which is what is copied, does not last as long as the pictures: a
    clip that was read has it cut or filled."""
    from vivace.media import read_audio
    from vivace.pipelines.refiner import check_sound_length

    clip = plan.clip
    if clip.audio is not None:
        sound = read_audio(path, clip.sample_rate, channels=1)
        check_sound_length(Fraction(sound.shape[1], clip.sample_rate), clip.seconds, plan.timeline)


def _target(clip: Path, output: Path | None) -> Path:
    """The file to be written.

    Raises:
        VivaceError: no .mp4, or the clip itself.
    """
    from vivace.cli.outputs import check_ending

    path = clip.with_name(f"{clip.stem}-refined.mp4") if output is None else output
    check_ending(path, ".mp4", "a refined clip")
    if path.resolve() == clip.resolve():
        raise VivaceError(f"Output {str(path)!r} is the clip itself; name another file.")
    return path


def _record(
    source: GivenFile,
    said: str,
    folder: Path,
    seed: int,
    pipeline: AliveRefinerPipeline,
    plan: RefinerPlan,
    out: RefinerOutput,
    load_seconds: float,
) -> dict[str, Any]:
    """What was refined, by what, and how."""
    from vivace.cli.record import versions
    from vivace.pipelines.folder import folder_hash

    return {
        "format": FORMAT,
        "clip": source.to_json(),
        "prompt": said,
        "model": str(folder.resolve()),
        "model_hash": folder_hash(folder),
        "seed": seed,
        "latents_sha256": pictures_hash(out.latents.video),
        "settings": {
            "width": plan.width,
            "height": plan.height,
            "frames": len(out.frames),
            "fps": str(out.fps),
            "degradation": plan.degradation,
            "negative": plan.negative,
            "branches": [branch.name for branch in plan.rule.needed()],
            **plan.preset.model_dump(mode="json", exclude={"negative_video", "negative_audio"}),
        },
        "timeline": dataclasses.asdict(out.timeline) | {"fps": str(out.timeline.fps)},
        "versions": versions(),
        "device": str(pipeline.device),
        "timings": {"load": load_seconds, **out.seconds_spent},
    }


def _asked(record: dict[str, Any]) -> dict[str, Any]:
    """What tells a record's clip from those of other requests, as JSON has it."""
    names = ("format", "clip", "prompt", "model", "model_hash", "seed", "settings")
    asked: dict[str, Any] = json.loads(json.dumps({name: record[name] for name in names}))
    return asked


def _of_record(path: Path, record: dict[str, Any]) -> bool:
    """Whether a file is a clip, a record or a contact sheet of the same request as a record's."""
    from vivace.cli.outputs import mark_of, sheet_mark
    from vivace.cli.record import read_json

    if path.suffix.lower() == ".png":
        return sheet_mark(path) == mark_of(_asked(record))
    try:
        return _asked(read_json(path, TAG)) == _asked(record)
    except (VivaceError, KeyError, TypeError):
        return False


def pictures_hash(latents: Tensor | None) -> str:
    """SHA-256 of the latents' bytes: equal for clips that are the same before any file format."""
    assert latents is not None
    return hashlib.sha256(latents.float().cpu().contiguous().numpy().tobytes()).hexdigest()


def own_prompt(clip: Path) -> str:
    """What a clip's record says that it shows; nothing where it has none."""
    from vivace.cli.record import read_record

    try:
        record = read_record(clip)
    except VivaceError:
        return ""
    request: dict[str, Any] = record["request"]
    return str(record.get("rewriting", {}).get("prompt") or request["prompt"])


def _loaded(folder: Path, base: str | None) -> AliveRefinerPipeline:
    import torch

    from vivace.pipelines.refiner import AliveRefinerPipeline

    pipeline = AliveRefinerPipeline.from_pretrained(folder, base=base)
    return pipeline.to("cuda") if torch.cuda.is_available() else pipeline


def _report(
    outputs: Outputs, notes: list[str], seed: int, seconds: float, record: dict[str, Any], as_json: bool
) -> None:
    for note in notes:
        print(f"Note: {note}", file=sys.stderr)
    if as_json:
        entries = {
            "path": str(outputs.clip),
            "seed": seed,
            "seconds": round(seconds, 3),
            "contact_sheet": None if outputs.sheet is None else str(outputs.sheet),
            "record": str(outputs.record),
            "notes": notes,
        }
        print(json.dumps(entries, ensure_ascii=False))
        return
    spent = f"sampling {record['timings']['sampling']:.1f} s, decoding {record['timings']['decoding']:.1f} s"
    size = f"{record['settings']['width']}x{record['settings']['height']}"
    print(f"{outputs.clip}  {size}  seed {seed}  {seconds:.1f} s ({spent})")
    if outputs.sheet is not None:
        print(outputs.sheet)
