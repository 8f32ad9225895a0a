"""The unit "alive": Alive's towers learn one after the other, then together, each at a rate of its own.

Alive's report trains the video tower first, the audio tower by itself, then both with the exchange; in fine-tuning the
audio tower at a tenth of the video tower's rate, so that it keeps what it learned alone. Each of these is a run of this
unit that starts from the one before (`start_from`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn

from vivace.models.alive import AliveTransformer
from vivace.models.alive_context import AliveContext
from vivace.training.flow_step import encode_captions, with_conditions, with_references
from vivace.training.joint import JointObjective, JointRecipe, OptimizerSettings, Prepared, Stage, Validation
from vivace.training.loop import train
from vivace.training.muon import Muon, split_parameters
from vivace.training.run_folder import Begun, unrecorded
from vivace.training.tasks import Dropout, dropped_pairs, dropped_speech, shown_references
from vivace.training.validate import AliveSampleSettings

PARTS = ("video", "audio", "exchange")
# Muon is for the matrices inside blocks. What meets the outside, and tables that are looked up, stay with AdamW.
ADAMW_NAMES = ("embedding", ".head.", "positions", "shared", "relative_attention_bias")


class PartRates(BaseModel):
    """Of each part of the transformer, its share of the learning rates; 0 freezes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    video: float = Field(default=1.0, ge=0)
    audio: float = Field(default=1.0, ge=0)
    exchange: float = Field(default=1.0, ge=0)


class AliveOptimizer(OptimizerSettings):
    """Muon and AdamW, with a share of their rates for each part."""

    rates: PartRates = PartRates()


class AliveDropout(Dropout):
    """How often conditions are withheld."""

    exchange: float = Field(default=0.3, ge=0, lt=1, description="per batch: no attention between the towers")
    speech: float = Field(default=0.1, ge=0, lt=1, description="per sample: what is said is in the description only")
    references: float = Field(default=0.1, ge=0, lt=1, description="per sample: no references, where it has some")
    text_and_references: float = Field(default=0.05, ge=0, lt=1, description="per sample with references: neither")


class AliveStage(Stage):
    """A stretch of training with its own data, tasks and dropout."""

    dropout: AliveDropout = AliveDropout()
    audio_weight: float = Field(default=1.0, ge=0, description="coefficient of the audio loss")


class AliveValidation(Validation):
    """Held-out figures, and clips to look at."""

    samples: AliveSampleSettings | None = None


class AliveRecipe(JointRecipe):
    """One training of an Alive transformer with its text encoder."""

    unit: Literal["alive"]  # type: ignore[assignment]
    transformer: dict[str, Any] = Field(description="configuration of AliveTransformer")
    optimizer: AliveOptimizer = AliveOptimizer()
    stages: tuple[AliveStage, ...] = Field(min_length=1)
    validation: AliveValidation

    @model_validator(mode="after")
    def _can_be_run(self) -> AliveRecipe:
        rates = self.optimizer.rates
        if not self.train_text_encoder and not any(getattr(rates, part) for part in PARTS):
            raise ValueError("every part is frozen, so that nothing is trained; give one of optimizer.rates above 0")
        stages = () if self.train_text_encoder else self.stages
        for stage in stages:
            for task in stage.tasks:
                unread = stage.dropout.exchange > 0 or "absent" in (task.video, task.audio)
                learning = [s for s in ("video", "audio") if getattr(task, s) not in ("given", "absent")]
                if unread and not any(getattr(rates, side) for side in learning):
                    raise ValueError(
                        f"task {task.name!r} of stage {stage.name!r} trains nothing where no side reads the other, for "
                        f"optimizer.rates of {' and '.join(learning)} are 0; raise one, or set dropout.exchange to 0 "
                        "and take out tasks with one side absent"
                    )
        return self


class AliveObjective(JointObjective):
    """Flow matching over the pair, by Alive's transformer.

    Raises:
        VivaceError: as `JointObjective`.
    """

    recipe: AliveRecipe

    def __init__(self, recipe: AliveRecipe, run: Path) -> None:
        super().__init__(recipe, run)
        for part in PARTS:
            getattr(self.transformer, part).requires_grad_(getattr(recipe.optimizer.rates, part) > 0)

    def build_transformer(self) -> nn.Module:
        return AliveTransformer(**self.recipe.transformer)

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Muon and AdamW with a group for every part that is trained."""
        settings = self.recipe.optimizer
        groups: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])
        modules = {part: getattr(self.transformer, part) for part in PARTS} | {"text_encoder": self.text_encoder}
        for part, module in modules.items():
            share = getattr(settings.rates, part, 1.0)
            # With the part's name before them, heads are told from what only contains the word.
            named = [(f"{part}.{name}", parameter) for name, parameter in module.named_parameters()]
            for group, parameters, rate in zip(
                groups, split_parameters(named, ADAMW_NAMES), (settings.muon_rate, settings.adamw_rate), strict=True
            ):
                if parameters:
                    group.append({"params": parameters, "lr": share * rate})
        decay = settings.weight_decay
        return {
            "muon": Muon(groups[0], weight_decay=decay, dtype=self.recipe.loop.dtype),
            "adamw": torch.optim.AdamW(groups[1], betas=settings.betas, weight_decay=decay),
        }

    def context(self, ready: Prepared, step: int) -> AliveContext:
        """The context of a batch, with the clips' times, what of their pictures is known, and their references."""
        assert isinstance(ready.stage, AliveStage)
        dropout, seed, pictures = ready.stage.dropout, self.recipe.seed, ready.batch.references
        bare = np.zeros(len(ready.captions), dtype=bool)
        if pictures is not None:
            bare = dropped_pairs(len(bare), dropout.text_and_references, seed, step)
        context = encode_captions(
            self.transformer,
            self.text_encoder,
            self.tokenizer,
            ready.captions,
            ready.dropped | bare,
            mute=dropped_speech(len(ready.captions), dropout.speech, seed, step),
        )
        clean = ready.batch.latents.map(lambda x: x.to(self.device))
        seen = with_conditions(context, clean, ready.known, ready.batch.rows[0])
        assert isinstance(seen, AliveContext)
        if pictures is None:
            return seen
        counts = shown_references([len(x) for x in pictures], dropout.references, seed, step)
        shown = [x[: 0 if none else count] for x, count, none in zip(pictures, counts, bare, strict=True)]
        return with_references(seen, [x.to(self.device) for x in shown])


def run_alive(recipe: AliveRecipe, run: Path, begun: Begun = unrecorded) -> dict[str, float]:
    """Train, or go on training. Returns the last held-out figures."""
    return train(AliveObjective(recipe, run), recipe.loop, run, begun, recipe.stage_ends)
