"""What training is judged by while it runs: held-out flow losses, and clips made from the weights of the moment."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, SchedulerMixin, UniPCMultistepScheduler
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from transformers import ByT5Tokenizer

from vivace.data.latents import LatentBatch, ordered_batches
from vivace.data.shards import ShardReader
from vivace.media import Clip, contact_sheet, write_clip, write_png
from vivace.models.alive import AliveTransformer
from vivace.models.alive_context import AliveContext
from vivace.models.nava import NavaTransformer
from vivace.models.nava_context import NavaContext
from vivace.pair import AV
from vivace.pipelines.alive import AlivePipeline
from vivace.pipelines.clip_pipeline import ClipPipeline
from vivace.pipelines.nava import NavaPipeline
from vivace.sampling.flow import Times
from vivace.sampling.mutual_presets import MutualPreset
from vivace.sampling.presets import Preset, Scale, Steps
from vivace.training.codec_files import check_codecs, load_codecs, load_vocoder
from vivace.training.flow_step import caption_of, draw_noise, encode_captions, flow_errors, with_conditions
from vivace.training.tasks import Stream, Task, stream
from vivace.world import caption_with_attributes, sample_scene

# Levels at which held-out losses are taken; low ones tell of detail, high ones of what the text decides.
LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
# Pure noise, of which every clip is made: what the text alone tells. Apart from the mean, which it would rule.
BEGINNING = 1.0
# The tasks' own losses are there to compare and to watch, and two levels tell as much in less time.
TASK_LEVELS = (0.3, 0.7)
# Held-out figures of all runs are comparable because their captions and noise come from this seed, not from the run's.
SEED = 20_26
JOINT_STATES = ("generated", "generated", True)
T = TypeVar("T")


@torch.no_grad()
def held_out_losses(
    transformer: NavaTransformer | AliveTransformer,
    text_encoder: nn.Module,
    tokenizer: ByT5Tokenizer,
    reader: ShardReader,
    *,
    clips: int = 64,
    batch: int = 16,
    device: str = "cpu",
    tasks: Sequence[Task] = (),
) -> dict[str, float]:
    """Mean squared velocity error per modality, at fixed levels, noise and captions.

    Returns:
        "video" and "audio" (means over `LEVELS`), "video@0.1", "audio@0.1", … for each of these, and "video@1.0",
        "audio@1.0" of pure noise, all with both sides generated; "another_caption/video@1.0" and
        "another_caption/audio@1.0" with each clip told what the next one is: a model for which that is no worse does
        not read; for each of `tasks` that is another, "NAME/video" and "NAME/audio" of what it generates.
    """
    sums: dict[str, list[float]] = {}

    def add(errors: AV[Tensor], *names: str) -> None:
        for modality, error in errors.items():
            for name in names:
                sums.setdefault(name.format(modality), []).extend(error.tolist())

    def told(texts: Sequence[str], voices: Sequence[Tensor] | None) -> NavaContext | AliveContext:
        return encode_captions(transformer, text_encoder, tokenizer, texts, [False] * len(texts), voices)

    others = {task.name: task for task in tasks if (task.video, task.audio, task.voices) != JOINT_STATES}
    for number, group in enumerate(ordered_batches(reader, clips, batch)):
        moved = group.to(device)
        captions = [caption_of(row, stream(SEED, Stream.CAPTION, number, k)) for k, row in enumerate(moved.rows)]
        context = mute = told(captions, moved.voices)
        if moved.voices is not None and any(not task.voices for task in others.values()):
            mute = told(captions, [torch.zeros_like(voice) for voice in moved.voices])
        # Of the next clip, the last one's of the first.
        swapped = told(_next(captions), None if moved.voices is None else _next(moved.voices))
        for place, level in enumerate((*LEVELS, BEGINNING)):
            noise = draw_noise(moved.latents, SEED, number, place)
            at_level = partial(_errors, transformer, moved, level, noise)
            if level in LEVELS:
                add(at_level(AV(0, 0), context), "{}", f"{{}}@{level}")
            else:
                add(at_level(AV(0, 0), context), f"{{}}@{level}")
                add(at_level(AV(0, 0), swapped), f"another_caption/{{}}@{level}")
            for task in others.values() if level in TASK_LEVELS else ():
                known = task.known(moved.latents, moved.rows[0]["fps"], stream(SEED, Stream.BEGINNING, number))
                add(at_level(known, context if task.voices else mute), f"{task.name}/{{}}")
    return {key: float(np.mean(values)) for key, values in sums.items()}


def _errors(
    transformer: NavaTransformer | AliveTransformer,
    batch: LatentBatch,
    level: float,
    noise: AV[Tensor],
    known: AV[int],
    context: NavaContext | AliveContext,
) -> AV[Tensor]:
    sigmas = torch.full((len(batch.rows),), level)
    times = AV.of(Times(sigmas, sigmas * 1000, torch.ones_like(sigmas)))
    seen = with_conditions(context, batch.latents, known, batch.rows[0])
    return flow_errors(transformer, batch.latents, noise, times, known, seen, exchange=True)


def _next(items: Sequence[T]) -> list[T]:
    return [*items[1:], items[0]]


class SampleSettings(BaseModel):
    """Clips to make from held-out prompts at every validation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    vae: Path
    audio_vae: Path
    vocoder: Path
    prompts: int = Field(default=8, gt=0)
    first_scene: int = Field(default=0, ge=0, description="world seed of the first prompt, split val")
    seconds: float = Field(default=2.0, gt=0)
    height: int = Field(default=128, ge=16)
    width: int = Field(default=128, ge=16)
    batch: int = Field(default=4, gt=0)
    preset: Preset = Preset(steps=20, solver="euler", shift=3.0, text=Scale(video=2.0, audio=2.0))


class AliveSampleSettings(SampleSettings):
    """The same, sampled as Alive is."""

    preset: MutualPreset = MutualPreset(  # type: ignore[assignment]
        steps=20, solver="euler", shift=3.0, text=Scale(video=2.0, audio=2.0), mutual=Scale(video=1.5, audio=1.5)
    )


class Sampler:
    """Makes the same prompts with the same seeds each time, so that progress can be seen and heard.

    Raises:
        VivaceError: codecs that are missing, or others than those of the latents.
    """

    def __init__(self, settings: SampleSettings, codecs: dict[str, str], run: Path, device: str = "cpu") -> None:
        self.settings = settings
        self.run = run
        self.vae, self.audio_vae = load_codecs(settings.vae, settings.audio_vae, device)
        check_codecs({"vae": self.vae, "audio_vae": self.audio_vae}, codecs)
        self.vocoder = load_vocoder(settings.vocoder).to(device)
        self.prompts: list[str] = []
        self.expected: list[dict[str, Any]] = []
        for seed in range(settings.first_scene, settings.first_scene + settings.prompts):
            scene = sample_scene(seed, "val", seconds=settings.seconds)
            text, attributes = caption_with_attributes(scene, stream(SEED, Stream.CAPTION, seed))
            self.prompts.append(text)
            self.expected.append(attributes)

    def sample(
        self,
        transformer: NavaTransformer | AliveTransformer,
        text_encoder: nn.Module,
        tokenizer: ByT5Tokenizer,
        step: int,
    ) -> dict[str, float]:
        """Write clips and contact sheets to `run/samples/step-XXXXXXXX`; returns their scores."""
        from vivace.evaluation.world import score_clips  # the detectors load slowly, and most runs ask for no samples

        settings = self.settings
        kind: Any = AlivePipeline if isinstance(transformer, AliveTransformer) else NavaPipeline
        pipeline: ClipPipeline = kind(
            transformer=transformer,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            vae=self.vae,
            audio_vae=self.audio_vae,
            vocoder=self.vocoder,
            scheduler=scheduler_of(settings.preset),
            capabilities={
                "width": settings.width,
                "height": settings.height,
                "smallest_side": 16,
                "longest_seconds": settings.seconds,
                "presets": {"validation": settings.preset.model_dump()},
                "preset": "validation",
            },
        )
        pipeline.set_progress_bar_config(disable=True)
        clips = self._clips(pipeline)
        folder = self.run / "samples" / f"step-{step:08d}"
        for number, (clip, prompt) in enumerate(zip(clips, self.prompts, strict=True)):
            write_clip(folder / f"{number:02d}.mp4", clip, {"prompt": prompt})
            sheet = contact_sheet(clip.frames, clip.fps, clip.audio, clip.sample_rate, title=prompt)
            write_png(folder / f"{number:02d}.png", sheet)
        results = score_clips(clips, self.expected)
        return {name: float(result.value) for name, result in results.items() if result.value is not None}

    def _clips(self, pipeline: ClipPipeline) -> list[Clip]:
        batch, clips = self.settings.batch, []
        for start in range(0, len(self.prompts), batch):
            prompts = self.prompts[start : start + batch]
            made = pipeline(prompts, seconds=self.settings.seconds, seed=list(range(start, start + len(prompts))))
            pairs = zip(np.asarray(made.frames), np.asarray(made.audio), strict=True)
            clips += [Clip(frames, made.fps, audio, made.audio_sample_rate) for frames, audio in pairs]
        return clips


def scheduler_of(preset: Steps) -> SchedulerMixin:
    """diffusers' object that says the same as a preset's solver and shift, for the scheduler folder."""
    if preset.solver == "unipc":
        return UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=preset.shift)
    return FlowMatchEulerDiscreteScheduler(shift=preset.shift)
