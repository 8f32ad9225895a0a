"""From a request to a clip on disk, with progress; shared by generate, rerun and batch."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vivace.cli.given import all_given
from vivace.cli.options import Request, check_output, slug
from vivace.cli.outputs import Outputs, mark_of, write_sheet
from vivace.cli.rewriting import Rewriters
from vivace.errors import VivaceError

if TYPE_CHECKING:
    from vivace.cli.devices import Crew
    from vivace.cli.files import GivenLora
    from vivace.conditioning.rewriting import Rewriting
    from vivace.media import Clip
    from vivace.pipelines.clip_pipeline import ClipOutput, ClipPipeline
    from vivace.pipelines.clip_plan import ClipPlan
    from vivace.pipelines.memory import Placement


@dataclass(frozen=True)
class Made:
    """A clip that was written."""

    path: Path
    record: dict[str, Any]
    contact_sheet: Path | None
    notes: list[str]


class Models:
    """Loads each model once, and places it as its memory plan says.

    Args:
        memory: "auto", a size such as "8GB", or the name of a plan.
        many: for many clips, so that a rewriter is kept for the next one.
        compiled: compile the transformer's blocks.
        crew: the processes over which the work is spread.
    """

    def __init__(
        self,
        allow_download: bool = False,
        memory: str = "auto",
        many: bool = False,
        compiled: bool = False,
        crew: Crew | None = None,
    ) -> None:
        from vivace.cli.memory import parse_memory

        self.allow_download = allow_download
        self.memory = parse_memory(memory)
        self.rewriters = Rewriters(keep=many)
        self.compiled = compiled
        self.crew = crew
        self._loaded: dict[tuple[Any, ...], tuple[ClipPipeline, str]] = {}
        self._hashes: dict[Path, str] = {}

    def load(self, name: str) -> tuple[ClipPipeline, str]:
        """The pipeline of a model, all of it where it computes, and the hash of its folder.

        Raises:
            VivaceError: an unknown, incomplete, damaged or foreign model.
        """
        if (name,) not in self._loaded:
            self._loaded[name,] = self._load(name)
        return self._loaded[name,]

    def load_for(self, request: Request, given: dict[str, Any]) -> tuple[ClipPipeline, str, list[str]]:
        """The pipeline with the adapters of a request, placed by a memory plan that suits it; and what should be told.

        A model that takes a small part of the memory is loaded without a plan.

        Raises:
            VivaceError: as `load`, or a clip that fits into no memory that may be used.
        """
        from vivace.cli.memory import placement_for
        from vivace.pipelines.folder import find_model

        folder = find_model(request.model, allow_download=self.allow_download)
        placement = placement_for(folder, request, given, self.memory)
        if self.crew is not None:
            self.crew.told((request, given, placement))
        return self.load_placed(request, placement)

    def load_placed(self, request: Request, placement: Placement | None) -> tuple[ClipPipeline, str, list[str]]:
        """As `load_for`, by a plan that is made already."""
        if placement is None:
            pipeline, model_hash = self.load(request.model)
            return pipeline, model_hash, self.adapt(pipeline, request.loras)
        if self.compiled and placement.strategy in ("grouped", "fp8"):
            raise VivaceError(
                f"Memory plan {placement.strategy!r} moves or casts weights, which compiled blocks cannot follow; "
                "leave --compile out."
            )
        key = (request.model, placement, request.loras)
        if key not in self._loaded:
            self._loaded.clear()  # two models of a size that needs a plan are too much
            pipeline, model_hash = self._load(request.model, whole=False)
            self.adapt(pipeline, request.loras)
            pipeline.place(placement)
            self._loaded[key] = pipeline, model_hash
        notes = [] if placement.strategy == "resident" and placement.exact else [f"Memory: {placement.sentence()}."]
        return *self._loaded[key], notes

    def rewrite(self, request: Request, given: dict[str, Any]) -> Rewriting | None:
        """What becomes of a request's prompt, before the model that reads it takes memory; None: it stays.

        Args:
            given: what is in the request's files.

        Raises:
            VivaceError: an unknown model, or as `Rewriters.rewrite`.
        """
        return None if request.rewrite is None else self.rewriters.rewrite(request, self.folder(request), given)

    def folder(self, request: Request) -> Path:
        """Of a request's model.

        Raises:
            VivaceError: an unknown, incomplete or foreign model.
        """
        from vivace.pipelines.folder import find_model

        return find_model(request.model, allow_download=self.allow_download)

    def hash_of(self, folder: Path) -> str:
        """Of a model's folder, computed once."""
        from vivace.pipelines.folder import folder_hash

        if folder not in self._hashes:
            self._hashes[folder] = folder_hash(folder)
        return self._hashes[folder]

    def adapt(self, pipeline: ClipPipeline, loras: Sequence[GivenLora]) -> list[str]:
        """Bring a pipeline's adapters to exactly these; returns what should be told of them.

        Raises:
            VivaceError: a file that has changed since it was named, or that does not fit the model.
        """
        pipeline.unload_lora_weights()
        notes: list[str] = []
        for lora in loras:
            notes += pipeline.load_lora_weights(lora.check(), scale=lora.scale).notes()
        return notes

    def _load(self, name: str, whole: bool = True) -> tuple[ClipPipeline, str]:
        from vivace.pipelines.folder import find_model, read_index

        folder = find_model(name, allow_download=self.allow_download)
        kind = read_index(folder)["_class_name"]
        if self.crew is not None and kind != "NavaPipeline":
            raise VivaceError(f"Model {name!r} is for {kind}, which runs on one device; leave --devices out.")
        import torch

        import vivace

        quiet_libraries()
        pipelines: type[ClipPipeline] = getattr(vivace, kind)
        if whole:
            pipeline = pipelines.from_pretrained(folder)
        else:
            from vivace.pipelines.parts import parts_in
            from vivace.pipelines.planning import compute_dtype, device_here

            pipeline = pipelines.from_pretrained(folder, dtype=compute_dtype(parts_in(folder), device_here()))
        pipeline.set_progress_bar_config(disable=True)
        if whole and torch.cuda.is_available():
            pipeline.to("cuda")
        if self.crew is not None:
            from vivace.pipelines.nava import NavaPipeline
            from vivace.pipelines.parallel import spread

            assert isinstance(pipeline, NavaPipeline)
            spread(pipeline, self.crew.context, self.crew.branches)
        if self.compiled:
            pipeline.compile_blocks()
        return pipeline, self.hash_of(folder)


def quiet_libraries() -> None:
    """No bars and warnings of diffusers and transformers between our own lines."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    diffusers_logging.disable_progress_bar()
    diffusers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()


def make_clip(
    models: Models,
    request: Request,
    output: Path | None,
    *,
    folder: Path = Path(),
    contact_sheet: bool = False,
    progress: bool = True,
    rewriting: Rewriting | None = None,
) -> Made:
    """Generate one clip and write it with its record.

    Args:
        output: the file, or None for a name of prompt and seed in `folder`.
        progress: show a bar on standard error when that is a terminal.
        rewriting: what became of the prompt before, so that it is not rewritten again.

    Raises:
        VivaceError: a request that cannot be fulfilled or a path that cannot be written.
    """
    from vivace.cli.record import as_metadata, of_request, write_record
    from vivace.media import contact_sheet as sheet_of
    from vivace.media import write_clip

    start = time.perf_counter()
    request = request if request.seed is not None else replace(request, seed=secrets.randbelow(2**32))
    wanted = output or folder / f"{slug(request.prompt)}-{request.seed}{request.suffix}"
    check_output(wanted, request, contact_sheet)
    given, voice_notes = all_given(request, lambda: models.folder(request))
    rewriting = rewriting or models.rewrite(request, given)
    read = request if rewriting is None else replace(request, prompt=rewriting.prompt)
    pipeline, model_hash, load_notes = models.load_for(read, given)
    plan = pipeline.plan(**read.plan_arguments(), **given)
    loaded = time.perf_counter()
    with step_bar(pipeline.steps_of(plan), progress) as advance:
        out = _run(pipeline, plan, advance)
    clip = _clip_of(out)
    record = _record(request, rewriting, model_hash, pipeline, plan, out, clip, loaded - start)
    outputs, name_notes = Outputs(wanted, contact_sheet).free(lambda path: of_request(path, request))
    with outputs.written() as staged:
        write_clip(staged.clip, clip, as_metadata(record))
        write_record(staged.record, record)
        if staged.sheet is not None:
            sheet = sheet_of(clip.frames, clip.fps, clip.audio, clip.sample_rate, title=request.prompt)
            write_sheet(staged.sheet, sheet, mark_of(request.to_json()))
    notes = [*(rewriting.notes() if rewriting else ()), *plan.arranged.notes, *load_notes, *voice_notes]
    notes += pipeline.abilities.notes(
        read.prompt,
        plan.width,
        plan.height,
        float(plan.timeline.seconds),
        plan.video,
        shown=float(plan.arranged.shown),
        later=float(plan.arranged.later),
    )
    if request.only == "audio" and request.size is not None:
        notes.append(f"Sound alone has no pictures, so size {plan.width}x{plan.height} has no effect.")
    if any(voice is not None for voice in request.voices) and (request.only == "video" or request.audio is not None):
        why = "the clip has none" if request.only == "video" else "the sound is given"
        notes.append(f"No sound is made, since {why}: the voice is not heard and shapes the pictures alone.")
    return Made(outputs.clip, record, outputs.sheet, [*notes, *name_notes])


def _clip_of(out: ClipOutput) -> Clip:
    """The first clip of an output, as it is written."""
    import numpy as np

    from vivace.media import Clip, peak_limited

    frames = None if out.frames is None else np.asarray(out.frames[0])
    audio = None if out.audio is None else peak_limited(np.asarray(out.audio[0]))
    return Clip(frames, out.fps, audio, out.audio_sample_rate)


def _record(
    request: Request,
    rewriting: Rewriting | None,
    model_hash: str,
    pipeline: ClipPipeline,
    plan: ClipPlan,
    out: ClipOutput,
    clip: Clip,
    load_seconds: float,
) -> dict[str, Any]:
    """Everything needed to make a clip again, and how it was made."""
    from vivace.cli.record import FORMAT, versions

    return {
        "format": FORMAT,
        "request": request.to_json(),
        **({} if rewriting is None else {"rewriting": rewriting.to_json()}),
        "model_hash": model_hash,
        "latents_sha256": latents_hash(out),
        "settings": {
            "width": plan.width if plan.video else None,
            "height": plan.height if plan.video else None,
            "frames": None if clip.frames is None else len(clip.frames),
            "fps": str(clip.fps),
            "seconds": float(clip.seconds),
            "sample_rate": out.audio_sample_rate if plan.audio else None,
            "negative": plan.negative,
            "branches": [branch.name for branch in plan.rule.needed()],
            **plan.preset.model_dump(mode="json", exclude={"negative_video", "negative_audio"}),
        },
        "versions": versions(),
        "device": str(pipeline.device),
        "memory": None if pipeline.placement is None else dataclasses.asdict(pipeline.placement),
        "devices": None if pipeline.devices is None else pipeline.devices.counts(),
        "compiled": pipeline.compiled,
        "timings": {"load": load_seconds, **out.seconds_spent},
    }


def follow(models: Models) -> None:
    """Take part in making the clip that the crew's leader writes (`make_clip` there).

    Raises:
        typer.Exit: a request that cannot be fulfilled, of which the leader tells.
    """
    import typer

    assert models.crew is not None
    request, given, placement = models.crew.told()
    try:
        pipeline, _, _ = models.load_placed(request, placement)
        plan = pipeline.plan(**request.plan_arguments(), **given)
    except VivaceError:
        raise typer.Exit(2) from None
    pipeline.run(plan, output_type="latent")


def _run(pipeline: ClipPipeline, plan: ClipPlan, advance: Callable[[], None]) -> ClipOutput:
    """The clips of a plan; `advance` is called after each step.

    Raises:
        VivaceError: they need more memory than there is.
    """

    def on_step(*_: Any) -> None:
        advance()

    try:
        return pipeline.run(plan, callback_on_step_end=on_step)
    except (MemoryError, RuntimeError) as error:
        # torch has no class of its own for a failed allocation on the CPU.
        if isinstance(error, MemoryError) or "out of memory" in str(error) or "allocate memory" in str(error):
            raise VivaceError("Memory ran out while generating; ask for a smaller size or fewer seconds.") from None
        raise


def latents_hash(out: ClipOutput) -> str:
    """SHA-256 of the sampled latents' bytes: equal for clips that are the same before any file format."""
    digest = hashlib.sha256()
    for modality, latents in out.latents.items():
        digest.update(modality.encode())
        digest.update(latents.float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@contextlib.contextmanager
def step_bar(steps: int, wanted: bool) -> Iterator[Callable[[], None]]:
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
