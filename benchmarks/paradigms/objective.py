"""Training and held-out losses that are the same for all three paradigms."""

from __future__ import annotations

from typing import Any

import torch
from benchmarks.paradigms.networks import TEXT_LEN, build
from torch import Tensor, nn

from vivace.conditioning.text import encode_prompts
from vivace.data.latents import ordered_batches
from vivace.models.alive import AliveTransformer
from vivace.models.nava import NavaTransformer
from vivace.pair import AV
from vivace.sampling.flow import Times
from vivace.training.flow_step import caption_of, draw_noise, encode_captions, flow_errors, with_conditions
from vivace.training.joint import JointObjective, Prepared
from vivace.training.muon import Muon, split_parameters
from vivace.training.tasks import Stream, stream
from vivace.training.validate import LEVELS, SEED

# What meets the outside, and tables that are looked up, are not for Muon; the names of all three networks.
ADAMW_NAMES = ("embedding", "_head.", ".head.", "time_projection", "shared", "relative_attention_bias")
# Figures: what is predicted, and what of the other side is known: noisy as well, clean, or absent.
FIGURES: dict[str, tuple[str, str]] = {
    "video": ("noisy", "noisy"),
    "video, sound given": ("noisy", "clean"),
    "video alone": ("noisy", "absent"),
    "audio": ("noisy", "noisy"),
    "audio, pictures given": ("clean", "noisy"),
    "audio alone": ("absent", "noisy"),
}


class ParadigmObjective(JointObjective):
    """Flow matching as in the unit joint, with the network that the recipe's `transformer` names."""

    def build_transformer(self) -> nn.Module:
        return build(self.recipe.transformer["paradigm"], self.recipe.transformer["config"])

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        named = [(f"{part}.{n}", p) for part, module in self.modules().items() for n, p in module.named_parameters()]
        matrices, rest = split_parameters(named, ADAMW_NAMES)
        settings = self.recipe.optimizer
        return {
            "muon": Muon(matrices, lr=settings.muon_rate, weight_decay=0.0, dtype=self.recipe.loop.dtype),
            "adamw": torch.optim.AdamW(rest, lr=settings.adamw_rate, betas=settings.betas, weight_decay=0.0),
        }

    def context(self, ready: Prepared, step: int) -> Any:
        clean = ready.batch.latents.map(lambda x: x.to(self.device))
        return self._read(ready.captions, ready.dropped, clean, ready.known, ready.batch.rows[0])

    def _read(self, captions: list[str], dropped: Any, clean: AV[Tensor], known: AV[int], row: dict[str, Any]) -> Any:
        parts = self.transformer, self.text_encoder, self.tokenizer
        if isinstance(self.transformer, (NavaTransformer, AliveTransformer)):
            return with_conditions(encode_captions(*parts, captions, dropped), clean, known, row)
        prompts = [None if drop else text for text, drop in zip(captions, dropped, strict=True)]
        return self.transformer.encode_context(
            encode_prompts(self.text_encoder, self.tokenizer, prompts, TEXT_LEN).features
        )

    def validate(self, step: int) -> dict[str, float]:
        """Means of `held_out` over the clips."""
        return {name: sum(values) / len(values) for name, values in self.held_out_errors().items()}

    @torch.no_grad()
    def held_out_errors(self) -> dict[str, list[float]]:
        """Of every held-out clip, the mean squared velocity error of each of `FIGURES` over fixed levels and noise."""
        found: dict[str, list[float]] = {name: [] for name in FIGURES}
        settings = self.recipe.validation
        for number, group in enumerate(ordered_batches(self.held_out, settings.clips, settings.batch)):
            clean, first = group.latents.map(lambda x: x.to(self.device)), group.rows[0]
            captions = [caption_of(row, stream(SEED, Stream.CAPTION, number, k)) for k, row in enumerate(group.rows)]
            assert clean.video is not None
            assert clean.audio is not None
            whole = AV(clean.video.shape[2], clean.audio.shape[1])
            for name, states in FIGURES.items():
                known = AV(*states).map(
                    lambda state, length: {"noisy": 0, "clean": length, "absent": None}[state], whole
                )
                context = self._read(captions, [False] * len(captions), clean, known, first)
                sums = torch.zeros(len(captions))
                for place, level in enumerate(LEVELS):
                    sigmas = torch.full((len(captions),), level)
                    times = AV.of(Times(sigmas, sigmas * 1000, torch.ones_like(sigmas)))
                    noise = draw_noise(clean, SEED, number, place)
                    errors = flow_errors(self.transformer, clean, noise, times, known, context, exchange=True)
                    sums += dict(errors.items())[name.split(",")[0].split()[0]].cpu() / len(LEVELS)  # type: ignore[index]
                found[name] += sums.tolist()
        return found
