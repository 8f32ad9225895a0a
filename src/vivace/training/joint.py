"""The unit "joint": transformer and text encoder learn picture and sound together by flow matching."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from transformers import ByT5Tokenizer

from vivace.data.latents import Feed, LatentBatch, LatentSource, shared_codecs
from vivace.data.prefetch import Prefetch
from vivace.data.shards import ShardHeader, ShardReader
from vivace.errors import VivaceError
from vivace.models.gaussian_skip import GaussianSkips
from vivace.models.nava import NavaTransformer
from vivace.pair import AV
from vivace.sampling.flow import Times
from vivace.training.fit_skips import fit_skips
from vivace.training.flow_step import TimeSettings, caption_of, draw_noise, draw_times, encode_captions, flow_errors
from vivace.training.loop import LoopSettings, train
from vivace.training.muon import Muon, split_parameters
from vivace.training.run_folder import Begun, unrecorded
from vivace.training.tasks import Dropout, Stream, Task, drop_voices, dropped_texts, exchanges, pick_task, stream
from vivace.training.text_encoder import build_text_encoder
from vivace.training.validate import Sampler, SampleSettings, held_out_losses
from vivace.training.warm_start import start_from

# Muon is for the matrices inside blocks. What meets the outside, and tables that are looked up, stay with AdamW.
ADAMW_NAMES = (
    "video_embedding",
    "place_embedding",
    "audio_embedding",
    "text_embedding",
    "time_embedding",
    "time_projection",
    "speaker_embedding",
    "_head",
    "shared",
    "relative_attention_bias",
)


class Stage(BaseModel):
    """A stretch of training with its own data, tasks and rates."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    steps: int = Field(gt=0)
    sources: tuple[LatentSource, ...] = Field(min_length=1)
    tasks: tuple[Task, ...] = (Task(name="t2av", probability=1.0),)
    dropout: Dropout = Dropout()
    times: TimeSettings = TimeSettings()
    audio_weight: float = Field(default=0.2, ge=0, description="coefficient of the audio loss (NAVA: 0.2)")
    video_weight: float = Field(default=1.0, ge=0, description="coefficient of the video loss")

    @property
    def sorted(self) -> bool:
        """Whether some tasks have sources of their own."""
        return any(source.tasks for source in self.sources)

    @model_validator(mode="after")
    def _tasks_and_sources_meet(self) -> Stage:
        names = [task.name for task in self.tasks]
        if len(set(names)) < len(names):
            raise ValueError(f"stage {self.name!r} has two tasks of one name; rename one")
        unknown = sorted({name for source in self.sources for name in source.tasks} - set(names))
        if unknown:
            raise ValueError(f"a source of stage {self.name!r} is for task {unknown[0]!r}, which the stage lacks")
        for name in names:
            if not any(source.serves(name) for source in self.sources):
                raise ValueError(f"task {name!r} of stage {self.name!r} has no source; add one that serves it")
        return self


class OptimizerSettings(BaseModel):
    """Muon for block matrices, AdamW for the rest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    muon_rate: float = Field(default=1.5e-3, gt=0)
    adamw_rate: float = Field(default=1.5e-3, gt=0)
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = Field(default=0.0, ge=0)


class Validation(BaseModel):
    """Held-out figures, and clips to look at."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    latents: Path
    clips: int = Field(default=64, gt=0)
    batch: int = Field(default=16, gt=0)
    samples: SampleSettings | None = None


class JointRecipe(BaseModel):
    """One training of a NAVA transformer with its text encoder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: Literal["joint"]
    seed: int = Field(default=0, ge=0)
    transformer: dict[str, Any] = Field(description="configuration of NavaTransformer")
    text_encoder: dict[str, Any] = Field(description="configuration of UMT5EncoderModel")
    train_text_encoder: bool = True
    start_from: Path | None = Field(
        default=None,
        description="model folder, or run of this unit, whose transformer and text encoder are taken on; the first may "
        "lack all that only sound uses",
    )
    start_anew: tuple[str, ...] = Field(
        default=(), description="parts of names of the transformer's parameters that `start_from` does not take on"
    )
    start_text_encoder_from: Path | None = Field(
        default=None, description='run of the unit "captions", or model folder, whose text encoder is taken instead'
    )
    balance: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="how far rare directions of the latents count like common ones: errors along each are divided by "
        "its standard deviation to this power; for a transformer with gaussian_skip, which knows them",
    )
    optimizer: OptimizerSettings = OptimizerSettings()
    stages: tuple[Stage, ...] = Field(min_length=1)
    validation: Validation
    loop: LoopSettings

    @model_validator(mode="after")
    def _stages_fill_the_run(self) -> JointRecipe:
        planned = sum(stage.steps for stage in self.stages)
        if planned != self.loop.steps:
            raise ValueError(f"the stages have {planned} steps and loop.steps is {self.loop.steps}; make them equal")
        return self

    @property
    def stage_ends(self) -> list[int]:
        """Steps, counted from the beginning, after which each stage ends."""
        return list(itertools.accumulate(stage.steps for stage in self.stages))

    @model_validator(mode="after")
    def _balance_knows_directions(self) -> JointRecipe:
        if self.balance and not self.transformer.get("gaussian_skip"):
            raise ValueError("balance needs a transformer with gaussian_skip = true; set it or leave balance out")
        return self


def check_sides(stage: Stage) -> None:
    """Raises:
    VivaceError: a source of sound alone serves a task with a picture, or one of pictures alone a task with sound.
    """
    for source in stage.sources:
        metadata = ShardHeader.read(source.folder).metadata
        for alone, made, needed, state in (
            ("sound", ("absent", "generated"), "pictures", "video"),
            ("pictures", ("generated", "absent"), "sound", "audio"),
        ):
            for task in stage.tasks:
                if metadata.get(f"{alone}_alone") and source.serves(task.name) and (task.video, task.audio) != made:
                    raise VivaceError(
                        f"The latents in {str(source.folder)!r} are of {alone} alone, and task {task.name!r} of stage "
                        f"{stage.name!r} needs {needed}; give the source tasks whose {state} is absent."
                    )


@dataclass(frozen=True)
class Prepared:
    """What a micro-step is about, before any weight is used. Shapes as in `flow_errors` and `encode_captions`."""

    stage: Stage
    task: Task
    known: AV[int]
    batch: LatentBatch
    captions: list[str]
    dropped: np.ndarray
    voices: list[Tensor] | None
    exchange: bool
    times: AV[Times]
    noise: AV[Tensor]


class JointObjective:
    """Flow matching over the pair; all of a step is a function of the weights, the seed and the step.

    Raises:
        VivaceError: latents that are missing, of different codecs or without a clip; a `start_from` that does not fit.
    """

    def __init__(self, recipe: JointRecipe, run: Path) -> None:
        self.recipe = recipe
        self.device = recipe.loop.device
        self.feeds = [self._feed(number) for number in range(len(recipe.stages))]
        self.held_out = ShardReader(recipe.validation.latents, "latents")
        if not len(self.held_out):
            raise VivaceError(
                f"Folder {str(recipe.validation.latents)!r} holds no clip, and validation needs one; hold out more of "
                "the footage, or take in more."
            )
        self.codecs = shared_codecs([*(r for feed in self.feeds for r in feed.readers), self.held_out])
        self.tokenizer = ByT5Tokenizer()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(stream(recipe.seed, Stream.INITIAL).integers(2**62)))
            self.transformer: Any = self.build_transformer()
            self.text_encoder = build_text_encoder(recipe.text_encoder)
        if recipe.start_from is not None:
            for name, module in self.modules().items():
                start_from(recipe.start_from, name, module, recipe.start_anew if name == "transformer" else ())
        if recipe.start_text_encoder_from is not None:
            start_from(recipe.start_text_encoder_from, "text_encoder", self.text_encoder)
        skips: GaussianSkips | None = getattr(self.transformer, "skips", None)
        if skips is not None:
            fit_skips(skips, [reader for feed in self.feeds for reader in feed.readers])
        self.text_encoder.requires_grad_(recipe.train_text_encoder)
        self.prepared = Prefetch(self.prepare, recipe.loop.steps * recipe.loop.accumulate)
        samples = recipe.validation.samples
        self.sampler = None if samples is None else Sampler(samples, self.codecs, run, self.device)

    def _feed(self, number: int) -> Feed:
        """Batches of a stage, whose first micro-step counts all those before it."""
        stage, accumulate = self.recipe.stages[number], self.recipe.loop.accumulate
        first = accumulate * sum(earlier.steps for earlier in self.recipe.stages[:number])
        seed, steps = self.recipe.seed, stage.steps * accumulate if stage.sorted else 0
        names = [pick_task(stage.tasks, seed, first + step).name for step in range(steps)]
        feed = Feed(stage.sources, names, seed + number)
        check_sides(stage)
        return feed

    def build_transformer(self) -> nn.Module:
        return NavaTransformer(**self.recipe.transformer)

    def modules(self) -> dict[str, nn.Module]:
        return {"transformer": self.transformer, "text_encoder": self.text_encoder}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        named = [pair for module in self.modules().values() for pair in module.named_parameters()]
        matrices, rest = split_parameters(named, ADAMW_NAMES)
        settings = self.recipe.optimizer
        return {
            "muon": Muon(
                matrices, lr=settings.muon_rate, weight_decay=settings.weight_decay, dtype=self.recipe.loop.dtype
            ),
            "adamw": torch.optim.AdamW(
                rest, lr=settings.adamw_rate, betas=settings.betas, weight_decay=settings.weight_decay
            ),
        }

    def stage_at(self, step: int) -> tuple[int, int]:
        """Number of the stage of a micro-step, and the micro-step counted from the stage's beginning."""
        for number, stage in enumerate(self.recipe.stages):
            length = stage.steps * self.recipe.loop.accumulate
            if step < length:
                return number, step
            step -= length
        raise IndexError("the step lies after the last stage")

    def prepare(self, step: int) -> Prepared:
        """Everything of a micro-step that needs no weights."""
        seed = self.recipe.seed
        number, local = self.stage_at(step)
        stage = self.recipe.stages[number]
        batch = self.feeds[number].batch(local)
        task = pick_task(stage.tasks, seed, step)
        beginnings, timbre = stream(seed, Stream.BEGINNING, step), stage.dropout.timbre if task.voices else 1.0
        return Prepared(
            stage=stage,
            task=task,
            known=task.known(batch.latents, batch.rows[0]["fps"], beginnings),
            batch=batch,
            captions=[caption_of(row, stream(seed, Stream.CAPTION, step, k)) for k, row in enumerate(batch.rows)],
            dropped=dropped_texts(len(batch.rows), stage.dropout.text, seed, step),
            voices=None if batch.voices is None else drop_voices(batch.voices, timbre, seed, step),
            exchange=exchanges(stage.dropout.exchange, seed, step) if task.joint else True,
            times=draw_times(stage.times, len(batch.rows), seed, step, both=task.makes_both),
            noise=draw_noise(batch.latents, seed, step),
        )

    def loss(self, step: int) -> dict[str, Tensor]:
        """The weighted sum as "loss", and each modality's mean squared velocity error, balanced but else unweighted."""
        ready = self.prepared(step)
        clean, noise = (pair.map(lambda x: x.to(self.device)) for pair in (ready.batch.latents, ready.noise))
        context = self.context(ready, step)
        errors = flow_errors(
            self.transformer, clean, noise, ready.times, ready.known, context, ready.exchange, self.recipe.balance
        )
        coefficients = AV(ready.stage.video_weight, ready.stage.audio_weight)
        terms = errors.map(lambda error, t, c: c * (error * t.weights.to(error)).mean(), ready.times, coefficients)
        parts: dict[str, Tensor] = {modality: error.mean() for modality, error in errors.items()}
        return {"loss": torch.stack([term for _, term in terms.items()]).sum(), **parts}

    def context(self, ready: Prepared, step: int) -> Any:
        """What the transformer reads at a micro-step."""
        return encode_captions(
            self.transformer, self.text_encoder, self.tokenizer, ready.captions, ready.dropped, ready.voices
        )

    def validate(self, step: int) -> dict[str, float]:
        """Held-out losses; where the recipe asks for samples, also clips in the run's folder and their sync figures."""
        figures = held_out_losses(
            self.transformer,
            self.text_encoder,
            self.tokenizer,
            self.held_out,
            clips=self.recipe.validation.clips,
            batch=self.recipe.validation.batch,
            device=self.device,
            tasks=[task for stage in self.recipe.stages for task in stage.tasks],
        )
        if self.sampler is not None:
            figures |= self.sampler.sample(self.transformer, self.text_encoder, self.tokenizer, step)
        return figures


def run_joint(recipe: JointRecipe, run: Path, begun: Begun = unrecorded) -> dict[str, float]:
    """Train, or go on training. Returns the last held-out figures."""
    return train(JointObjective(recipe, run), recipe.loop, run, begun, recipe.stage_ends)
