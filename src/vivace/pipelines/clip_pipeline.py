"""What the pipelines of all architectures share: folder, lengths, noise, what is given, the run itself, decoding."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from diffusers import DiffusionPipeline
from diffusers.utils import BaseOutput
from torch import Tensor

from vivace.conditioning.continuation import levelled, prepend
from vivace.conditioning.given import (
    encode_pictures,
    encode_sounds,
    known_audio_tokens,
    known_latent_frames,
    put_back,
)
from vivace.data.fingerprint import weights_hash
from vivace.errors import VivaceError
from vivace.models.codecs import decode_audio
from vivace.pair import AV, Modality
from vivace.pipelines.checksums import check_weights, has_checksums, write_checksums
from vivace.pipelines.clip_plan import ClipPlan, Planned
from vivace.pipelines.clock import Clock
from vivace.pipelines.compiling import check_compiler
from vivace.pipelines.decoding import decode_levels, finished_sound
from vivace.pipelines.folder import check_folder, locate_model
from vivace.pipelines.lora import LoraLoading
from vivace.pipelines.placing import Placed, load_offloaded
from vivace.pipelines.windows import Sides, following, joined, window_count, window_seed
from vivace.sampling.guidance import Branch
from vivace.sampling.loop import Given, GivenPolicy, SamplingCancelledError, Step, denoise
from vivace.sampling.noise import batch_noise
from vivace.sampling.solvers import solver_for
from vivace.timeline import Timeline

# Called as (pipeline, step, timestep, {"latents": AV(video, audio)}).
OnStepEnd = Callable[[Any, int, int, dict[str, AV[Tensor]]], Any]


@dataclass
class ClipOutput(BaseOutput):
    """What a call made.

    frames: uint8 [B, T, H, W, 3], or None without pictures (float32 latents [B, C, t, h, w] for output_type "latent").
    audio: float32 [B, 2, N], or None without sound (float32 latents [B, L, C] for output_type "latent").
    audio_sample_rate: Hz.
    fps: pictures per second, exact.
    timeline: lengths in every unit of what was sampled; of a continued clip that is its tail and what follows, of one
        that was made in several windows the first of them.
    seeds: the seed of each clip.
    latents: what was sampled, float32, before decoding; windows one after another.
    seconds_spent: wall time of "text", "given", "sampling" and "decoding".
    windows: timelines of the windows after the first, for a clip that was made in several.
    """

    frames: np.ndarray | Tensor | None
    audio: np.ndarray | Tensor | None
    audio_sample_rate: int
    fps: Fraction
    timeline: Timeline
    seeds: list[int]
    latents: AV[Tensor]
    seconds_spent: dict[str, float]
    windows: list[Timeline] = field(default_factory=list)


class ClipPipeline(Planned, LoraLoading, Placed, DiffusionPipeline):
    """A pipeline that makes clips with one transformer, a text encoder and two codecs.

    A subclass plans a call with what `Planned` settles for all, reads its texts, and makes the context of every branch
    of guidance.
    """

    compiled = False
    _interrupt = False

    @abstractmethod
    def plan(self, *prompt: Any, **settings: Any) -> ClipPlan:
        """Check everything that a user can get wrong; nothing is generated."""

    @abstractmethod
    def _read(self, plan: Any, device: torch.device) -> Any:
        """What texts and voices say, before anything else takes memory."""

    @abstractmethod
    def _contexts(self, plan: Any, read: Any, given: AV[Given]) -> Mapping[str, Any]:
        """The context of every branch that runs here, by its name."""

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | Path, *, allow_download: bool = False, **kwargs: Any
    ) -> Self:
        """Load a shipped model by its name, or a model folder; weights are computed with in float32 unless `dtype` says
        otherwise.

        Args:
            allow_download: fetch a repository of the Hugging Face hub, named owner/name; nothing else uses the network.

        Raises:
            VivaceError: there is no such model, the folder is incomplete, damaged or foreign, or its parts were not
                trained together.
        """
        folder = locate_model(str(pretrained_model_name_or_path), allow_download=allow_download)
        check_folder(folder, kind=cls.__name__)
        check_weights(folder)
        # Shipped weights are stored in bfloat16, which a CPU computes slowly and less exactly.
        kwargs.setdefault("dtype", kwargs.pop("torch_dtype", torch.float32))
        try:
            pipeline: Self = super().from_pretrained(str(folder), **kwargs)
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

    def save_pretrained(self, save_directory: str | Path, **kwargs: Any) -> None:
        """Write a model folder; where one with checksums is written over, they become those of the new weights."""
        super().save_pretrained(str(save_directory), **kwargs)
        if has_checksums(Path(save_directory)):
            write_checksums(Path(save_directory))

    def check_parts(self) -> None:
        """Raises VivaceError for weights that are not finite, or where a codec or the text encoder is not the one that
        the transformer was trained with."""
        for name, part in self.components.items():
            bad = not_finite_in(part) if isinstance(part, torch.nn.Module) else None
            if bad is not None:
                raise VivaceError(
                    f"The weights of the {name} hold values in {bad!r} that are not finite; copy or download the model "
                    "folder again."
                )
        for name, expected in (self.transformer.config.trained_with or {}).items():
            part = getattr(self, name, None)
            if isinstance(part, torch.nn.Module) and weights_hash(part) != expected:
                raise VivaceError(
                    f"The transformer was trained with another {name}; "
                    "use the model folder as it was published, without exchanging its parts."
                )

    def compile_blocks(self, backend: str = "inductor") -> None:
        """Compile the transformer's blocks at their first call (regional `torch.compile`); results differ in rounding.

        Raises:
            VivaceError: a machine without a C++ compiler (CPU) or Triton (GPU), or a pipeline spread over devices.
        """
        if self.devices is not None:
            raise VivaceError("Blocks that are spread over devices cannot be compiled; leave one of the two out.")
        if backend == "inductor":
            check_compiler(self._execution_device.type)
        self.transformer.compile_repeated_blocks(backend=backend)
        self.compiled = True

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

    @torch.inference_mode()
    def __call__(
        self,
        prompt: str | Sequence[str],
        *,
        callback_on_step_end: OnStepEnd | None = None,
        output_type: Literal["np", "latent"] = "np",
        together: bool = True,
        **settings: Any,
    ) -> ClipOutput:
        """Make one clip per prompt.

        Args:
            prompt: one or several; speech between <S> and <E>.
            callback_on_step_end: called as (pipeline, step, timestep, {"latents": AV(video, audio)}) after each step;
                it may return {"latents": AV(...)} to go on with, raise `SamplingCancelledError`, or, as in diffusers,
                set `pipeline._interrupt`; a clip that is half denoised is not decoded.
            output_type: "np" for pictures and sound, "latent" for what the codecs would decode.
            together: evaluate guidance branches as one batch (False needs less memory).
            **settings: of `plan`.

        Raises:
            VivaceError: any argument out of its range.
            SamplingCancelledError: raised or asked for by the callback.
        """
        if output_type not in ("np", "latent"):
            raise VivaceError(f"Output type {output_type!r} is unknown; use np or latent.")
        plan = self.plan(prompt, **settings)
        return self.run(plan, callback_on_step_end=callback_on_step_end, output_type=output_type, together=together)

    @torch.inference_mode()
    def run(
        self,
        plan: ClipPlan,
        *,
        callback_on_step_end: OnStepEnd | None = None,
        output_type: Literal["np", "latent"] = "np",
        together: bool = True,
    ) -> ClipOutput:
        """Make the clips of a plan; arguments as for a call.

        Raises:
            VivaceError: latents asked of, or several devices for, a clip that is made in several windows.
        """
        if not plan.arranged.later:
            return self._window(plan, callback_on_step_end, output_type, together)
        if output_type == "latent" or self.devices is not None:
            able = "has no latents of its whole" if self.devices is None else "is made on one device"
            raise VivaceError(
                f"A clip that is continued by more than {self.abilities.longest_seconds:g} s at a time {able}; "
                "ask for fewer seconds, and continue the result."
            )
        out = self._window(plan, callback_on_step_end, output_type, together)
        made, given = self._made(out), self._known_before(plan)
        while plan.arranged.later:
            number = len(out.windows) + 1
            arranged = following(self.abilities, plan.arranged, made)
            plan = replace(plan, arranged=arranged, seeds=[window_seed(seed, number) for seed in out.seeds])
            more = self._window(plan, callback_on_step_end, output_type, together, as_given=False)
            made = [
                joined(before, tail, sides, plan.timeline, start)
                for before, tail, sides, start in zip(
                    arranged.before, arranged.known, self._made(more), given, strict=True
                )
            ]
            out.windows.append(plan.timeline)
            out.latents = out.latents.map(lambda x, y: torch.cat((x, y), 2 if x.ndim == 5 else 1), more.latents)
            out.seconds_spent = {name: spent + more.seconds_spent[name] for name, spent in out.seconds_spent.items()}
        if out.frames is not None:
            out.frames = np.stack([sides.pictures for sides in made if sides.pictures is not None])
        if out.audio is not None:
            out.audio = np.stack([sides.sound for sides in made if sides.sound is not None])
        return out

    @staticmethod
    def _made(out: ClipOutput) -> list[Sides]:
        """The clips of an output, one by one."""
        return [
            Sides(
                None if out.frames is None else np.asarray(out.frames[n]),
                None if out.audio is None else np.asarray(out.audio[n]),
            )
            for n in range(len(out.seeds))
        ]

    def _known_before(self, plan: ClipPlan) -> list[Sides]:
        """What was given of each clip that is continued."""
        parts = list(zip(plan.arranged.before, plan.arranged.known, strict=True))
        whole = [Sides(*prepend(before, tail.pictures, tail.sound)) for before, tail in parts]
        return [whole[n % len(whole)] for n in range(len(plan.seeds))]

    def _window(
        self,
        plan: ClipPlan,
        callback_on_step_end: OnStepEnd | None,
        output_type: Literal["np", "latent"],
        together: bool,
        as_given: bool = True,
    ) -> ClipOutput:
        """What the model makes at a time; `as_given` False leaves what was given as the codecs return it, and alone."""
        clock = Clock()
        device = self._execution_device if self.placement is None else torch.device(self.placement.device)
        together = together and (self.placement is None or self.placement.together)
        with clock.timing("text"), self.at_work("text_encoder", "speaker_encoder"):
            read = self._read(plan, device)
        noise = self._noise(plan, device)
        with clock.timing("given"), self.at_work("vae", "audio_vae"):
            given = self._given(plan, noise, device)

        turns = plan.turns
        with (
            clock.timing("sampling"),
            self.at_work("transformer"),
            self.progress_bar(total=plan.preset.steps * len(turns)) as bar,
        ):

            def on_step(before: int, step: Step) -> AV[Tensor] | None:
                bar.update()
                if callback_on_step_end is None:
                    return None
                number = before + step.index
                self._interrupt = False
                answer = callback_on_step_end(self, number, int(step.timestep), {"latents": step.latents})
                if self._interrupt:
                    raise SamplingCancelledError
                return answer.get("latents") if isinstance(answer, dict) else None

            latents: AV[Tensor] = AV()
            sides: list[Modality | None] = [side for side, _ in plan.in_turn] or [None]
            for number, (turn, side) in enumerate(zip(turns, sides, strict=True)):
                own = AV(noise.video if turn.video else None, noise.audio if turn.audio else None)
                told = partial(on_step, number * plan.preset.steps)
                shown = given if side is None else _beside(side, latents, given)
                latents = self._denoised(turn, own, read, shown, together, told)
        del read, given
        with clock.timing("decoding"):
            frames: np.ndarray | Tensor | None = latents.video
            audio: np.ndarray | Tensor | None = latents.audio
            if output_type == "np":
                frames, audio = self.decode(latents, plan, as_given)
        rate = self.sample_rate
        if isinstance(audio, np.ndarray) and all(known.sound is None for known in plan.arranged.known):
            audio, rate = finished_sound(audio, rate, plan.preset)
        self.maybe_free_model_hooks()
        return ClipOutput(
            frames=frames,
            audio=audio,
            audio_sample_rate=rate,
            fps=plan.timeline.fps,
            timeline=plan.timeline,
            seeds=plan.seeds,
            latents=latents,
            seconds_spent=clock.spent,
        )

    def _denoised(
        self,
        plan: ClipPlan,
        noise: AV[Tensor],
        read: Any,
        given: AV[Given],
        together: bool,
        on_step: Callable[[Step], AV[Tensor] | None],
    ) -> AV[Tensor]:
        """Noise to latents, of one turn of a plan."""
        given = AV(given.video if plan.video else None, given.audio)
        # Keys and values of the context are large, and are gone before what comes next needs memory.
        contexts = self._contexts(plan, read, given)
        table = plan.preset.table()
        # Where one side is given whole there is nothing to be ahead of.
        sound = plan.preset.sound_table() if plan.makes_both else None
        return denoise(
            self.transformer,
            noise,
            contexts,
            plan.rule,
            table,
            solver_for(plan.preset.solver, table.sigmas, None if sound is None else sound.sigmas),
            sound=sound,
            given=given,
            policy=self._policy(plan),
            patch_size=self.transformer.config.patch_size,
            together=together,
            cache=plan.preset.cache,
            devices=self.devices,
            shaping=plan.shaping,
            on_step=on_step,
        )

    def steps_of(self, plan: ClipPlan) -> int:
        """Denoising steps of all windows of a plan."""
        return plan.preset.steps * len(plan.turns) * window_count(self.abilities, plan.arranged)

    def _own_branches(self, plan: ClipPlan) -> tuple[Branch, ...]:
        """The branches that run here."""
        found: dict[str, Branch] = {}
        for rule in plan.rules:
            branches = rule.needed()
            found |= {b.name: b for b in (branches if self.devices is None else self.devices.own(branches))}
        return tuple(found.values())

    @staticmethod
    def _texts(plan: ClipPlan, branch: Branch) -> list[str | None]:
        return list(plan.prompts) if branch.text == "positive" else [plan.negative] * len(plan.prompts)

    @staticmethod
    def _called(plan: ClipPlan, text: str | None) -> str:
        """How an error calls a text that a branch reads."""
        return "The prompt" if text in plan.prompts else plan.negative_called

    def _noise(self, plan: ClipPlan, device: torch.device) -> AV[Tensor]:
        config, stride = self.transformer.config, int(self.vae.config.scale_factor_spatial)
        grid = (plan.timeline.latent_frames, plan.height // stride, plan.width // stride)
        video = batch_noise(plan.seeds, "video", (config.video_channels, *grid)) if plan.video else None
        sound = (plan.timeline.audio_tokens, config.audio_channels)
        audio = batch_noise(plan.seeds, "audio", sound) if plan.audio else None
        return AV(video, audio).map(lambda x: x.to(device))

    def _policy(self, plan: ClipPlan) -> GivenPolicy:
        """How what is given is shown to the network."""
        own: GivenPolicy = "held" if self.abilities.first_frame == "none" else self.abilities.first_frame
        return plan.preset.first_frame or own

    def _given(self, plan: ClipPlan, noise: AV[Tensor], device: torch.device) -> AV[Given]:
        """Latents of what is known of each side, from the beginning on."""
        known, count = plan.arranged.known, len(plan.seeds)
        if not known:
            return AV()
        frames = known_latent_frames(known[0], plan.timeline)
        tokens = known_audio_tokens(known[0], plan.timeline)
        video = audio = None
        if frames and noise.video is not None:
            load_offloaded(self.vae)
            shown = encode_pictures(self.vae, [k.pictures for k in known if k.pictures is not None], device)
            clean = torch.zeros_like(noise.video)
            clean[:, :, :frames] = shown.expand(count, *shown.shape[1:])
            places = torch.arange(clean.shape[2], device=device) < frames
            video = Given(clean, places[:, None, None].expand(1, 1, -1, 1, 1))
        if tokens and noise.audio is not None:
            load_offloaded(self.audio_vae)
            sounds = [k.sound for k in known if k.sound is not None]
            heard = encode_sounds(self.audio_vae, sounds, self.sample_rate, tokens, device)
            clean = torch.zeros_like(noise.audio)
            clean[:, :tokens] = heard.expand(count, *heard.shape[1:])
            audio = Given(clean, (torch.arange(clean.shape[1], device=device) < tokens)[None, :, None])
        return AV(video, audio)

    def decode(
        self, latents: AV[Tensor], plan: ClipPlan, as_given: bool = True
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Pictures uint8 [B, T, H, W, 3] and sound float32 [B, 2, N] of exactly the plan's length, clip by clip.

        What was given comes back as it was given, not as the codecs return it, unless the model's own procedure
        ("overwritten") is to let the first picture go through them, or `as_given` is False.
        """
        arranged, clips = plan.arranged, []
        for number in range(len(plan.seeds)):
            frames = audio = None
            if latents.video is not None and not arranged.video_given:
                load_offloaded(self.vae)
                one = latents.video[number, None].to(self.vae.dtype)
                how = "whole" if self.placement is None else self.placement.decoding
                with self.at_work("vae"):
                    parts = [part.contiguous().cpu().numpy() for part in decode_levels(self.vae, one, how)]
                frames = np.concatenate(parts) if len(parts) > 1 else parts[0]
            if latents.audio is not None and not arranged.audio_given:
                load_offloaded(self.audio_vae)
                load_offloaded(self.vocoder)
                one = latents.audio[number, None].to(self.audio_vae.dtype)
                with self.at_work("audio_vae", "vocoder"):
                    sound = decode_audio(self.audio_vae, self.vocoder, one)[0]
                audio = sound[:, : plan.timeline.samples].float().cpu().numpy()
            if arranged.known and as_given:
                known = arranged.known[number % len(arranged.known)]
                if self._policy(plan) == "overwritten" and not arranged.video_given and not arranged.before:
                    known = replace(known, pictures=None)
                if arranged.before and frames is not None and known.pictures is not None:
                    frames = levelled(known.pictures, frames, plan.timeline.fps)
                frames, audio = put_back(known, frames, audio, self.sample_rate)
            if arranged.before and as_given:
                frames, audio = prepend(arranged.before[number % len(arranged.before)], frames, audio)
            clips.append((frames, audio))
        pictures = [frames for frames, _ in clips if frames is not None]
        sounds = [audio for _, audio in clips if audio is not None]
        return np.stack(pictures) if pictures else None, np.stack(sounds) if sounds else None


def _beside(side: Modality, made: AV[Tensor], given: AV[Given]) -> AV[Given]:
    """What a side that is made in its turn is shown: of the other what was made of it, of itself what the user gave."""
    whole = made.map(lambda x: Given(x, torch.ones_like(x, dtype=torch.bool)))
    if side == "video":
        return AV(given.video, whole.audio or given.audio)
    return AV(whole.video or given.video, given.audio)


def not_finite_in(module: torch.nn.Module) -> str | None:
    """The name of a tensor with a value that is not finite, if there is one."""
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point() and tensor.numel() and tensor.device.type != "meta":
            # Extremes are enough, since NaN and infinity both spread to them, and they need no memory of their own.
            wide = tensor.float() if tensor.dtype.itemsize == 1 else tensor
            if not all(torch.isfinite(extreme) for extreme in torch.aminmax(wide)):
                return name
    return None
