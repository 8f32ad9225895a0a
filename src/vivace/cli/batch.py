"""`vivace batch`: many clips from a file of jobs, resumable."""

from __future__ import annotations

import errno
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import typer

from vivace.cli.generate import Download, Json, Memory
from vivace.cli.leftovers import sweep
from vivace.cli.making import Models, make_clip
from vivace.cli.options import Request, slug
from vivace.cli.outputs import Outputs, check_folder
from vivace.cli.rewriting import Rewrite, RewriteKey, RewriteModel, parse_rewrite
from vivace.errors import VivaceError, count_of

MAX_JOBS_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Job:
    """One line of a jobs file: what to make, under which name, with a contact sheet or not."""

    line: int
    request: Request
    name: str
    contact_sheet: bool


def batch(
    jobs: Annotated[Path, typer.Argument(metavar="JOBS.jsonl", help="One JSON object per line.")],
    output: Annotated[Path, typer.Option(help="Folder for the clips.")],
    rewrite: Rewrite = None,
    rewrite_model: RewriteModel = None,
    rewrite_key: RewriteKey = None,
    memory: Memory = "auto",
    allow_download: Download = False,
    as_json: Json = False,
) -> None:
    """Make a clip for every line of a file; run it again to go on where it stopped.

    A line has the names of generate's options: {"prompt": "a red ball bounces", "seed": 3, "guide": {"text": 4}},
    and besides "contact_sheet": true and "output": "name.mp4". Without a seed, line n has seed n.

    Example: vivace batch jobs.jsonl --output clips
    """
    chosen = {"rewrite": rewrite, "rewrite_model": rewrite_model, "rewrite_key": rewrite_key}
    parse_rewrite(rewrite, rewrite_model, rewrite_key)
    check_folder(output)
    todo, failures = read_jobs(jobs, {name: value for name, value in chosen.items() if value is not None})
    models, made, kept, start = Models(allow_download, memory, many=True), 0, 0, time.perf_counter()
    notes: list[tuple[int, str]] = []
    if swept := sweep(output):
        print(f"Note: removed {count_of(swept, 'part')} of clips that a killed run left in {output}.", file=sys.stderr)
    for job in todo:
        path = output / job.name
        try:
            if _made_before(models, job, path):
                kept += 1
                continue
            clip = make_clip(models, job.request, path, contact_sheet=job.contact_sheet)
        except VivaceError as error:
            if _is_full_disk(error):  # on which every other clip would be made in vain
                raise VivaceError(
                    f"Line {job.line}: {str(error).removesuffix('.')}; {made + kept} of {len(todo)} clips are done, "
                    "and the same command goes on with the others."
                ) from error
            failures.append((job.line, str(error)))
            print(f"Line {job.line}: {error}", file=sys.stderr)
            continue
        made += 1
        for note in clip.notes:
            notes.append((job.line, note))
            print(f"Note: line {job.line}: {note}", file=sys.stderr)
        left = (time.perf_counter() - start) / made * (len(todo) - made - kept)
        if not as_json:
            print(f"{made + kept}/{len(todo)}  {clip.path}  {_duration(left)} left", flush=True)
    summary: dict[str, Any] = {"made": made, "kept": kept, "failed": len(failures), "output": str(output)}
    if as_json:
        summary["failures"] = [{"line": line, "error": error} for line, error in failures]
        summary["notes"] = [{"line": line, "note": note} for line, note in notes]
        print(json.dumps(summary, ensure_ascii=False))
    else:
        where = f"; clips are in {output}" if made + kept else ""
        print(f"{made} made, {kept} already there, {len(failures)} failed{where}.")
    if failures:
        raise typer.Exit(2)


def _is_full_disk(error: BaseException | None) -> bool:
    """Whether an error was raised because of a full disk, or of a quota that is used up."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False


def _made_before(models: Models, job: Job, path: Path) -> bool:
    """Whether a job's clip and all that goes with it is there, under its name or the free one that it then took.

    Raises:
        VivaceError: an unknown, incomplete or foreign model.
    """
    from vivace.cli.record import is_complete, of_request

    there, _ = Outputs(path, job.contact_sheet).free(lambda path: of_request(path, job.request))
    return is_complete(there, job.request, lambda: models.hash_of(models.folder(job.request)))


def read_jobs(path: Path, rewrite: Mapping[str, str] = MappingProxyType({})) -> tuple[list[Job], list[tuple[int, str]]]:
    """The jobs of a file, and (line number, sentence) of every line that is none; the sentences are also printed.

    Args:
        rewrite: entries for lines that name no rewriter themselves.

    Raises:
        VivaceError: the file cannot be read, or holds no job at all.
    """
    try:
        if path.exists() and not path.is_file():  # a device may have no end, and a pipe no beginning
            raise VivaceError(f"Jobs file {str(path)!r} is no regular file; write the jobs into one.")
        with path.open("rb") as file:
            content = file.read(MAX_JOBS_BYTES + 1)
        if len(content) > MAX_JOBS_BYTES:
            raise VivaceError(f"Jobs file {str(path)!r} is larger than {MAX_JOBS_BYTES >> 20} MiB; split it.")
        lines = content.decode().splitlines()
    except (OSError, ValueError) as error:
        if isinstance(error, VivaceError):
            raise
        raise VivaceError(
            f"Jobs file {str(path)!r} cannot be read ({error}); give UTF-8 text, a job per line."
        ) from None
    jobs: list[Job] = []
    failures: list[tuple[int, str]] = []
    names: set[str] = set()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            job = parse_job(number, line, rewrite)
            if job.name in names:
                raise VivaceError(f"Output {job.name!r} is the name of an earlier line's clip; choose another.")
        except VivaceError as error:
            failures.append((number, str(error)))
            print(f"Line {number}: {error}", file=sys.stderr)
        else:
            names.add(job.name)
            jobs.append(job)
    if not jobs and not failures:
        raise VivaceError(
            f'Jobs file {str(path)!r} has no job; write lines such as {{"prompt": "a red ball bounces"}}.'
        )
    return jobs, failures


def parse_job(number: int, line: str, rewrite: Mapping[str, str] = MappingProxyType({})) -> Job:
    """A job from its line of JSON; `rewrite` as for `read_jobs`.

    Raises:
        VivaceError: not an object, an unknown entry, one that is given twice, or a bad value.
    """
    try:
        entries: Any = json.loads(line, object_pairs_hook=_each_once)
    except VivaceError:
        raise
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, dict) or "prompt" not in entries:
        raise VivaceError('It is no JSON object with a prompt; write one such as {"prompt": "a red ball bounces"}.')
    sheet, name = entries.pop("contact_sheet", False), entries.pop("output", None)
    if not isinstance(sheet, bool):
        raise VivaceError(f"contact_sheet {sheet!r} is neither true nor false; give one of them.")
    if not any(name.startswith("rewrite") for name in entries):
        entries |= rewrite
    request = Request.from_json(entries)
    if request.seed is None:
        request = replace(request, seed=number)
    if name is None:
        name = f"{number:05d}-{slug(request.prompt)}-{request.seed}{request.suffix}"
    elif not isinstance(name, str) or Path(name).name != name or Path(name).suffix.lower() != request.suffix:
        raise VivaceError(f"output {name!r} is no file name ending in {request.suffix}; give one without folders.")
    return Job(number, request, name, sheet)


def _each_once(entries: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object of its entries. Raises VivaceError for a name that is there twice, of which json takes the last."""
    found: dict[str, Any] = {}
    for name, value in entries:
        if name in found:
            raise VivaceError(f"Entry {name!r} is given twice; leave all but one out.")
        found[name] = value
    return found


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
