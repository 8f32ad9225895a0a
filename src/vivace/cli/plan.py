"""`vivace plan`: what a clip would load, and whether and how it fits."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vivace.cli.bars import bars
from vivace.cli.given import all_given
from vivace.cli.memory import foresee, parse_memory
from vivace.cli.options import DEFAULT_MODEL, Request, make_request
from vivace.errors import VivaceError

if TYPE_CHECKING:
    from vivace.pipelines.clip_plan import ClipPlan
    from vivace.pipelines.footprint import Told
    from vivace.pipelines.memory import Strategy
    from vivace.pipelines.planning import Again, Forecast

LICENCE_FILES = ("LICENSE*", "LICENCE*", "*/LICENSE*", "*/LICENCE*")


def plan(
    prompt: Annotated[str, typer.Argument(help="As for generate; only its speech matters here.")] = "a clip",
    model: Annotated[
        str,
        typer.Option(help="A shipped model, a model folder, a hub repository, NAVA's official files, or nava without."),
    ] = DEFAULT_MODEL,
    seconds: Annotated[float | None, typer.Option(help="Length of the clip.")] = None,
    size: Annotated[str | None, typer.Option(metavar="WxH", help="Pixels, such as 128x128.")] = None,
    fps: Annotated[float | None, typer.Option(help="Pictures per second.")] = None,
    preset: Annotated[str | None, typer.Option(help="Named steps, solver and guides of the model.")] = None,
    guide: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="As for generate; repeat.")] = None,
    only: Annotated[str | None, typer.Option(metavar="video|audio", help="One side alone.")] = None,
    cache: Annotated[float | None, typer.Option(metavar="0..1", help="As for generate.")] = None,
    voice: Annotated[list[str] | None, typer.Option(metavar="FILE|NAME", help="As for generate; repeat.")] = None,
    lora: Annotated[list[str] | None, typer.Option(metavar="FILE[:SCALE]", help="As for generate; repeat.")] = None,
    memory: Annotated[
        str, typer.Option(metavar="auto|SIZE|PLAN", help="Most memory to use, such as 8GB, or a plan's name.")
    ] = "auto",
    wan: Annotated[Path | None, typer.Option(help="Of official files: as for convert nava.")] = None,
    ltx: Annotated[Path | None, typer.Option(help="Of official files: as for convert nava.")] = None,
    dtype: Annotated[str | None, typer.Option(help="Of official files: as for convert nava.")] = None,
    config: Annotated[Path | None, typer.Option(help="Of official files: as for convert nava.")] = None,
    online: Annotated[
        bool, typer.Option("--online", help="Look a hub repository up; nothing is downloaded but its list of files.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one machine-readable line instead.")] = False,
) -> None:
    """Say what a clip would load, how much memory it would take, and which plan this machine would choose.

    No weight is read and nothing is downloaded. Exits with 2 when the clip does not fit.

    Of a hub repository and of NAVA's official files it says what there is, what is missing, and under which licences;
    --model nava plans with NAVA as it is published, before any file of it is here.

    Example: vivace plan --size 256x256 --seconds 8 --memory 4GB
    """
    request = make_request(
        prompt,
        model,
        None,
        seconds,
        size,
        fps,
        None,
        None,
        preset,
        guide or (),
        only,
        cache=cache,
        voice=voice or (),
        lora=lora or (),
    )
    wanted = parse_memory(memory)
    official = {"wan": wan, "ltx": ltx, "config": config, "dtype": dtype}
    with ExitStack() as shown:
        summary = _summary(request, wanted, official, online, _bar(shown, as_json))
    print(json.dumps(summary) if as_json else as_text(summary))
    if summary["problem"] is not None:
        raise typer.Exit(2)


def _bar(shown: ExitStack, quiet: bool) -> Told:
    """Shows how far the forecast is, from its first stage on: what is refused before is said in one line."""
    begun: list[Callable[[str, int, int], None]] = []

    def told(done: int, total: int) -> None:
        if not begun:
            begun.append(shown.enter_context(bars(quiet)))
        begun[0]("Forecasting", done, total)

    return told


def _summary(
    request: Request,
    memory: int | Strategy | None,
    official: Mapping[str, Any],
    online: bool,
    told: Told,
) -> dict[str, Any]:
    """Of whatever the request's model is; `told` of how far the forecast is.

    Raises:
        VivaceError: an unknown or damaged model, or options of official files or of the hub for another one.
    """
    from vivace.cli.plan_sources import hub_summary, official_parts, official_summary
    from vivace.pipelines.folder import INDEX, RELEASE, find_model, is_hub_name, shipped_models
    from vivace.pipelines.hub import cached_folder
    from vivace.pipelines.parts import parts_in

    name, place = request.model, Path(request.model)
    unconverted = name not in shipped_models() and place.exists() and not (place / INDEX).is_file()
    on_hub = name not in shipped_models() and not place.exists() and is_hub_name(name)
    if online and not on_hub:
        raise VivaceError(f"--online looks up repositories on the hub, and model {name!r} is none; leave it out.")
    if unconverted or (name == RELEASE and not place.exists()):
        paths = official_parts(place if unconverted else None, official["wan"], official["ltx"])
        return official_summary(request, paths, official["dtype"] or "bf16", official["config"], memory, told)
    if any(official.values()):
        raise VivaceError("--wan, --ltx, --dtype and --config describe official files; name those with --model.")
    if on_hub:
        cached = cached_folder(name)
        if cached is None or not (cached / INDEX).is_file():
            return hub_summary(name, online)
        place = find_model(str(cached))
    else:
        place = find_model(name)
    parts = parts_in(place)
    given, _ = all_given(request, lambda: place)
    return {
        "model": str(place),
        "parts": {name: {"class": p.kind, "bytes": p.stored, "values": p.values} for name, p in parts.items()},
        "bytes": sum(part.stored for part in parts.values()),
        "download": 0,
        "licences": licences_in(place),
        **forecast_entries(*foresee(place, parts, request, given, memory, told)),
    }


def forecast_entries(found: Forecast, checked: ClipPlan, again: Again) -> dict[str, Any]:
    """What `foresee` says, as a part of the summary."""
    from vivace.pipelines.planning import refusal

    entries: dict[str, Any] = {
        "device": found.device,
        "free": {"device": found.limit.device, "host": found.limit.host},
        "smallest": {"device": found.smallest.peaks.device, "host": found.smallest.peaks.host},
        "beside": dict(found.beside),
        "plan": None,
        "problem": None,
    }
    if found.choice is None:
        return entries | {"problem": str(refusal(found, checked, again))}
    placement, peaks = found.choice.placement, found.choice.peaks
    entries["plan"] = {**vars(placement), "exact": placement.exact, "sentence": placement.sentence()}
    return entries | {"peak": {"device": peaks.device, "host": peaks.host}}


def licences_in(folder: Path) -> dict[str, str]:
    """A folder's licences: what its conversion recorded, or the first line of each licence file."""
    from vivace.pipelines.folder import shipped_models

    try:
        stated = json.loads((folder / "conversion.json").read_text(encoding="utf-8"))["licences"]
        return {str(name): str(licence) for name, licence in stated.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # not converted by us, or by a version that recorded none
    if folder in shipped_models().values():
        return {"all": "Apache-2.0, as vivace"}
    files = sorted({path for pattern in LICENCE_FILES for path in folder.glob(pattern)})
    lines = {str(path.relative_to(folder)): path.read_text(encoding="utf-8", errors="replace") for path in files}
    return {name: text.strip().split("\n")[0] for name, text in lines.items()} or {"all": "not stated in the folder"}


def as_text(summary: dict[str, Any]) -> str:
    """The summary for people."""
    from vivace.cli.plan_sources import hub_text, official_text
    from vivace.pipelines.memory import gigabytes

    if "files" in summary:
        return hub_text(summary)
    if "official" in summary:
        lines = official_text(summary)
    else:
        lines = [f"{summary['model']}: {gigabytes(summary['bytes'])} on disk, nothing to download"]
        for name, part in summary["parts"].items():
            lines.append(f"  {name:16} {part['class']:24} {part['values'] / 1e6:9.1f} M  {gigabytes(part['bytes'])}")
        lines += [f"Licence ({name}): {licence}" for name, licence in summary["licences"].items()]
    free, smallest = summary["free"], summary["smallest"]
    gpu = summary["device"] != "cpu"
    lines.append("Memory that may be used: " + _both(free, gpu))
    if summary["plan"] is None:
        lines.append(summary["problem"])
    else:
        lines.append(f"Plan {summary['plan']['strategy']}: {summary['plan']['sentence']}")
        lines.append("Expected peak: " + _both(summary["peak"], gpu))
    lines += [f"Counted in it: {name}, {gigabytes(count)}" for name, count in summary["beside"].items()]
    lines.append("The smallest plan takes " + _both(smallest, gpu))
    return "\n".join(lines)


def _both(count: dict[str, int], gpu: bool) -> str:
    from vivace.pipelines.memory import gigabytes

    host = f"{gigabytes(count['host'])} of host memory"
    return f"{gigabytes(count['device'])} on the GPU, {host}" if gpu else host
