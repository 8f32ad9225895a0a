"""NavaPipeline: from a prompt to a clip, with diffusers' habits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from diffusers import AutoencoderKLLTX2Audio, AutoencoderKLWan
from torch import Tensor

from vivace.conditioning.prompts import speech_spans
from vivace.conditioning.text import encode_prompts
from vivace.conditioning.voices import Recording, Voice, check_vectors, speaker_vectors, voices_of_prompts
from vivace.errors import VivaceError, count_of
from vivace.media import Clip
from vivace.models.nava import NavaTransformer
from vivace.models.nava_context import NavaContext
from vivace.models.vocoder import IstftVocoder
from vivace.pair import AV
from vivace.pipelines.capabilities import Capabilities
from vivace.pipelines.clip_pipeline import ClipOutput, ClipPipeline
from vivace.pipelines.clip_plan import ClipPlan, adjusted
from vivace.pipelines.guide_checks import check_sides
from vivace.pipelines.materials import Modalities
from vivace.pipelines.placing import load_offloaded
from vivace.sampling.guidance import Guidance
from vivace.sampling.loop import Given, GivenPolicy, SamplingCancelledError
from vivace.sampling.presets import Preset


@dataclass(frozen=True, kw_only=True)
class Plan(ClipPlan):
    """A call's settings, checked.

    voices: of each prompt, one for each of its speech spans.
    """

    preset: Preset
    rule: Guidance
    voices: list[list[Voice]]


class NavaPipeline(ClipPipeline):
    """Joint audio-video generation with NAVA.

    Args:
        transformer: predicts the velocity of both modalities.
        text_encoder, tokenizer: UMT5-type encoder and its tokenizer.
        vae: video codec. audio_vae, vocoder: audio codec.
        scheduler: holds the schedule's configuration in diffusers' format; steps are our own (`vivace.sampling`).
        speaker_encoder: a `vivace.models.speaker.SpeakerEncoder`, where the model has voices.
        capabilities: section of model_index.json, see `Capabilities`.
    """

    _optional_components = ["speaker_encoder"]  # noqa: RUF012 - a list that diffusers reads
    abilities: Capabilities
    model_cpu_offload_seq = "speaker_encoder->text_encoder->transformer->vae->audio_vae->vocoder"

    def __init__(
        self,
        transformer: NavaTransformer,
        text_encoder: Any,
        tokenizer: Any,
        vae: AutoencoderKLWan,
        audio_vae: AutoencoderKLLTX2Audio,
        vocoder: IstftVocoder | Any,
        scheduler: Any,
        speaker_encoder: Any = None,
        capabilities: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.register_modules(
            transformer=transformer,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            vae=vae,
            audio_vae=audio_vae,
            vocoder=vocoder,
            scheduler=scheduler,
            speaker_encoder=speaker_encoder,
        )
        self.abilities = Capabilities.read(capabilities)
        self.register_to_config(capabilities=capabilities)
        for name in ("transformer", "text_encoder", "vae", "audio_vae", "vocoder"):
            getattr(self, name).eval()
        if isinstance(speaker_encoder, torch.nn.Module):
            speaker_encoder.eval()

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
        preset: str | Preset | None = None,
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
        voices: Sequence[Voice] | Sequence[Sequence[Voice]] | None = None,
    ) -> Plan:
        """Check everything that a user can get wrong and fill in what the model's folder says; nothing is generated.

        Args:
            seconds: length of the clip; of a continued one, of what is added.
            negative_prompt: None takes the preset's, "" the null text.
            guides: scales over the preset's, such as {"text": 4, "align.audio": 1}.
            cache: threshold of the step cache over the preset's, from 0 (exact) to 1.
            first_frame: how what is given is shown to the network, over the preset's and the folder's way
                (`vivace.sampling.loop`); the published program's is "overwritten".
            rule: a guidance rule of one's own instead of the preset's.
            seed: one for each prompt, or one that the prompts count up from.
            modalities: which sides the clip has.
            image: its first picture (uint8 [H, W, 3] or PIL), scaled and cut to the size.
            audio: a clip whose sound is taken, so that pictures are made for it.
            video: a clip whose pictures are taken, so that sound is made for them.
            extend: a clip to continue. Of these four, one for all prompts, or a list with one for each.
            voices: who speaks the speech spans, in their order, or one for all of them; the same for every prompt, or
                a list for each. None stands for any voice.

        Raises:
            VivaceError: any argument out of its range.
        """
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
        spoken = self._voices(prompts, voices)
        heard = any(voice is not None for row in spoken for voice in row)
        self._check_guides(guides or {}, modalities, heard)
        chosen = preset if isinstance(preset, Preset) else self.abilities.preset_named(preset)
        chosen = adjusted(chosen.with_guides(guides or {}), arranged, num_inference_steps, cache, first_frame)
        check_sides(guides or {}, modalities, arranged, self.abilities, chosen)
        shared = self._settled(
            prompts,
            arranged,
            modalities,
            chosen,
            rule,
            partial(chosen.rule, voices=heard),
            negative_prompt=negative_prompt,
            seed=seed,
            generator=generator,
        )
        return Plan(**vars(shared), voices=spoken)

    def _check_guides(self, guides: Mapping[str, float], modalities: Modalities, heard: bool) -> None:
        """Raises VivaceError for a guide that has nothing to act on; `heard` where a voice was given."""
        silent = "no voice was given" if self.transformer.config.speaker_dim else f"{self.abilities.name} has no voices"
        missing = {
            "timbre": silent if not heard else modalities == "video" and "the clip has no sound",
            "align": modalities != "both" and "the clip has one side",
        }
        for name, scale in guides.items():
            why = missing.get(name.partition(".")[0])
            if why and scale:  # 0 asks for what is so without it
                raise VivaceError(f"Guide {name!r} has nothing to act on, because {why}; leave it out.")

    def _voices(
        self, prompts: Sequence[str], voices: Sequence[Voice] | Sequence[Sequence[Voice]] | None
    ) -> list[list[Voice]]:
        """The voice of every speech span of each prompt.

        Raises:
            VivaceError: too many spans, voices that do not match them, or a model that has none.
        """
        can = self.abilities
        spans = [len(speech_spans(prompt)) for prompt in prompts]
        if max(spans) > can.most_spans:
            raise VivaceError(
                f"The prompt has {count_of(max(spans), 'speech span')} and {can.name} takes at most {can.most_spans}; "
                "leave some out or make two clips."
            )
        spoken = voices_of_prompts(spans, voices or ())
        if any(voice is not None for row in spoken for voice in row):
            if not self.transformer.config.speaker_dim:
                raise VivaceError(f"{can.name} was not trained with voices; leave the voice out.")
            for row in spoken:
                check_vectors(row, self.transformer.config.speaker_dim)
            recorded = any(isinstance(voice, Recording) for row in spoken for voice in row)
            if recorded and self.speaker_encoder is None:
                raise VivaceError(
                    f"{can.name} has no speaker encoder to hear the voice with; name one with --speaker-encoder, or "
                    "give speaker vectors."
                )
        return spoken

    def _read(
        self, plan: Plan, device: torch.device
    ) -> tuple[dict[str | None, tuple[Tensor, list[int]]], list[Tensor]]:
        """Features of the texts, and the speakers' vectors of each prompt."""
        return self._features(plan, device), [self._speakers(voices, device) for voices in plan.voices]

    def _features(self, plan: Plan, device: torch.device) -> dict[str | None, tuple[Tensor, list[int]]]:
        """Features and marker places of each text that a branch reads, encoded by itself, so that no neighbour
        changes it."""
        features: dict[str | None, tuple[Tensor, list[int]]] = {}
        for branch in self._own_branches(plan):
            for text in self._texts(plan, branch):
                if text not in features:
                    limit, called = self.transformer.config.text_len, self._called(plan, text)
                    encoded = encode_prompts(self.text_encoder, self.tokenizer, [text], limit, called)
                    features[text] = (encoded.features[0].to(device), encoded.marker_positions[0])
        return features

    def _contexts(
        self, plan: Plan, read: tuple[dict[str | None, tuple[Tensor, list[int]]], list[Tensor]], given: AV[Given]
    ) -> dict[str, NavaContext]:
        """The context of every branch that runs here."""
        features, speakers_given = read
        width = self.transformer.config.speaker_dim
        # The published program writes no speaker at all where none is given; ours writes the null speaker.
        always = self.abilities.unknown_voice == "null"
        made: dict[tuple[str, bool], NavaContext] = {}
        for branch in self._own_branches(plan):
            texts, with_voices = self._texts(plan, branch), branch.voices and branch.text == "positive"
            if (branch.text, with_voices) in made:
                continue
            speakers, places = [], []
            for text, own in zip(texts, speakers_given, strict=True):
                marked = features[text][1] if width and (always or (with_voices and own.any())) else []
                places.append(marked)
                speakers.append(own[: len(marked)] if with_voices else torch.zeros(len(marked), width or 0).to(own))
            load_offloaded(self.transformer)
            made[branch.text, with_voices] = self.transformer.encode_context(
                [features[text][0] for text in texts], speakers, places
            )
        return {b.name: made[b.text, b.voices and b.text == "positive"] for b in self._own_branches(plan)}

    def _speakers(self, voices: Sequence[Voice], device: torch.device) -> Tensor:
        """[spans, speaker_dim] float32, zeros where a voice is not given."""
        return speaker_vectors(self.speaker_encoder, voices, self.transformer.config.speaker_dim or 0, device)


NavaPipelineOutput = ClipOutput  # the name that those who know diffusers look for

__all__ = ["NavaPipeline", "NavaPipelineOutput", "Plan", "SamplingCancelledError"]
