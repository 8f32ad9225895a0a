"""The unit "alive-refiner": the video side of an Alive model learns to make small pictures large beside finished sound.

The report trains it with clean sound through the frozen audio tower. Ours holds no audio tower at all: the base model's
is asked what it hears (`AliveTransformer.listen`), and base, text encoder and codecs are never among what is trained,
averaged or stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from transformers import ByT5Tokenizer, UMT5EncoderModel

from vivace.conditioning.prompts import speech_spans
from vivace.conditioning.text import encode_prompts
from vivace.data.fingerprint import weights_hash
from vivace.data.latents import LatentBatch, LatentMixture, LatentSource, ordered_batches, shared_codecs
from vivace.data.prefetch import Prefetch
from vivace.data.shards import ShardReader
from vivace.errors import VivaceError
from vivace.models.alive import AliveTransformer
from vivace.models.refiner import AliveRefinerTransformer, RefinerContext, heard_by
from vivace.pair import AV
from vivace.pipelines.checksums import check_part
from vivace.sampling.degradation import TRAINED, degraded
from vivace.sampling.flow import Times, add_noise, velocity_target
from vivace.timeline import Timeline, as_rate
from vivace.training.alive import ADAMW_NAMES
from vivace.training.flow_step import TimeSettings, caption_of, draw_noise, draw_times
from vivace.training.joint import OptimizerSettings
from vivace.training.loop import LoopSettings, train
from vivace.training.muon import Muon, split_parameters
from vivace.training.run_folder import Begun, unrecorded
from vivace.training.tasks import Stream, dropped_speech, dropped_texts, exchanges, stream
from vivace.training.validate import LEVELS, SEED
from vivace.training.warm_start import start_from


class RefinerDropout(BaseModel):
    """How often conditions are withheld."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: float = Field(default=0.1, ge=0, lt=1, description="per sample: no text, for picture and sound alike")
    exchange: float = Field(default=0.3, ge=0, lt=1, description="per batch: the sound is not read")
    speech: float = Field(default=0.1, ge=0, lt=1, description="per sample: what is said is in the description only")


class RefinerValidation(BaseModel):
    """Held-out pairs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    latents: Path
    clips: int = Field(default=64, gt=0)
    batch: int = Field(default=16, gt=0)


class RefinerRecipe(BaseModel):
    """One training of a refiner for an Alive model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: Literal["alive-refiner"]
    seed: int = Field(default=0, ge=0)
    base: Path = Field(description="folder of the Alive model; the refiner begins with its video tower")
    start_from: Path | None = Field(
        default=None, description="folder of a refiner, or run of this unit, whose weights are taken on instead"
    )
    transformer: dict[str, Any] = Field(
        default_factory=dict, description="what differs from the base in the configuration of AliveRefinerTransformer"
    )
    sources: tuple[LatentSource, ...] = Field(min_length=1, description="latents that were encoded with a low side")
    degradation: tuple[float, float] = Field(default=TRAINED, description="the least and most share of noise")
    dropout: RefinerDropout = RefinerDropout()
    times: TimeSettings = TimeSettings(kind="logit-normal", shift=1.0)
    optimizer: OptimizerSettings = OptimizerSettings()
    validation: RefinerValidation
    loop: LoopSettings

    @model_validator(mode="after")
    def _can_be_run(self) -> RefinerRecipe:
        low, high = self.degradation
        if not 0 <= low <= high <= 1:
            raise ValueError(f"degradation {list(self.degradation)} is no range within 0 to 1; give [0.85, 0.95]")
        if any(source.tasks for source in self.sources):
            raise ValueError("a refiner has one task; remove tasks from its sources")
        return self


class Base(NamedTuple):
    """What a refiner takes over and never changes."""

    transformer: AliveTransformer
    text_encoder: nn.Module
    hashes: dict[str, str]


def load_base(folder: Path, device: str = "cpu") -> Base:
    """The Alive model of a folder, frozen.

    Raises:
        VivaceError: the folder holds none.
    """
    for name in ("transformer", "text_encoder"):
        check_part(folder / name)
    try:
        transformer = AliveTransformer.from_pretrained(folder / "transformer", torch_dtype=torch.float32)
        text_encoder = UMT5EncoderModel.from_pretrained(folder / "text_encoder", torch_dtype=torch.float32)
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise VivaceError(
            f"base {str(folder)!r} holds no Alive model ({reason}); name a folder that has one."
        ) from None
    for part in (transformer, text_encoder):
        nn.Module.to(part, device).eval().requires_grad_(False)
    known: dict[str, str] = transformer.config.trained_with or {}
    hashes: dict[str, str] = {
        **{name: known[name] for name in ("vae", "audio_vae") if name in known},
        "text_encoder": weights_hash(text_encoder),
        "audio_tower": weights_hash(transformer.audio),
    }
    return Base(transformer, text_encoder, hashes)


@dataclass(frozen=True)
class PreparedPairs:
    """What a micro-step is about, before any weight is used.

    source: where the path ends, [B, C, T, H, W]. times: of the picture, [B].
    """

    batch: LatentBatch
    captions: list[str]
    dropped: np.ndarray
    mute: np.ndarray
    exchange: bool
    times: Times
    source: Tensor


class RefinerObjective:
    """Flow matching from degraded small pictures to large ones; a step is a function of the weights and its number.

    Raises:
        VivaceError: no base model, latents that are missing, of other codecs than the base's, or without a low side; a
            `start_from` that does not fit.
    """

    def __init__(self, recipe: RefinerRecipe, run: Path) -> None:
        self.recipe = recipe
        self.device = recipe.loop.device
        self.base = load_base(recipe.base, self.device)
        self.mixture = LatentMixture(recipe.sources, recipe.seed)
        self.held_out = ShardReader(recipe.validation.latents, "latents")
        codecs = shared_codecs([*self.mixture.readers, self.held_out])
        for name in ("vae", "audio_vae"):
            if codecs.get(name) != self.base.hashes.get(name):
                raise VivaceError(f"The latents were made with another {name} than the base has; encode them with it.")
        for reader in (*self.mixture.readers, self.held_out):
            if "low" not in reader.header.metadata:
                raise VivaceError(f"The latents in {str(reader.folder)!r} have no low side; encode them with [low].")
        self.tokenizer = ByT5Tokenizer()
        self.transformer = AliveRefinerTransformer.of(
            self.base.transformer, **{**recipe.transformer, "trained_with": self.base.hashes}
        )
        if recipe.start_from is not None:
            start_from(recipe.start_from, "transformer", self.transformer)
        self.prepared = Prefetch(self.prepare, recipe.loop.steps * recipe.loop.accumulate)

    def modules(self) -> dict[str, nn.Module]:
        return {"transformer": self.transformer}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        settings = self.recipe.optimizer
        matrices, rest = split_parameters(list(self.transformer.named_parameters()), ADAMW_NAMES)
        decay, dtype = settings.weight_decay, self.recipe.loop.dtype
        return {
            "muon": Muon(matrices, lr=settings.muon_rate, weight_decay=decay, dtype=dtype),
            "adamw": torch.optim.AdamW(rest, lr=settings.adamw_rate, betas=settings.betas, weight_decay=decay),
        }

    def prepare(self, step: int) -> PreparedPairs:
        """Everything of a micro-step that needs no weights."""
        recipe, batch = self.recipe, self.mixture.batch(step)
        count, seed = len(batch.rows), recipe.seed
        least, most = recipe.degradation
        shares = stream(seed, Stream.DEGRADATION, step).uniform(least, most, count).astype(np.float32)
        assert batch.low is not None
        noise = draw_noise(AV(batch.low, None), seed, step).video
        assert noise is not None
        times = draw_times(recipe.times, count, seed, step).video
        assert times is not None
        return PreparedPairs(
            batch=batch,
            captions=[caption_of(row, stream(seed, Stream.CAPTION, step, k)) for k, row in enumerate(batch.rows)],
            dropped=dropped_texts(count, recipe.dropout.text, seed, step),
            mute=dropped_speech(count, recipe.dropout.speech, seed, step),
            exchange=exchanges(recipe.dropout.exchange, seed, step),
            times=times,
            source=degraded(batch.low, noise, torch.from_numpy(shares)),
        )

    def loss(self, step: int) -> dict[str, Tensor]:
        """The weighted mean as "loss", and the mean squared velocity error, unweighted."""
        ready = self.prepared(step)
        context = self.context(ready.batch, ready.captions, ready.dropped, ready.mute)
        error = self._errors(ready.batch, ready.source, ready.times, context, ready.exchange)
        return {"loss": (error * ready.times.weights.to(error)).mean(), "video": error.mean()}

    def context(self, batch: LatentBatch, captions: list[str], dropped: np.ndarray, mute: np.ndarray) -> RefinerContext:
        """What a batch is refined by: texts as the refiner reads them, sound as the base hears it."""
        base, limit = self.base, self.base.transformer.config.text_len
        prompts = [None if drop else text for text, drop in zip(captions, dropped, strict=True)]
        said = [" ".join(speech_spans(p)) if p and not m else "" for p, m in zip(prompts, mute, strict=True)]
        with torch.no_grad():
            text, speech = (
                encode_prompts(base.text_encoder, self.tokenizer, texts, limit).features
                for texts in (prompts, [words or None for words in said])
            )
        latents = batch.latents
        assert latents.video is not None
        assert latents.audio is not None
        sound = heard_by(base.transformer, text, speech, latents.audio.to(self.device))
        stride = Timeline.temporal_stride
        timeline = Timeline(frames=stride * (latents.video.shape[2] - 1) + 1, fps=as_rate(batch.rows[0]["fps"]))
        seconds = AV(timeline.latent_frame_times(), timeline.audio_token_times())
        return self.transformer.encode_context(text, sound, seconds.map(lambda s: torch.from_numpy(s).to(self.device)))

    def _errors(
        self, batch: LatentBatch, source: Tensor, times: Times, context: RefinerContext, exchange: bool
    ) -> Tensor:
        """Each sample's mean squared velocity error in float32, [B]."""
        assert batch.latents.video is not None
        clean, source = batch.latents.video.to(self.device), source.to(self.device)
        between = add_noise(clean, source, times.sigmas.to(self.device))
        network: nn.Module = self.transformer
        steps = AV(times.timesteps.to(self.device), None)
        made: AV[Tensor] = network(AV(between, None), steps, context, exchange=exchange)
        assert made.video is not None
        return (made.video.float() - velocity_target(clean, source)).square().flatten(1).mean(1)

    @torch.no_grad()
    def validate(self, step: int) -> dict[str, float]:
        """Mean squared velocity errors on held-out pairs at fixed levels, noise and captions; "low" is that of small
        pictures made large against the true ones, for comparison with the error at each level's clean estimate."""
        sums: dict[str, list[float]] = {}
        held = self.recipe.validation
        for number, batch in enumerate(ordered_batches(self.held_out, held.clips, held.batch)):
            count = len(batch.rows)
            captions = [caption_of(row, stream(SEED, Stream.CAPTION, number, k)) for k, row in enumerate(batch.rows)]
            none = np.zeros(count, bool)
            context = self.context(batch, captions, none, none)
            assert batch.low is not None
            assert batch.latents.video is not None
            distance = (batch.low - batch.latents.video).square().flatten(1).mean(1)
            sums.setdefault("low", []).extend(distance.tolist())
            for place, level in enumerate(LEVELS):
                noise = draw_noise(AV(batch.low, None), SEED, number, place).video
                assert noise is not None
                sigmas = torch.full((count,), level)
                times = Times(sigmas, sigmas * 1000, torch.ones_like(sigmas))
                # In the middle of what training shows, as in sampling.
                source = degraded(batch.low, noise, torch.full((count,), sum(self.recipe.degradation) / 2))
                errors = self._errors(batch, source, times, context, exchange=True).tolist()
                for key in ("video", f"video@{level}"):
                    sums.setdefault(key, []).extend(errors)
        return {key: float(np.mean(values)) for key, values in sums.items()}


def run_refiner(recipe: RefinerRecipe, run: Path, begun: Begun = unrecorded) -> dict[str, float]:
    """Train, or go on training. Returns the last held-out figures."""
    return train(RefinerObjective(recipe, run), recipe.loop, run, begun)
