"""`vivace plan`: what a clip would load, and whether and how it fits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from vivace.cli.memory import foresee, parse_memory
from vivace.cli.options import DEFAULT_MODEL, make_request

LICENCE_FILES = ("LICENSE*", "LICENCE*", "*/LICENSE*", "*/LICENCE*")


def plan(
    prompt: Annotated[str, typer.Argument(help="As for generate; its words do not matter here.")] = "a clip",
    model: Annotated[str, typer.Option(help="A shipped model or a model folder.")] = DEFAULT_MODEL,
    seconds: Annotated[float | None, typer.Option(help="Length of the clip.")] = None,
    size: Annotated[str | None, typer.Option(metavar="WxH", help="Pixels, such as 128x128.")] = None,
    fps: Annotated[float | None, typer.Option(help="Pictures per second.")] = None,
    preset: Annotated[str | None, typer.Option(help="Named steps, solver and guides of the model.")] = None,
    guide: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="As for generate; repeat.")] = None,
    only: Annotated[str | None, typer.Option(metavar="video|audio", help="One side alone.")] = None,
    memory: Annotated[
        str, typer.Option(metavar="auto|SIZE|PLAN", help="Most memory to use, such as 8GB, or a plan's name.")
    ] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one machine-readable line instead.")] = False,
) -> None:
    """Say what a clip would load, how much memory it would take, and which plan this machine would choose.

    No weight is read and nothing is downloaded. Exits with 2 when the clip does not fit.

    Example: vivace plan --size 256x256 --seconds 8 --memory 4GB
    """
    from vivace.pipelines.folder import find_model
    from vivace.pipelines.parts import parts_in
    from vivace.pipelines.planning import refusal

    request = make_request(prompt, model, None, seconds, size, fps, None, None, preset, guide or (), only)
    wanted = parse_memory(memory)
    folder = find_model(request.model)
    parts = parts_in(folder)
    found, checked, again = foresee(folder, parts, request, {}, wanted)
    choice = found.choice
    summary: dict[str, Any] = {
        "model": str(folder),
        "parts": {name: {"class": p.kind, "bytes": p.stored, "values": p.values} for name, p in parts.items()},
        "bytes": sum(part.stored for part in parts.values()),
        "download": 0,
        "licences": licences_in(folder),
        "device": found.device,
        "free": {"device": found.limit.device, "host": found.limit.host},
        "smallest": {"device": found.smallest.peaks.device, "host": found.smallest.peaks.host},
        "plan": None,
        "problem": None,
    }
    if choice is None:
        summary["problem"] = str(refusal(found, checked, again))
    else:
        placement = choice.placement
        summary["plan"] = {**vars(placement), "exact": placement.exact, "sentence": placement.sentence()}
        summary["peak"] = {"device": choice.peaks.device, "host": choice.peaks.host}
    print(json.dumps(summary) if as_json else as_text(summary))
    if choice is None:
        raise typer.Exit(2)


def licences_in(folder: Path) -> dict[str, str]:
    """A folder's licences: entries of model_index.json, or the first line of each licence file."""
    from vivace.pipelines.folder import read_index, shipped_models

    stated = read_index(folder).get("licences")
    if isinstance(stated, dict):
        return {str(name): str(licence) for name, licence in stated.items()}
    if folder in shipped_models().values():
        return {"all": "Apache-2.0, as vivace"}
    files = sorted({path for pattern in LICENCE_FILES for path in folder.glob(pattern)})
    lines = {str(path.relative_to(folder)): path.read_text(encoding="utf-8", errors="replace") for path in files}
    return {name: text.strip().split("\n")[0] for name, text in lines.items()} or {"all": "not stated in the folder"}


def as_text(summary: dict[str, Any]) -> str:
    """The summary for people."""
    from vivace.pipelines.memory import gigabytes

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
    lines.append("The smallest plan takes " + _both(smallest, gpu))
    return "\n".join(lines)


def _both(count: dict[str, int], gpu: bool) -> str:
    from vivace.pipelines.memory import gigabytes

    host = f"{gigabytes(count['host'])} of host memory"
    return f"{gigabytes(count['device'])} on the GPU, {host}" if gpu else host
