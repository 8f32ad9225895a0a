"""The unit "speaker": the encoder that turns a recording into a speaker vector learns to tell voices apart.

The world's voices are continuous, so there are no classes to choose from: each step compares new sets of voices by
the angular prototypical loss (Chung et al. 2020, "In defence of metric learning for speaker recognition"). Beside it
the voice's pitch shall be a linear function of the vector (ours): to tell most voices apart its octave would do, but a
generator must hit it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from vivace.conditioning.voices import without_pauses
from vivace.data.prefetch import Prefetch
from vivace.evaluation.voices import separation
from vivace.models.speaker import NanoSpeakerEncoder
from vivace.training.checkpoint import latest_checkpoint, load_weights
from vivace.training.loop import LoopSettings, train
from vivace.training.muon import Muon, split_parameters
from vivace.training.network_files import save_network
from vivace.training.run_folder import Begun, unrecorded
from vivace.training.utterances import Said, SpeechSource, by_voice, recorded, speech, stretch_of


class SpeakerRecipe(BaseModel):
    """One training of a speaker encoder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: Literal["speaker"]
    seed: int = 0
    train: SpeechSource
    validation: SpeechSource
    model: dict[str, Any] = Field(default_factory=dict, description="configuration of NanoSpeakerEncoder")
    voices: int = Field(default=20, gt=1, description="in a batch")
    stretches: int = Field(default=3, gt=1, description="of each voice in a batch")
    shortest: float = Field(default=0.7, gt=0, description="seconds of a stretch")
    longest: float = Field(default=2.2, gt=0)
    pitch_weight: float = Field(default=1.0, ge=0, description="of the error of the pitch, in octaves")
    muon_rate: float = Field(default=1e-3, gt=0)
    adamw_rate: float = Field(default=1e-3, gt=0)
    workers: int = Field(default=1, gt=0, description="processes that synthesise the speech before training")
    loop: LoopSettings


class PrototypicalLoss(nn.Module):
    """Each voice's first stretch shall be nearest to the mean of its own others."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(10.0))

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """vectors [V, U, D] of length 1 -> loss and the share of voices found"""
        prototypes = nn.functional.normalize(vectors[:, 1:].mean(1), dim=-1)
        scores = self.scale.clamp(min=1.0) * vectors[:, 0] @ prototypes.T
        own = torch.arange(len(scores), device=scores.device)
        loss = (nn.functional.cross_entropy(scores, own) + nn.functional.cross_entropy(scores.T, own)) / 2
        return loss, (scores.argmax(1) == own).float().mean()


class PitchReader(nn.Module):
    """A voice's pitch as a linear function of its vector, in octaves from 150 Hz."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.read = nn.Linear(dim, 1)

    def forward(self, vectors: Tensor) -> Tensor:
        """[B, dim] -> [B]"""
        # Values of a unit vector are small; the factor spares the weights the way.
        return self.read(vectors * vectors.shape[-1] ** 0.5)[:, 0]


class SpeakerObjective:
    """New voices against each other at every step."""

    def __init__(self, recipe: SpeakerRecipe) -> None:
        self.recipe = recipe
        self.voices = by_voice(speech(recipe.train, recipe.workers))
        self.held_out = speech(recipe.validation, recipe.workers)
        torch.manual_seed(recipe.seed)
        self.encoder = NanoSpeakerEncoder(**recipe.model)
        self.compare = PrototypicalLoss()
        self.pitch = PitchReader(self.encoder.dim)
        self.prepared = Prefetch(self.batch, recipe.loop.steps * recipe.loop.accumulate)

    def modules(self) -> dict[str, nn.Module]:
        return {"speaker_encoder": self.encoder, "compare": self.compare, "pitch": self.pitch}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        named = [pair for module in self.modules().values() for pair in module.named_parameters()]
        matrices, rest = split_parameters(named, ("conv_in", "depthwise", "head"))
        return {
            "muon": Muon(matrices, lr=self.recipe.muon_rate),
            "adamw": torch.optim.AdamW(rest, lr=self.recipe.adamw_rate, weight_decay=0.0),
        }

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Stretches of one length, [voices * stretches, N], and their voices' pitch in octaves from 150 Hz."""
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, 1, step])
        # Whole tenths of a second have quick Fourier transforms.
        samples = round(rng.uniform(recipe.shortest, recipe.longest) * 10) * 1600
        chosen = rng.choice(len(self.voices), min(recipe.voices, len(self.voices)), replace=False)
        several = [self.voices[voice] for voice in chosen for _ in range(recipe.stretches)]
        sounds = [recorded(stretch_of(utterances, samples, rng), rng) for utterances in several]
        pitch = np.log2([utterances[0].pitch / 150.0 for utterances in several]).astype(np.float32)
        return torch.from_numpy(np.stack(sounds)), torch.from_numpy(pitch)

    def loss(self, step: int) -> dict[str, Tensor]:
        sounds, octaves = (x.to(self.recipe.loop.device) for x in self.prepared(step))
        vectors = self.encoder(sounds)
        loss, found = self.compare(vectors.unflatten(0, (-1, self.recipe.stretches)))
        pitch = (self.pitch(vectors) - octaves).abs().mean()
        return {"loss": loss + self.recipe.pitch_weight * pitch, "found": found, "semitones": 12 * pitch}

    @torch.no_grad()
    def validate(self, step: int) -> dict[str, float]:
        """Separation of unseen voices by pairs of single utterances, and how well their pitch can be read off."""
        device = self.recipe.loop.device
        vectors = np.stack(
            [
                self.encoder(torch.from_numpy(without_pauses(said.sound, 16000))[None].to(device))[0].cpu().numpy()
                for said in self.held_out
            ]
        )
        voices = np.array([said.voice for said in self.held_out])
        error, own, other = separation(vectors, voices)
        return {"equal_error_rate": error, "own": own, "other": other, "pitch": pitch_error(vectors, self.held_out)}


def pitch_error(vectors: np.ndarray, said: list[Said]) -> float:
    """Median error in semitones of the voices' pitch as a linear function of their vectors.

    The function is fitted to one half of the voices and judged on the other.
    """
    octaves = np.log2([utterance.pitch for utterance in said])
    half = np.array([utterance.voice % 2 == 0 for utterance in said])
    design = np.column_stack((vectors, np.ones(len(vectors))))
    fitted = design[half]
    ridge = 1e-2 * np.eye(design.shape[1])
    weights = np.linalg.solve(fitted.T @ fitted + ridge, fitted.T @ octaves[half])
    return float(np.median(np.abs(design[~half] @ weights - octaves[~half]))) * 12


def run_speaker(recipe: SpeakerRecipe, run: Path, begun: Begun = unrecorded) -> dict[str, float]:
    """Train, or go on training, then write the averaged encoder to `run/export/speaker_encoder`."""
    objective = SpeakerObjective(recipe)
    figures = train(objective, recipe.loop, run, begun)
    checkpoint = latest_checkpoint(run / "checkpoints")
    assert checkpoint is not None
    objective.encoder.load_state_dict(load_weights(checkpoint, "speaker_encoder", ema=True))
    save_network(objective.encoder, run / "export" / "speaker_encoder")
    return figures
