"""The unit "voice-judge": the listener of `perception.voices` learns a fixed set of the world's voices by heart.

Additive-margin softmax (Wang et al. 2018) over the training voices; its vector of a voice that it never heard is
placed among those it knows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from vivace.data.prefetch import Prefetch
from vivace.evaluation.voices import separation
from vivace.perception.voices import VoiceJudge, voice_features
from vivace.training.listener_files import save_listener
from vivace.training.loop import LoopSettings, train
from vivace.training.run_folder import Begun, unrecorded
from vivace.training.utterances import SpeechSource, by_voice, recorded, speech
from vivace.training.workers import ordered_map


class VoiceJudgeRecipe(BaseModel):
    """One training of the judge of voices."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: Literal["voice-judge"]
    seed: int = 0
    train: SpeechSource
    validation: SpeechSource
    model: dict[str, Any] = Field(default_factory=dict, description="configuration of VoiceJudge")
    batch: int = Field(default=64, gt=0)
    shortest: int = Field(default=50, gt=0, description="frames of 10 ms in a stretch")
    longest: int = Field(default=130, gt=0)
    margin: float = Field(default=0.15, ge=0)
    scale: float = Field(default=20.0, gt=0)
    rate: float = Field(default=2e-3, gt=0)
    workers: int = Field(default=1, gt=0, description="processes that synthesise the speech before training")
    output: Path | None = Field(default=None, description="folder for the weights with their record")
    loop: LoopSettings


class Centres(nn.Module):
    """A direction for every voice of the training."""

    def __init__(self, voices: int, dim: int) -> None:
        super().__init__()
        self.directions = nn.Parameter(torch.randn(voices, dim))

    def forward(self, vectors: Tensor) -> Tensor:
        """[B, dim] of length 1 -> cosines [B, voices]"""
        return vectors @ nn.functional.normalize(self.directions, dim=-1).T


def _features(job: tuple[np.ndarray, list[int]]) -> np.ndarray:
    sound, key = job
    return voice_features(recorded(sound, np.random.default_rng(key)))


class VoiceJudgeObjective:
    """Which of the training's voices is it?"""

    def __init__(self, recipe: VoiceJudgeRecipe) -> None:
        self.recipe = recipe
        said = speech(recipe.train, recipe.workers)
        jobs = [(utterance.sound, [recipe.seed, 1, place]) for place, utterance in enumerate(said)]
        features = iter(list(ordered_map(_features, jobs, recipe.workers)))
        self.features = [[next(features) for _ in group] for group in by_voice(said)]
        self.held_out = speech(recipe.validation, recipe.workers)
        torch.manual_seed(recipe.seed)
        self.judge = VoiceJudge(**recipe.model)
        self.centres = Centres(len(self.features), self.judge.config.dim)
        self.prepared = Prefetch(self.batch, recipe.loop.steps * recipe.loop.accumulate)

    def modules(self) -> dict[str, nn.Module]:
        return {"judge": self.judge, "centres": self.centres}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        parameters = [p for module in self.modules().values() for p in module.parameters()]
        return {"adamw": torch.optim.AdamW(parameters, lr=self.recipe.rate, weight_decay=0.0)}

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Features [B, T, F] of stretches of one length, and the numbers of their voices [B]."""
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, 2, step])
        frames = int(rng.integers(recipe.shortest, recipe.longest + 1))
        voices = rng.integers(len(self.features), size=recipe.batch)
        stretches = []
        for voice in voices:
            own = self.features[voice]
            joined = np.concatenate([own[k] for k in rng.permutation(len(own))[:4]])
            while len(joined) < frames:
                joined = np.concatenate((joined, joined))
            start = int(rng.integers(len(joined) - frames + 1))
            stretches.append(joined[start : start + frames])
        return torch.from_numpy(np.stack(stretches)), torch.from_numpy(voices)

    def loss(self, step: int) -> dict[str, Tensor]:
        features, voices = (x.to(self.recipe.loop.device) for x in self.prepared(step))
        cosines = self.centres(self.judge(features))
        own = nn.functional.one_hot(voices, cosines.shape[1])
        loss = nn.functional.cross_entropy(self.recipe.scale * (cosines - self.recipe.margin * own), voices)
        return {"loss": loss, "found": (cosines.argmax(1) == voices).float().mean()}

    @torch.no_grad()
    def validate(self, step: int) -> dict[str, float]:
        """Separation of unseen voices by pairs of single utterances."""
        device = self.recipe.loop.device
        vectors = [
            self.judge(torch.from_numpy(voice_features(said.sound))[None].to(device))[0].cpu().numpy()
            for said in self.held_out
        ]
        voices = np.array([said.voice for said in self.held_out])
        error, own, other = separation(np.stack(vectors), voices)
        return {"equal_error_rate": error, "own": own, "other": other}


def run_voice_judge(recipe: VoiceJudgeRecipe, run: Path, begun: Begun = unrecorded) -> dict[str, float]:
    """Train, or go on training, then write the averaged judge to `run/export` and to the recipe's output."""
    objective = VoiceJudgeObjective(recipe)
    figures = train(objective, recipe.loop, run, begun)
    save_listener(objective.judge, "judge", run, recipe.output)
    return figures
