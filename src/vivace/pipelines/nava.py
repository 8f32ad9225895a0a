"""NavaPipeline: from a prompt to a clip, with diffusers' habits."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from diffusers import AutoencoderKLLTX2Audio, AutoencoderKLWan, DiffusionPipeline
from diffusers.utils import BaseOutput
from torch import Tensor

from vivace.conditioning.first_frame import fit_image
from vivace.conditioning.text import check_prompt, encode_prompts
from vivace.data.fingerprint import weights_hash
from vivace.errors import VivaceError
from vivace.models.codecs import decode_audio, decode_video, encode_video
from vivace.models.nava import NavaContext, NavaTransformer
from vivace.models.vocoder import IstftVocoder
from vivace.pair import AV
from vivace.pipelines.capabilities import Capabilities
from vivace.pipelines.folder import check_folder, shipped_models
from vivace.sampling.guidance import GuidanceRule
from vivace.sampling.loop import Given, SamplingCancelledError, Step, denoise
from vivace.sampling.noise import batch_noise, check_seed, seeds_from
from vivace.sampling.presets import Preset
from vivace.sampling.solvers import solver_for
from vivace.timeline import Timeline

Modalities = Literal["both", "video", "audio"]
MAX_BATCH = 64


@dataclass
class NavaPipelineOutput(BaseOutput):
    """What a call made.

    frames: uint8 [B, T, H, W, 3], or None without pictures (float32 latents [B, C, t, h, w] for output_type "latent").
    audio: float32 [B, 2, N], or None without sound (float32 latents [B, L, C] for output_type "latent").
    audio_sample_rate: Hz.
    fps: pictures per second, exact.
    timeline: the clip's lengths in every unit.
    seeds: the seed of each clip.
    latents: what was sampled, float32, before decoding.
    seconds_spent: wall time of "text", "sampling" and "decoding".
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
    timeline: Timeline
    height: int
    width: int
    preset: Preset
    rule: GuidanceRule
    seeds: list[int]
    video: bool
    audio: bool


class NavaPipeline(DiffusionPipeline):
    """Joint audio-video generation with NAVA.

    Args:
        transformer: predicts the velocity of both modalities.
        text_encoder, tokenizer: UMT5-type encoder and its tokenizer.
        vae: video codec. audio_vae, vocoder: audio codec.
        scheduler: holds the schedule's configuration in diffusers' format; steps are our own (`vivace.sampling`).
        capabilities: section of model_index.json, see `Capabilities`.
    """

    model_cpu_offload_seq = "text_encoder->transformer->vae->audio_vae->vocoder"

    def __init__(
        self,
        transformer: NavaTransformer,
        text_encoder: Any,
        tokenizer: Any,
        vae: AutoencoderKLWan,
        audio_vae: AutoencoderKLLTX2Audio,
        vocoder: IstftVocoder | Any,
        scheduler: Any,
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
        )
        self.abilities = Capabilities.read(capabilities)
        self.register_to_config(capabilities=capabilities)
        for name in ("transformer", "text_encoder", "vae", "audio_vae", "vocoder"):
            getattr(self, name).eval()

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

    def timeline(self, seconds: float, fps: float) -> Timeline:
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
    ) -> Plan:
        """Check everything that a user can get wrong and fill in what the model's folder says; computes nothing.

        Args:
            negative_prompt: None takes the preset's, "" the null text.
            guides: scales over the preset's, such as {"text": 4, "align.audio": 1}.
            rule: a guidance rule of one's own instead of the preset's.
            seed: one for each prompt, or one that the prompts count up from.
            modalities: which sides are generated.

        Raises:
            VivaceError: any argument out of its range.
        """
        can = self.abilities
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        if not 1 <= len(prompts) <= MAX_BATCH:
            raise VivaceError(f"{len(prompts)} prompts were given; give from 1 to {MAX_BATCH} at a time.")
        if modalities not in ("both", "video", "audio"):
            raise VivaceError(f"Modalities {modalities!r} are unknown; use both, video or audio.")
        height, width = can.height if height is None else height, can.width if width is None else width
        can.check_size(width, height, self.size_multiple)
        seconds = can.seconds if seconds is None else can.check_seconds(seconds)
        timeline = self.timeline(seconds, can.fps[0] if fps is None else can.check_rate(fps))
        chosen = preset if isinstance(preset, Preset) else can.preset_named(preset)
        if "timbre" in (guides or {}) and not self.transformer.config.speaker_dim:
            raise VivaceError(f"Guide 'timbre' has nothing to act on, because {can.name} has no voices; leave it out.")
        chosen = chosen.with_guides(guides or {})
        if num_inference_steps is not None:
            chosen = chosen.model_copy(update={"steps": num_inference_steps})
        chosen.table()  # refuses steps and shifts out of range
        video, audio = modalities != "audio", modalities != "video"
        negative = negative_prompt
        if negative is None:
            negative = chosen.negative_video if video else chosen.negative_audio
        return Plan(
            prompts=[check_prompt(text) for text in prompts],
            negative=check_prompt(negative, "The negative prompt") if negative else None,
            timeline=timeline,
            height=height,
            width=width,
            preset=chosen,
            rule=rule or chosen.rule(video=video, audio=audio, voices=False),
            seeds=_seeds(seed, generator, len(prompts)),
            video=video,
            audio=audio,
        )

    @torch.inference_mode()
    def __call__(
        self,
        prompt: str | Sequence[str],
        *,
        image: Any = None,
        callback_on_step_end: Callable[[NavaPipeline, int, int, dict[str, AV[Tensor]]], Any] | None = None,
        output_type: Literal["np", "latent"] = "np",
        together: bool = True,
        **settings: Any,
    ) -> NavaPipelineOutput:
        """Make one clip per prompt.

        Args:
            prompt: one or several; speech between <S> and <E>.
            image: first picture of every clip (uint8 [H, W, 3] or PIL), scaled and cut to the size.
            callback_on_step_end: called as (pipeline, step, timestep, {"latents": AV(video, audio)}) after each step;
                it may return {"latents": AV(...)} to go on with, or raise `SamplingCancelledError`.
            output_type: "np" for pictures and sound, "latent" for what the codecs would decode.
            together: evaluate guidance branches as one batch (False needs less memory).
            **settings: of `plan`: negative_prompt, seconds, height, width, fps, num_inference_steps, preset, guides,
                rule, seed or generator, modalities.

        Raises:
            VivaceError: any argument out of its range.
            SamplingCancelledError: raised by the callback.
        """
        if output_type not in ("np", "latent"):
            raise VivaceError(f"Output type {output_type!r} is unknown; use np or latent.")
        plan = self.plan(prompt, **settings)
        clock = _Clock()
        device = self._execution_device
        with clock.timing("text"):
            contexts = self._contexts(plan, device)
        noise = self._noise(plan, device)
        given = self._given(image, plan, noise, device)

        with clock.timing("sampling"), self.progress_bar(total=plan.preset.steps) as bar:

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
                policy="held" if self.abilities.first_frame == "none" else self.abilities.first_frame,
                patch_size=self.transformer.config.patch_size,
                together=together,
                on_step=on_step,
            )
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

    def _contexts(self, plan: Plan, device: torch.device) -> dict[str, NavaContext]:
        """The context of every branch that runs. Each text is encoded by itself, so that no neighbour changes it."""
        limit = self.transformer.config.text_len
        batches: dict[str, list[str | None]] = {
            "positive": list(plan.prompts),
            "negative": [plan.negative] * len(plan.prompts),
        }
        features: dict[str | None, Tensor] = {}
        made: dict[str, NavaContext] = {}
        for branch in plan.rule.needed():
            texts = batches[branch.text]
            for text in texts:
                if text not in features:
                    encoded = encode_prompts(self.text_encoder, self.tokenizer, [text], limit)
                    features[text] = encoded.features[0].to(device)
            if branch.text not in made:
                _load(self.transformer)
                made[branch.text] = self.transformer.encode_context([features[text] for text in texts])
        return {branch.name: made[branch.text] for branch in plan.rule.needed()}

    def _noise(self, plan: Plan, device: torch.device) -> AV[Tensor]:
        config, stride = self.transformer.config, int(self.vae.config.scale_factor_spatial)
        grid = (plan.timeline.latent_frames, plan.height // stride, plan.width // stride)
        video = batch_noise(plan.seeds, "video", (config.video_channels, *grid)) if plan.video else None
        sound = (plan.timeline.audio_tokens, config.audio_channels)
        audio = batch_noise(plan.seeds, "audio", sound) if plan.audio else None
        return AV(video, audio).map(lambda x: x.to(device))

    def _given(self, image: Any, plan: Plan, noise: AV[Tensor], device: torch.device) -> AV[Given]:
        if image is None:
            return AV()
        if self.abilities.first_frame == "none":
            raise VivaceError(f"{self.abilities.name} was not trained to begin with a given picture; leave it out.")
        if noise.video is None:
            raise VivaceError("A first picture was given for sound alone; leave it out or make pictures too.")
        _load(self.vae)
        picture = fit_image(image, plan.height, plan.width)[None, :, None].to(device, self.vae.dtype)
        clean = torch.zeros_like(noise.video)
        clean[:, :, :1] = encode_video(self.vae, picture).float()
        known = torch.zeros(1, 1, clean.shape[2], 1, 1, dtype=torch.bool, device=device)
        known[:, :, 0] = True
        return AV(video=Given(clean, known))

    def decode(self, latents: AV[Tensor], plan: Plan) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Pictures uint8 [B, T, H, W, 3] and sound float32 [B, 2, N] of exactly the plan's length, clip by clip."""
        frames = audio = None
        if latents.video is not None:
            _load(self.vae)
            frames = np.stack([_pictures(decode_video(self.vae, x[None].to(self.vae.dtype))[0]) for x in latents.video])
        if latents.audio is not None:
            _load(self.audio_vae)
            _load(self.vocoder)
            length = plan.timeline.samples
            sounds = [
                decode_audio(self.audio_vae, self.vocoder, x[None].to(self.audio_vae.dtype))[0] for x in latents.audio
            ]
            audio = np.stack([sound[:, :length].float().cpu().numpy() for sound in sounds])
        return frames, audio


def _pictures(video: Tensor) -> np.ndarray:
    """[3, T, H, W] in [-1, 1] -> uint8 [T, H, W, 3], rounded to the nearest level."""
    levels = ((video.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(levels.permute(1, 2, 3, 0).cpu().numpy())


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
