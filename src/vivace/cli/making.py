"""From a request to a clip on disk, with progress; shared by generate, rerun and batch."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vivace.cli.options import Request, check_output, slug
from vivace.errors import VivaceError

if TYPE_CHECKING:
    from vivace.pipelines.nava import NavaPipeline, NavaPipelineOutput


@dataclass(frozen=True)
class Made:
    """A clip that was written."""

    path: Path
    record: dict[str, Any]
    contact_sheet: Path | None
    notes: list[str]


class Models:
    """Loads each model once."""

    def __init__(self, allow_download: bool = False) -> None:
        self.allow_download = allow_download
        self._loaded: dict[str, tuple[NavaPipeline, str]] = {}

    def load(self, name: str) -> tuple[NavaPipeline, str]:
        """The pipeline of a model and the hash of its folder.

        Raises:
            VivaceError: an unknown, incomplete, damaged or foreign model.
        """
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def _load(self, name: str) -> tuple[NavaPipeline, str]:
        from vivace.pipelines.folder import find_model, folder_hash

        folder = find_model(name, allow_download=self.allow_download)
        # Read by the OpenMP runtime when torch starts. Threads that wait by spinning make a busy machine many times
        # slower: two threads on two cores beside another job took 70 s where one took 0.8 s.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        import torch
        from diffusers.utils import logging as diffusers_logging
        from transformers.utils import logging as transformers_logging

        diffusers_logging.disable_progress_bar()
        diffusers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
        transformers_logging.set_verbosity_error()
        from vivace.pipelines.nava import NavaPipeline

        pipeline = NavaPipeline.from_pretrained(folder)
        pipeline.set_progress_bar_config(disable=True)
        if torch.cuda.is_available():
            pipeline.to("cuda")
        return pipeline, folder_hash(folder)


def make_clip(
    models: Models,
    request: Request,
    output: Path | None,
    *,
    folder: Path = Path(),
    contact_sheet: bool = False,
    progress: bool = True,
) -> Made:
    """Generate one clip and write it with its record.

    Args:
        output: the file, or None for a name of prompt and seed in `folder`.
        progress: show a bar on standard error when that is a terminal.

    Raises:
        VivaceError: a request that cannot be fulfilled or a path that cannot be written.
    """
    import numpy as np

    from vivace.cli.record import FORMAT, as_metadata, free_path, versions, write_record
    from vivace.media import Clip, peak_limited, write_clip, write_png
    from vivace.media import contact_sheet as draw_sheet

    start = time.perf_counter()
    request = request if request.seed is not None else replace(request, seed=secrets.randbelow(2**32))
    wanted = output or folder / f"{slug(request.prompt)}-{request.seed}{request.suffix}"
    check_output(wanted, request)
    pipeline, model_hash = models.load(request.model)
    plan = pipeline.plan(**request.plan_arguments())
    loaded = time.perf_counter()
    with _bar(plan.preset.steps, progress) as advance:

        def on_step(*_: Any) -> None:
            advance()

        out = _run(pipeline, request, on_step)
    path = free_path(wanted, request)
    frames = None if out.frames is None else np.asarray(out.frames[0])
    audio = None if out.audio is None else peak_limited(np.asarray(out.audio[0]))
    clip = Clip(frames, out.fps, audio, out.audio_sample_rate)
    timeline, preset = out.timeline, plan.preset
    record = {
        "format": FORMAT,
        "request": request.to_json(),
        "model_hash": model_hash,
        "latents_sha256": latents_hash(out),
        "settings": {
            "width": plan.width if plan.video else None,
            "height": plan.height if plan.video else None,
            "frames": timeline.frames if plan.video else None,
            "fps": str(timeline.fps),
            "seconds": float(timeline.seconds),
            "sample_rate": out.audio_sample_rate if plan.audio else None,
            "negative": plan.negative,
            "branches": [branch.name for branch in plan.rule.needed()],
            **preset.model_dump(mode="json", exclude={"negative_video", "negative_audio"}),
        },
        "versions": versions(),
        "device": str(pipeline.device),
        "timings": {"load": loaded - start, **out.seconds_spent},
    }
    write_clip(path, clip, as_metadata(record))
    write_record(path, record)
    sheet = None
    if contact_sheet:
        sheet = path.with_suffix(".png")
        write_png(sheet, draw_sheet(frames, out.fps, audio, out.audio_sample_rate, title=request.prompt))
    notes = pipeline.abilities.notes(request.prompt, plan.width, plan.height, float(timeline.seconds), plan.video)
    if path != wanted:
        notes.append(f"{wanted} holds another clip, so this one is {path.name}.")
    return Made(path, record, sheet, notes)


def _run(pipeline: NavaPipeline, request: Request, on_step: Callable[..., None]) -> NavaPipelineOutput:
    try:
        return pipeline(callback_on_step_end=on_step, **request.plan_arguments())
    except (MemoryError, RuntimeError) as error:
        # torch has no class of its own for a failed allocation on the CPU.
        if isinstance(error, MemoryError) or "out of memory" in str(error) or "allocate memory" in str(error):
            raise VivaceError("Memory ran out while generating; ask for a smaller size or fewer seconds.") from None
        raise


def latents_hash(out: NavaPipelineOutput) -> str:
    """SHA-256 of the sampled latents' bytes: equal for clips that are the same before any file format."""
    digest = hashlib.sha256()
    for modality, latents in out.latents.items():
        digest.update(modality.encode())
        digest.update(latents.float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@contextlib.contextmanager
def _bar(steps: int, wanted: bool) -> Iterator[Callable[[], None]]:
    """A progress bar with the time left on standard error, only where a person watches."""
    if not (wanted and sys.stderr.isatty()):
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("generating", total=steps)
        yield lambda: bar.advance(task)
