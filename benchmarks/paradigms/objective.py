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
from vivace.training.flow_step import caption_of, draw_noise, encode_captions, velocity_errors, with_conditions
from vivace.training.joint import JointObjective, Prepared
from vivace.training.muon import Muon, split_parameters
from vivace.training.tasks import Stream, stream
from vivace.training.validate import LEVELS, SEED

# What meets the outside, and tables that are looked up, are not for Muon; the names of all three networks.
ADAMW_NAMES = ("embedding", "_head.", ".head.", "time_projection", "shared", "relative_attention_bias")
# What of each side is known: noisy, clean, or absent.
STATES: dict[str, AV[str]] = {
    "both noisy": AV("noisy", "noisy"),
    "sound given": AV("noisy", "clean"),
    "pictures alone": AV("noisy", "absent"),
    "pictures given": AV("clean", "noisy"),
    "sound alone": AV("absent", "noisy"),
}
# Errors of a clip as a whole, most of which stays the same from beginning to end, and of what changes in it, which the
# other side can tell.
FIGURES = (
    "video, both noisy",
    "audio, both noisy",
    "moving video, both noisy",
    "moving video, sound given",
    "moving video, pictures alone",
    "moving audio, both noisy",
    "moving audio, pictures given",
    "moving audio, sound alone",
)
TIME_AXIS = AV(2, 1)


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
            clean = group.latents.map(lambda x: x.to(self.device))
            captions = [caption_of(row, stream(SEED, Stream.CAPTION, number, k)) for k, row in enumerate(group.rows)]
            for state in STATES:
                for name, values in self._errors_at_all_levels(clean, captions, state, group.rows[0], number).items():
                    if name in found:
                        found[name] += values.tolist()
        return found

    def _errors_at_all_levels(
        self, clean: AV[Tensor], captions: list[str], state: str, row: dict[str, Any], number: int
    ) -> dict[str, Tensor]:
        """[B] of whole and moving sides that are made, by the name of the figure."""
        assert clean.video is not None
        assert clean.audio is not None
        whole = AV(clean.video.shape[2], clean.audio.shape[1])
        known = STATES[state].map(lambda how, length: {"noisy": 0, "clean": length, "absent": None}[how], whole)
        context = self._read(captions, [False] * len(captions), clean, known, row)
        sums: dict[str, Tensor] = {}
        for place, level in enumerate(LEVELS):
            sigmas = torch.full((len(captions),), level)
            times = AV.of(Times(sigmas, sigmas * 1000, torch.ones_like(sigmas)))
            noise = draw_noise(clean, SEED, number, place)
            errors = velocity_errors(self.transformer, clean, noise, times, known, context, exchange=True)
            moving = errors.map(lambda x, axis: x - x.mean(axis, keepdim=True), TIME_AXIS)
            for prefix, part in (("", errors), ("moving ", moving)):
                for side, x in part.items():
                    mean = x.square().flatten(1).mean(1).cpu() / len(LEVELS)
                    name = f"{prefix}{side}, {state}"
                    sums[name] = sums.get(name, torch.zeros(len(captions))) + mean
        return sums

    def contexts(self, captions: list[str | None], row: dict[str, Any], like: AV[Tensor]) -> Any:
        """What prompts say, None being no prompt, for clips of which nothing is known."""
        dropped = [text is None for text in captions]
        return self._read([text or "" for text in captions], dropped, like, AV(0, 0), row)
