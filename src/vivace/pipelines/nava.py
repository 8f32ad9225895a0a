"""NavaPipeline: from a prompt to a clip, with diffusers' habits."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from diffusers import AutoencoderKLLTX2Audio, AutoencoderKLWan, DiffusionPipeline
from diffusers.utils import BaseOutput
from torch import Tensor

from vivace.conditioning.continuation import prepend
from vivace.conditioning.given import (
    encode_pictures,
    encode_sounds,
    known_audio_tokens,
    known_latent_frames,
    put_back,
)
from vivace.conditioning.text import check_prompt, encode_prompts, speech_spans
from vivace.conditioning.voices import Recording, Voice, speaker_vectors, voices_of_prompts
from vivace.data.fingerprint import weights_hash
from vivace.errors import VivaceError
from vivace.media import Clip
from vivace.models.codecs import decode_audio
from vivace.models.nava import NavaContext, NavaTransformer
from vivace.models.vocoder import IstftVocoder
from vivace.pair import AV
from vivace.pipelines.capabilities import Capabilities
from vivace.pipelines.decoding import decode_levels
from vivace.pipelines.folder import check_folder, shipped_models
from vivace.pipelines.lora import LoraLoading
from vivace.pipelines.materials import Arranged, Materials, Modalities, arrange
from vivace.pipelines.placing import Placed
from vivace.sampling.guidance import Branch, GuidanceRule
from vivace.sampling.loop import Given, GivenPolicy, SamplingCancelledError, Step, denoise
from vivace.sampling.noise import batch_noise, check_seed, seeds_from
from vivace.sampling.presets import Preset
from vivace.sampling.solvers import solver_for
from vivace.timeline import Timeline

MAX_BATCH = 64


@dataclass
class NavaPipelineOutput(BaseOutput):
    """What a call made.

    frames: uint8 [B, T, H, W, 3], or None without pictures (float32 latents [B, C, t, h, w] for output_type "latent").
    audio: float32 [B, 2, N], or None without sound (float32 latents [B, L, C] for output_type "latent").
    audio_sample_rate: Hz.
    fps: pictures per second, exact.
    timeline: lengths in every unit of what was sampled; of a continued clip that is its tail and what follows.
    seeds: the seed of each clip.
    latents: what was sampled, float32, before decoding.
    seconds_spent: wall time of "text", "given", "sampling" and "decoding".
    """

    frames: np.ndarray | Tensor | None
    audio: np.ndarray | Tensor | None
    audio_sample_rate: int
    fps: Fraction
    timeline: Timeline
    seeds: list[int]
    latents: AV[Tensor]
    seconds_spent: dict[str, float]


@dataclass(frozen=True)
class Plan:
    """A call's settings, checked: nothing after this point depends on what a user typed."""

    prompts: list[str]
    negative: str | None  # None is the null text
    preset: Preset
    rule: GuidanceRule
    seeds: list[int]
    video: bool
    audio: bool
    arranged: Arranged
    voices: list[list[Voice]]  # of each prompt, one for each of its speech spans

    @property
    def timeline(self) -> Timeline:
        return self.arranged.timeline

    @property
    def height(self) -> int:
        return self.arranged.height

    @property
    def width(self) -> int:
        return self.arranged.width


class NavaPipeline(LoraLoading, Placed, DiffusionPipeline):
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

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> NavaPipeline:
        """Load a shipped model by its name, or a model folder; weights are computed with in float32 unless `dtype` says
        otherwise.

        Raises:
            VivaceError: the folder is incomplete, damaged or foreign, or its parts were not trained together.
        """
        folder = shipped_models().get(str(pretrained_model_name_or_path), Path(pretrained_model_name_or_path))
        if folder.is_dir():
            pretrained_model_name_or_path = folder
            check_folder(folder)
        # Shipped weights are stored in bfloat16, which a CPU computes slowly and less exactly.
        kwargs.setdefault("dtype", kwargs.pop("torch_dtype", torch.float32))
        try:
            pipeline: NavaPipeline = super().from_pretrained(str(pretrained_model_name_or_path), **kwargs)
        except VivaceError:
            raise
        except (OSError, ValueError, TypeError, RuntimeError, AttributeError, KeyError, ImportError) as error:
            reason = str(error).strip().split("\n")[0].split(". ")[0]
            raise VivaceError(
                f"Model {str(pretrained_model_name_or_path)!r} cannot be loaded ({reason}); "
                "give a whole folder made for this version of vivace."
            ) from error
        pipeline.check_parts()
        return pipeline

    def check_parts(self) -> None:
        """Raises VivaceError where a codec or the text encoder is not the one the transformer was trained with."""
        for name, expected in (self.transformer.config.trained_with or {}).items():
            part = getattr(self, name, None)
            if isinstance(part, torch.nn.Module) and weights_hash(part) != expected:
                raise VivaceError(
                    f"The transformer was trained with another {name}; "
                    "use the model folder as it was published, without exchanging its parts."
                )

    @property
    def size_multiple(self) -> int:
        """Pictures' sides are multiples of this (codec stride times patch)."""
        return int(self.vae.config.scale_factor_spatial) * int(self.transformer.config.patch_size[-1])

    def timeline(self, seconds: float | Fraction, fps: float | Fraction) -> Timeline:
        """The shortest timeline of this model that lasts at least `seconds`."""
        audio = self.audio_vae.config
        return Timeline.covering(
            seconds,
            fps,
            sample_rate=self.sample_rate,
            temporal_stride=int(self.vae.config.scale_factor_temporal),
            mel_rate=int(audio.sample_rate) // int(audio.mel_hop_length),
            mel_stride=int(self.audio_vae.temporal_compression_ratio),
        )

    @property
    def sample_rate(self) -> int:
        """Of the sound that is made (Hz)."""
        return int(self.vocoder.config.output_sampling_rate)

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
        rule: GuidanceRule | None = None,
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
        can = self.abilities
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        if not 1 <= len(prompts) <= MAX_BATCH:
            raise VivaceError(f"{len(prompts)} prompts were given; give from 1 to {MAX_BATCH} at a time.")
        if modalities not in ("both", "video", "audio"):
            raise VivaceError(f"Modalities {modalities!r} are unknown; use both, video or audio.")
        arranged = arrange(
            can,
            Materials.read(len(prompts), image, audio, video, extend),
            modalities,
            seconds=seconds,
            width=width,
            height=height,
            fps=fps,
            multiple=self.size_multiple,
            covering=self.timeline,
        )
        chosen = preset if isinstance(preset, Preset) else can.preset_named(preset)
        prompts = [check_prompt(text) for text in prompts]
        spoken = self._voices(prompts, voices)
        heard = any(voice is not None for row in spoken for voice in row)
        if "timbre" in (guides or {}) and not heard:
            why = "no voice was given" if self.transformer.config.speaker_dim else f"{can.name} has no voices"
            raise VivaceError(f"Guide 'timbre' has nothing to act on, because {why}; leave it out.")
        chosen = chosen.with_guides(guides or {})
        if num_inference_steps is not None:
            chosen = chosen.model_copy(update={"steps": num_inference_steps})
        chosen.table()  # refuses steps and shifts out of range
        with_video, with_audio = modalities != "audio", modalities != "video"
        negative = negative_prompt
        if negative is None:
            negative = chosen.negative_video if with_video else chosen.negative_audio
        rule = rule or chosen.rule(video=with_video, audio=with_audio, voices=heard)
        # A side that is given needs no prediction, and so no branch that only it would need.
        weights = AV(
            rule.weights.video if with_video and not arranged.video_given else None,
            rule.weights.audio if with_audio and not arranged.audio_given else None,
        )
        return Plan(
            prompts=prompts,
            negative=check_prompt(negative, "The negative prompt") if negative else None,
            preset=chosen,
            rule=replace(rule, weights=weights),
            seeds=_seeds(seed, generator, len(prompts)),
            video=with_video,
            audio=with_audio,
            arranged=arranged,
            voices=spoken,
        )

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
                f"The prompt has {max(spans)} speech spans and {can.name} takes at most {can.most_spans}; "
                "leave some out or make two clips."
            )
        spoken = voices_of_prompts(spans, voices or ())
        if any(voice is not None for row in spoken for voice in row):
            if not self.transformer.config.speaker_dim:
                raise VivaceError(f"{can.name} was not trained with voices; leave the voice out.")
            recorded = any(isinstance(voice, Recording) for row in spoken for voice in row)
            if recorded and self.speaker_encoder is None:
                raise VivaceError(f"{can.name} has no speaker encoder to hear the voice with; install the whole model.")
        return spoken

    @torch.inference_mode()
    def __call__(
        self,
        prompt: str | Sequence[str],
        *,
        callback_on_step_end: Callable[[NavaPipeline, int, int, dict[str, AV[Tensor]]], Any] | None = None,
        output_type: Literal["np", "latent"] = "np",
        together: bool = True,
        **settings: Any,
    ) -> NavaPipelineOutput:
        """Make one clip per prompt.

        Args:
            prompt: one or several; speech between <S> and <E>.
            callback_on_step_end: called as (pipeline, step, timestep, {"latents": AV(video, audio)}) after each step;
                it may return {"latents": AV(...)} to go on with, or raise `SamplingCancelledError`.
            output_type: "np" for pictures and sound, "latent" for what the codecs would decode.
            together: evaluate guidance branches as one batch (False needs less memory).
            **settings: of `plan`: negative_prompt, seconds, height, width, fps, num_inference_steps, preset, guides,
                rule, seed or generator, modalities, image, audio, video, extend, voices.

        Raises:
            VivaceError: any argument out of its range.
            SamplingCancelledError: raised by the callback.
        """
        if output_type not in ("np", "latent"):
            raise VivaceError(f"Output type {output_type!r} is unknown; use np or latent.")
        plan = self.plan(prompt, **settings)
        return self.run(plan, callback_on_step_end=callback_on_step_end, output_type=output_type, together=together)

    @torch.inference_mode()
    def run(
        self,
        plan: Plan,
        *,
        callback_on_step_end: Callable[[NavaPipeline, int, int, dict[str, AV[Tensor]]], Any] | None = None,
        output_type: Literal["np", "latent"] = "np",
        together: bool = True,
    ) -> NavaPipelineOutput:
        """Make the clips of a plan; arguments as for a call."""
        clock = _Clock()
        device = self._execution_device if self.placement is None else torch.device(self.placement.device)
        together = together and (self.placement is None or self.placement.together)
        with clock.timing("text"), self.at_work("text_encoder", "speaker_encoder"):
            features = self._features(plan, device)
            speakers = [self._speakers(voices, device) for voices in plan.voices]
        noise = self._noise(plan, device)
        with clock.timing("given"), self.at_work("vae", "audio_vae"):
            given = self._given(plan, noise, device)

        with (
            clock.timing("sampling"),
            self.at_work("transformer"),
            self.progress_bar(total=plan.preset.steps) as bar,
        ):
            contexts = self._contexts(plan, features, speakers)

            def on_step(step: Step) -> AV[Tensor] | None:
                bar.update()
                if callback_on_step_end is None:
                    return None
                answer = callback_on_step_end(self, step.index, int(step.timestep), {"latents": step.latents})
                return answer.get("latents") if isinstance(answer, dict) else None

            table = plan.preset.table()
            latents = denoise(
                self.transformer,
                noise,
                contexts,
                plan.rule,
                table,
                solver_for(plan.preset.solver, table.sigmas),
                given=given,
                policy=self._policy,
                patch_size=self.transformer.config.patch_size,
                together=together,
                on_step=on_step,
            )
        # Keys and values of the context are large, and decoding needs all the memory there is.
        del contexts, features, given
        with clock.timing("decoding"):
            frames, audio = (latents.video, latents.audio) if output_type == "latent" else self.decode(latents, plan)
        self.maybe_free_model_hooks()
        return NavaPipelineOutput(
            frames=frames,
            audio=audio,
            audio_sample_rate=self.sample_rate,
            fps=plan.timeline.fps,
            timeline=plan.timeline,
            seeds=plan.seeds,
            latents=latents,
            seconds_spent=clock.spent,
        )

    def _features(self, plan: Plan, device: torch.device) -> dict[str | None, tuple[Tensor, list[int]]]:
        """Features and marker places of each text that a branch reads, encoded by itself, so that no neighbour
        changes it."""
        features: dict[str | None, tuple[Tensor, list[int]]] = {}
        for branch in plan.rule.needed():
            for text in self._texts(plan, branch):
                if text not in features:
                    limit = self.transformer.config.text_len
                    encoded = encode_prompts(self.text_encoder, self.tokenizer, [text], limit)
                    features[text] = (encoded.features[0].to(device), encoded.marker_positions[0])
        return features

    @staticmethod
    def _texts(plan: Plan, branch: Branch) -> list[str | None]:
        return list(plan.prompts) if branch.text == "positive" else [plan.negative] * len(plan.prompts)

    def _contexts(
        self, plan: Plan, features: dict[str | None, tuple[Tensor, list[int]]], given: list[Tensor]
    ) -> dict[str, NavaContext]:
        """The context of every branch that runs."""
        width = self.transformer.config.speaker_dim
        # The published program writes no speaker at all where none is given; ours writes the null speaker.
        always = self.abilities.unknown_voice == "null"
        made: dict[tuple[str, bool], NavaContext] = {}
        for branch in plan.rule.needed():
            texts, with_voices = self._texts(plan, branch), branch.voices and branch.text == "positive"
            if (branch.text, with_voices) in made:
                continue
            speakers, places = [], []
            for text, own in zip(texts, given, strict=True):
                marked = features[text][1] if width and (always or (with_voices and own.any())) else []
                places.append(marked)
                speakers.append(own[: len(marked)] if with_voices else torch.zeros(len(marked), width or 0).to(own))
            _load(self.transformer)
            made[branch.text, with_voices] = self.transformer.encode_context(
                [features[text][0] for text in texts], speakers, places
            )
        return {b.name: made[b.text, b.voices and b.text == "positive"] for b in plan.rule.needed()}

    def _speakers(self, voices: Sequence[Voice], device: torch.device) -> Tensor:
        """[spans, speaker_dim] float32, zeros where a voice is not given."""
        return speaker_vectors(self.speaker_encoder, voices, self.transformer.config.speaker_dim or 0, device)

    def _noise(self, plan: Plan, device: torch.device) -> AV[Tensor]:
        config, stride = self.transformer.config, int(self.vae.config.scale_factor_spatial)
        grid = (plan.timeline.latent_frames, plan.height // stride, plan.width // stride)
        video = batch_noise(plan.seeds, "video", (config.video_channels, *grid)) if plan.video else None
        sound = (plan.timeline.audio_tokens, config.audio_channels)
        audio = batch_noise(plan.seeds, "audio", sound) if plan.audio else None
        return AV(video, audio).map(lambda x: x.to(device))

    @property
    def _policy(self) -> GivenPolicy:
        """How what is given is shown to the network."""
        return "held" if self.abilities.first_frame == "none" else self.abilities.first_frame

    def _given(self, plan: Plan, noise: AV[Tensor], device: torch.device) -> AV[Given]:
        """Latents of what is known of each side, from the beginning on."""
        known, count = plan.arranged.known, len(plan.seeds)
        if not known:
            return AV()
        frames = known_latent_frames(known[0], plan.timeline)
        tokens = known_audio_tokens(known[0], plan.timeline)
        video = audio = None
        if frames and noise.video is not None:
            _load(self.vae)
            shown = encode_pictures(self.vae, [k.pictures for k in known if k.pictures is not None], device)
            clean = torch.zeros_like(noise.video)
            clean[:, :, :frames] = shown.expand(count, *shown.shape[1:])
            places = torch.arange(clean.shape[2], device=device) < frames
            video = Given(clean, places[:, None, None].expand(1, 1, -1, 1, 1))
        if tokens and noise.audio is not None:
            _load(self.audio_vae)
            sounds = [k.sound for k in known if k.sound is not None]
            heard = encode_sounds(self.audio_vae, sounds, self.sample_rate, tokens, device)
            clean = torch.zeros_like(noise.audio)
            clean[:, :tokens] = heard.expand(count, *heard.shape[1:])
            audio = Given(clean, (torch.arange(clean.shape[1], device=device) < tokens)[None, :, None])
        return AV(video, audio)

    def decode(self, latents: AV[Tensor], plan: Plan) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Pictures uint8 [B, T, H, W, 3] and sound float32 [B, 2, N] of exactly the plan's length, clip by clip.

        What was given comes back as it was given, not as the codecs return it, unless the model's own procedure
        ("overwritten") is to let the first picture go through them.
        """
        arranged, clips = plan.arranged, []
        for number in range(len(plan.seeds)):
            frames = audio = None
            if latents.video is not None and not arranged.video_given:
                _load(self.vae)
                one = latents.video[number, None].to(self.vae.dtype)
                how = "whole" if self.placement is None else self.placement.decoding
                with self.at_work("vae"):
                    parts = [part.contiguous().cpu().numpy() for part in decode_levels(self.vae, one, how)]
                frames = np.concatenate(parts) if len(parts) > 1 else parts[0]
            if latents.audio is not None and not arranged.audio_given:
                _load(self.audio_vae)
                _load(self.vocoder)
                one = latents.audio[number, None].to(self.audio_vae.dtype)
                with self.at_work("audio_vae", "vocoder"):
                    sound = decode_audio(self.audio_vae, self.vocoder, one)[0]
                audio = sound[:, : plan.timeline.samples].float().cpu().numpy()
            if arranged.known:
                known = arranged.known[number % len(arranged.known)]
                if self._policy == "overwritten" and not arranged.video_given and not arranged.before:
                    known = replace(known, pictures=None)
                frames, audio = put_back(known, frames, audio, self.sample_rate)
            if arranged.before:
                frames, audio = prepend(arranged.before[number % len(arranged.before)], frames, audio)
            clips.append((frames, audio))
        pictures = [frames for frames, _ in clips if frames is not None]
        sounds = [audio for _, audio in clips if audio is not None]
        return np.stack(pictures) if pictures else None, np.stack(sounds) if sounds else None


def _load(module: torch.nn.Module) -> None:
    """Bring an offloaded module to its device before something other than its forward is called."""
    hook = getattr(module, "_hf_hook", None)
    if hook is not None:
        hook.pre_forward(module)


def _seeds(seed: int | Sequence[int] | None, generator: Any, count: int) -> list[int]:
    if seed is None:
        return seeds_from(generator, count)
    if generator is not None:
        raise VivaceError("Both a seed and a generator were given; give one of them.")
    seeds = [seed] if isinstance(seed, int) else list(seed)
    if len(seeds) == 1 and count > 1:
        seeds = [check_seed(seeds[0]) + k for k in range(count)]
    if len(seeds) != count:
        raise VivaceError(f"{len(seeds)} seeds were given for {count} prompts; give one, or one for each.")
    return [check_seed(s) for s in seeds]


class _Clock:
    """Wall time per phase."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    @contextlib.contextmanager
    def timing(self, phase: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.spent[phase] = time.perf_counter() - start


__all__ = ["NavaPipeline", "NavaPipelineOutput", "Plan", "SamplingCancelledError"]
