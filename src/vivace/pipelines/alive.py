"""AlivePipeline: from a prompt, and pictures of who is to be seen, to a clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from diffusers import AutoencoderKLLTX2Audio, AutoencoderKLWan
from torch import Tensor

from vivace.conditioning.given import encode_pictures
from vivace.conditioning.prompts import speech_spans
from vivace.conditioning.text import encode_prompts
from vivace.errors import VivaceError
from vivace.media import Clip
from vivace.models.alive import AliveTransformer
from vivace.models.alive_context import AliveContext, ClipConditions
from vivace.models.vocoder import IstftVocoder
from vivace.pair import AV
from vivace.pipelines.capabilities import AliveCapabilities
from vivace.pipelines.clip_pipeline import ClipPipeline
from vivace.pipelines.clip_plan import ClipPlan, adjusted
from vivace.pipelines.guide_checks import check_sides
from vivace.pipelines.materials import Modalities
from vivace.pipelines.placing import load_offloaded
from vivace.pipelines.references import fitted_references
from vivace.sampling.guidance import Branch, Guidance
from vivace.sampling.loop import Given, GivenPolicy
from vivace.sampling.mutual_presets import MutualPreset


@dataclass(frozen=True, kw_only=True)
class AlivePlan(ClipPlan):
    """A call's settings, checked.

    references: pictures uint8 [H, W, 3] of who is to be seen, of each prompt.
    """

    preset: MutualPreset
    references: list[list[np.ndarray]]


class Texts(NamedTuple):
    """Features [n, text_dim] of a text, and of what is spoken in it."""

    whole: Tensor
    spoken: Tensor


class AlivePipeline(ClipPipeline):
    """Joint audio-video generation with Alive.

    Args:
        transformer: predicts the velocity of both modalities.
        text_encoder, tokenizer: UMT5-type encoder and its tokenizer.
        vae: video codec. audio_vae, vocoder: audio codec.
        scheduler: holds the schedule's configuration in diffusers' format; steps are our own (`vivace.sampling`).
        capabilities: section of model_index.json, see `AliveCapabilities`.

    Raises:
        VivaceError: a transformer that reads more than one text encoder.
    """

    abilities: AliveCapabilities
    model_cpu_offload_seq = "text_encoder->transformer->vae->audio_vae->vocoder"

    def __init__(
        self,
        transformer: AliveTransformer,
        text_encoder: Any,
        tokenizer: Any,
        vae: AutoencoderKLWan,
        audio_vae: AutoencoderKLLTX2Audio,
        vocoder: IstftVocoder | Any,
        scheduler: Any,
        capabilities: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if len(transformer.config.text_dims) != 1:
            raise VivaceError(
                f"The transformer reads {len(transformer.config.text_dims)} text encoders and a pipeline has one; "
                "use a model with one."
            )
        self.register_modules(
            transformer=transformer,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            vae=vae,
            audio_vae=audio_vae,
            vocoder=vocoder,
            scheduler=scheduler,
        )
        self.abilities = AliveCapabilities.read(capabilities)
        self.register_to_config(capabilities=capabilities)
        for name in ("transformer", "text_encoder", "vae", "audio_vae", "vocoder"):
            getattr(self, name).eval()

    def plan(
        self,
        prompt: str | Sequence[str],
        *,
        negative_prompt: str | None = None,
        seconds: float | None = None,
        height: int | None = None,
        width: int | None = None,
        fps: float | None = None,
        num_inference_steps: int | None = None,
        preset: str | MutualPreset | None = None,
        guides: Mapping[str, float] | None = None,
        cache: float | None = None,
        first_frame: GivenPolicy | None = None,
        rule: Guidance | None = None,
        seed: int | Sequence[int] | None = None,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        modalities: Modalities = "both",
        image: Any = None,
        audio: Clip | Sequence[Clip] | None = None,
        video: Clip | Sequence[Clip] | None = None,
        extend: Clip | Sequence[Clip] | None = None,
        references: Any = None,
        voices: Sequence[Any] | None = None,
    ) -> AlivePlan:
        """Check everything that a user can get wrong and fill in what the model's folder says; nothing is generated.

        Args:
            seconds: length of the clip; of a continued one, of what is added.
            negative_prompt: None takes the preset's, "" the null text.
            guides: scales over the preset's, such as {"text": 4, "mutual.audio": 2}; 1 is the plain prediction.
            cache: threshold of the step cache over the preset's, from 0 (exact) to 1.
            first_frame: how what is given is shown to the network, over the preset's and the folder's way
                (`vivace.sampling.loop`); the published program's is "overwritten".
            rule: guidance of one's own instead of the preset's.
            seed: one for each prompt, or one that the prompts count up from.
            modalities: which sides the clip has.
            image: its first picture (uint8 [H, W, 3] or PIL), scaled and cut to the size.
            audio: a clip whose sound is taken, so that pictures are made for it.
            video: a clip whose pictures are taken, so that sound is made for them.
            extend: a clip to continue. Of these four, one for all prompts, or a list with one for each.
            references: pictures of who is to be seen, one or a list for all prompts, or a list of lists with one for
                each prompt.
            voices: none; Alive takes who speaks from the text.

        Raises:
            VivaceError: any argument out of its range.
        """
        can = self.abilities
        if any(voice is not None for voice in voices or ()):
            raise VivaceError(f"{can.name} takes no voices; describe in the prompt who speaks.")
        prompts, arranged = self._arranged(
            prompt,
            modalities,
            seconds=seconds,
            width=width,
            height=height,
            fps=fps,
            image=image,
            audio=audio,
            video=video,
            extend=extend,
        )
        size = arranged.height, arranged.width
        shown = fitted_references(can, references, len(prompts), size, pictured=modalities != "audio")
        chosen = self._guided(preset, guides or {}, modalities, referenced=any(shown))
        chosen = adjusted(chosen, arranged, num_inference_steps, cache, first_frame)
        check_sides(guides or {}, modalities, arranged, can, chosen)
        shared = self._settled(
            prompts,
            arranged,
            modalities,
            chosen,
            rule,
            partial(chosen.guidance, references=any(shown)),
            shaping=chosen.shaping(),
            negative_prompt=negative_prompt,
            seed=seed,
            generator=generator,
        )
        return AlivePlan(**vars(shared), references=shown)

    def _guided(
        self, preset: str | MutualPreset | None, guides: Mapping[str, float], modalities: Modalities, referenced: bool
    ) -> MutualPreset:
        """The preset that is asked for, with the scales that are given.

        Raises:
            VivaceError: an unknown preset or guide, or a guide that has nothing to act on.
        """
        chosen = preset if isinstance(preset, MutualPreset) else self.abilities.preset_named(preset)
        for name, scale in guides.items():
            missing = {
                "mutual": modalities != "both" and "the clip has one side",
                "references": not referenced and "no references were given",
            }.get(name.partition(".")[0])
            if missing and scale != 1:  # which asks for what is so without it
                raise VivaceError(f"Guide {name!r} has nothing to act on, because {missing}; leave it out.")
        return chosen.with_guides(guides)

    def _read(self, plan: AlivePlan, device: torch.device) -> dict[str | None, Texts]:
        """Features of each text that a branch reads, encoded by itself, so that no neighbour changes it."""
        texts: dict[str | None, Texts] = {}
        for branch in self._own_branches(plan):
            for text in self._texts(plan, branch):
                if text not in texts:
                    spoken = " ".join(speech_spans(text)) if text else ""
                    called = self._called(plan, text)
                    whole, said = (self._features(part, called, device) for part in (text, spoken or None))
                    texts[text] = Texts(whole, said)
        return texts

    def _features(self, text: str | None, called: str, device: torch.device) -> Tensor:
        limit = self.transformer.config.text_len
        return encode_prompts(self.text_encoder, self.tokenizer, [text], limit, called).features[0].to(device)

    def _contexts(self, plan: AlivePlan, read: dict[str | None, Texts], given: AV[Given]) -> dict[str, AliveContext]:
        """The context of every branch that runs here."""
        device = next(iter(read.values())).whole.device
        clip = self._conditions(plan, given, device)
        load_offloaded(self.transformer)
        made: dict[str, AliveContext] = {}

        def context(branch: Branch) -> AliveContext:
            if branch.text not in made:
                texts = [read[text] for text in self._texts(plan, branch)]
                made[branch.text] = self.transformer.encode_context([t.whole for t in texts], [t.spoken for t in texts])
            return made[branch.text].with_clip(clip if branch.references else clip.without_references())

        return {branch.name: context(branch) for branch in self._own_branches(plan)}

    def _conditions(self, plan: AlivePlan, given: AV[Given], device: torch.device) -> ClipConditions:
        """What the clips are shown beside their texts."""
        timeline = plan.timeline
        times = AV(timeline.latent_frame_times(), timeline.audio_token_times())
        clip = ClipConditions(times.map(lambda seconds: torch.from_numpy(seconds).to(device)))
        if given.video is not None:
            mask = given.video.known.to(given.video.clean)
            clip = replace(clip, condition=given.video.clean, mask=mask)
        if not plan.video or not any(plan.references):
            return clip
        there = torch.arange(max(map(len, plan.references)), device=device)
        counts = torch.tensor([len(row) for row in plan.references], device=device)
        return replace(clip, references=self._pictured(plan, device), given=there < counts[:, None])

    def _pictured(self, plan: AlivePlan, device: torch.device) -> Tensor:
        """Latents of the references [B, R, z, h, w], zeros where a prompt has fewer than another."""
        rows = []
        with self.at_work("vae"):
            load_offloaded(self.vae)
            for row in plan.references:
                rows.append([encode_pictures(self.vae, [picture[None]], device)[0, :, 0] for picture in row])
        like = next(latents for row in rows for latents in row)
        out = like.new_zeros(len(rows), max(map(len, rows)), *like.shape)
        for sample, pictures in enumerate(rows):
            for number, latents in enumerate(pictures):
                out[sample, number] = latents
        return out


__all__ = ["AlivePipeline", "AlivePlan"]
