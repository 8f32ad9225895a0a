"""AliveRefinerPipeline: a finished clip's pictures larger and cleaner, its sound as it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import diffusers
import numpy as np
import torch
from diffusers.utils import BaseOutput
from torch import Tensor

from vivace.conditioning.given import encode_pictures, encode_sounds, fit_pictures, to_stereo
from vivace.conditioning.prompts import check_prompt, speech_spans
from vivace.conditioning.text import encode_prompts
from vivace.data.fingerprint import weights_hash
from vivace.errors import VivaceError
from vivace.media import Clip
from vivace.models.refiner import AliveRefinerTransformer, RefinerContext, heard_by
from vivace.pair import AV
from vivace.pipelines.alive import AlivePipeline
from vivace.pipelines.checksums import check_weights, has_checksums, write_checksums
from vivace.pipelines.clip_plan import seeds_for
from vivace.pipelines.clock import Clock
from vivace.pipelines.decoding import decode_levels
from vivace.pipelines.folder import INDEX, REFINERS, check_folder, find_model, read_index, shipped_models
from vivace.pipelines.refiner_abilities import RefinerCapabilities
from vivace.sampling.degradation import check_degradation, degraded
from vivace.sampling.guidance import Branch, Guidance
from vivace.sampling.guidance_shaping import Shaping
from vivace.sampling.loop import Step, denoise
from vivace.sampling.mutual_presets import MutualPreset
from vivace.sampling.noise import batch_noise
from vivace.sampling.solvers import solver_for
from vivace.timeline import Timeline


@dataclass
class RefinerOutput(BaseOutput):
    """What a call made.

    frames: uint8 [T, H, W, 3]. audio: the clip's own sound, the same array, or None. audio_sample_rate: Hz.
    fps: pictures per second. timeline: of what was sampled, which may last up to three pictures longer.
    seed: of the noise. latents: of the picture [1, C, t, h, w], and those of the sound [1, L, D] as they went in.
    seconds_spent: wall time of "text", "given", "sampling" and "decoding".
    """

    frames: np.ndarray
    audio: np.ndarray | None
    audio_sample_rate: int
    fps: Fraction
    timeline: Timeline
    seed: int
    latents: AV[Tensor]
    seconds_spent: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class RefinerPlan:
    """A call's settings, checked: nothing after this point depends on what a user typed.

    prompt, negative: None is the null text. audio: clean latents [1, L, D], or None to encode the clip's sound.
    """

    clip: Clip
    prompt: str | None
    negative: str | None
    audio: Tensor | None
    width: int
    height: int
    preset: MutualPreset
    rule: Guidance
    shaping: Shaping | None
    degradation: float
    seed: int
    timeline: Timeline
    notes: list[str]


class AliveRefinerPipeline:
    """Refines clips with a transformer of its own and everything else of an Alive model.

    Args:
        base: the model that it was trained for; text encoder, codecs and audio tower are used as they are.
        transformer: predicts the velocity of the picture.
        scheduler: holds the schedule's configuration in diffusers' format; steps are our own.
        capabilities: section of model_index.json, see `RefinerCapabilities`.
    """

    def __init__(
        self,
        base: AlivePipeline,
        transformer: AliveRefinerTransformer,
        scheduler: Any,
        capabilities: dict[str, Any] | None = None,
    ) -> None:
        self.base = base
        self.transformer = transformer.eval()
        self.scheduler = scheduler
        self.capabilities = capabilities
        self.abilities = RefinerCapabilities.read(capabilities)
        self.base.set_progress_bar_config(disable=True)

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, base: str | Path | AlivePipeline | None = None, dtype: torch.dtype = torch.float32
    ) -> Self:
        """Load a shipped refiner by its name, or a refiner's folder, with the base model that it names.

        Args:
            base: that model, or its folder; None looks beside the refiner, then among the shipped models.

        Raises:
            VivaceError: folders that are incomplete, damaged or foreign, or parts that were not trained together.
        """
        folder = find_model(str(folder), kinds=REFINERS)
        check_weights(folder)
        index = read_index(folder, REFINERS)
        if not isinstance(base, AlivePipeline):
            base = AlivePipeline.from_pretrained(base_folder(folder, index, base), dtype=dtype)
        try:
            transformer = AliveRefinerTransformer.from_pretrained(folder / "transformer", torch_dtype=dtype)
            kind = getattr(diffusers, index["scheduler"][1])
            scheduler = kind.from_pretrained(folder / "scheduler")
        except (OSError, ValueError, TypeError, RuntimeError, AttributeError, KeyError) as error:
            reason = str(error).strip().split("\n")[0]
            raise VivaceError(
                f"Refiner {str(folder)!r} cannot be loaded ({reason}); give a whole folder made for this version."
            ) from error
        pipeline = cls(base, transformer, scheduler, index.get("capabilities"))
        pipeline.check_parts()
        return pipeline

    def save_pretrained(self, folder: str | Path, base: str) -> None:
        """Write the refiner's own weights, schedule and capabilities; of the base only its name.

        Args:
            base: name of the base's folder, which is looked for beside this one and among the shipped models.

        Raises:
            VivaceError: a base that is no plain name.
        """
        if not base or Path(base).name != base:
            raise VivaceError(f"Base {base!r} is no plain name of a folder; give one such as nano-alive.")
        folder = Path(folder)
        shutil.rmtree(folder / "transformer", ignore_errors=True)
        self.transformer.save_pretrained(folder / "transformer", max_shard_size="15MB")
        self.scheduler.save_pretrained(folder / "scheduler")
        index = {
            "_class_name": REFINERS[0],
            "_diffusers_version": diffusers.__version__,
            "base": base,
            "capabilities": self.capabilities,
            "scheduler": ["diffusers", type(self.scheduler).__name__],
            "transformer": ["vivace", "AliveRefinerTransformer"],
        }
        (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
        if has_checksums(folder):
            write_checksums(folder)

    def check_parts(self) -> None:
        """Raises VivaceError where the base is not the one that the refiner was trained with."""
        parts = {name: getattr(self.base, name) for name in ("vae", "audio_vae", "text_encoder")}
        parts["audio_tower"] = self.base.transformer.audio
        for name, expected in (self.transformer.config.trained_with or {}).items():
            if name in parts and weights_hash(parts[name]) != expected:
                raise VivaceError(
                    f"The refiner was trained with another {name} than the base model's; name its own base."
                )

    @property
    def device(self) -> torch.device:
        return self.transformer.device

    def to(self, device: str | torch.device) -> Self:
        """Move the refiner and its base."""
        self.base.to(device)
        torch.nn.Module.to(self.transformer, device)
        return self

    def plan(
        self,
        clip: Clip,
        prompt: str | None = None,
        *,
        negative_prompt: str | None = None,
        audio_latents: Tensor | None = None,
        scale: float | None = None,
        width: int | None = None,
        height: int | None = None,
        num_inference_steps: int | None = None,
        preset: str | MutualPreset | None = None,
        guides: Mapping[str, float] | None = None,
        degradation: float | None = None,
        seed: int | None = None,
        generator: torch.Generator | None = None,
    ) -> RefinerPlan:
        """Check everything that a user can get wrong and fill in what the folder says; nothing is computed.

        Args:
            clip: pictures, with or without sound.
            prompt: what is seen and heard; none or "" is the null text.
            negative_prompt: none or "" is the null text.
            audio_latents: those that the clip's sound was decoded from, [1, L, D] or [L, D]; without them the sound is
                encoded.
            scale, or width and height: how large the pictures become; one padded to the codec's multiples is cut after.
            guides: scales over the preset's, "text" and "mutual"; 1 is the plain prediction.
            degradation: share of noise in the start, 0 to 1; more keeps less of the clip and invents more.

        Raises:
            VivaceError: any argument out of its range, or a clip that cannot be taken.
        """
        can = self.abilities
        if not isinstance(clip, Clip):
            raise VivaceError(f"The clip is {type(clip).__name__}; read it first with vivace.media.read_clip.")
        if clip.frames is None:
            raise VivaceError(
                "The clip has no pictures, and a refiner leaves sound as it is; give a clip that has some."
            )
        source = (clip.frames.shape[2], clip.frames.shape[1])
        can.check_clip(*source, clip.fps, clip.seconds)
        timeline = self.base.timeline(clip.seconds, clip.fps)
        if clip.audio is not None:
            check_sound_length(Fraction(clip.audio.shape[1], clip.sample_rate), clip.seconds, timeline)
        size = can.target(source, scale, width, height)
        text, negative = (
            check_prompt(words, what) if words else None
            for words, what in ((prompt, "The prompt"), (negative_prompt, "The negative prompt"))
        )
        audio = None if audio_latents is None else self._checked_latents(audio_latents, timeline)
        sounds = audio is not None or clip.audio is not None
        chosen = preset if isinstance(preset, MutualPreset) else can.preset_named(preset)
        chosen = _guided(chosen, guides or {}, text is not None or negative is not None, sounds)
        if num_inference_steps is not None:
            chosen = chosen.model_copy(update={"steps": num_inference_steps})
        chosen.table()  # refuses steps and shifts out of range
        rule = chosen.guidance(video=True, audio=sounds, references=False).only(video=True, audio=False)
        return RefinerPlan(
            clip=clip,
            prompt=text,
            negative=negative,
            audio=audio,
            width=size[0],
            height=size[1],
            preset=chosen,
            rule=rule,
            shaping=chosen.shaping(),
            degradation=can.degradation if degradation is None else check_degradation(degradation),
            seed=seeds_for(seed, generator, 1)[0],
            timeline=timeline,
            notes=can.notes(source, size),
        )

    def _checked_latents(self, latents: Tensor, timeline: Timeline) -> Tensor:
        wanted = (timeline.audio_tokens, int(self.transformer.config.audio_channels))
        if latents.ndim not in (2, 3) or latents.shape[-2:] != wanted or (latents.ndim == 3 and len(latents) != 1):
            raise VivaceError(
                f"Audio latents of shape {tuple(latents.shape)} do not belong to a clip of this length; "
                f"give those that it was decoded from, [1, {wanted[0]}, {wanted[1]}], or none."
            )
        return latents if latents.ndim == 3 else latents[None]

    @torch.inference_mode()
    def __call__(
        self,
        clip: Clip,
        prompt: str | None = None,
        *,
        on_step: Callable[[Step], AV[Tensor] | None] | None = None,
        **settings: Any,
    ) -> RefinerOutput:
        """Refine a clip.

        Args:
            on_step: called after each step; may return other latents to go on with, or raise `SamplingCancelledError`.
            **settings: of `plan`.

        Raises:
            VivaceError: any argument out of its range.
            SamplingCancelledError: raised by the callback.
        """
        return self.run(self.plan(clip, prompt, **settings), on_step=on_step)

    @torch.inference_mode()
    def run(self, plan: RefinerPlan, *, on_step: Callable[[Step], AV[Tensor] | None] | None = None) -> RefinerOutput:
        """Refine the clip of a plan; arguments as for a call."""
        clock, base, device = Clock(), self.base, self.device
        assert plan.clip.frames is not None
        with clock.timing("text"):
            called = {plan.negative: "The negative prompt", plan.prompt: "The prompt"}
            read = {text: self._features(text, what, device) for text, what in called.items()}
        with clock.timing("given"):
            low = encode_pictures(base.vae, [self._enlarged(plan)], device)
            audio = plan.audio if plan.audio is not None else self._encoded_sound(plan, device)
            contexts = self._contexts(plan, read, audio, device)
        noise = batch_noise([plan.seed], "video", tuple(low.shape[1:])).to(device)
        start = degraded(low, noise, torch.tensor([plan.degradation], device=device))
        table = plan.preset.table()
        with clock.timing("sampling"):
            latents = denoise(
                self.transformer,
                AV(start, None),
                contexts,
                plan.rule,
                table,
                solver_for(plan.preset.solver, table.sigmas),
                patch_size=self.transformer.config.patch_size,
                shaping=plan.shaping,
                on_step=on_step,
            )
        assert latents.video is not None
        with clock.timing("decoding"):
            parts = [part.cpu().numpy() for part in decode_levels(base.vae, latents.video.to(base.vae.dtype))]
        count = len(plan.clip.frames)
        return RefinerOutput(
            frames=np.ascontiguousarray(np.concatenate(parts)[:count, : plan.height, : plan.width]),
            audio=plan.clip.audio,
            audio_sample_rate=plan.clip.sample_rate,
            fps=plan.clip.fps,
            timeline=plan.timeline,
            seed=plan.seed,
            latents=AV(latents.video, audio),
            seconds_spent=clock.spent,
        )

    def _features(self, text: str | None, what: str, device: torch.device) -> tuple[Tensor, Tensor]:
        """Features [n, text_dim] of a text, which errors call `what`, and of what is spoken in it, each by itself."""
        base, limit = self.base, self.transformer.config.text_len
        spoken = " ".join(speech_spans(text)) if text else ""
        whole, said = (
            encode_prompts(base.text_encoder, base.tokenizer, [words], limit, what).features[0].to(device)
            for words in (text, spoken or None)
        )
        return whole, said

    def _enlarged(self, plan: RefinerPlan) -> np.ndarray:
        """The clip's pictures at the size (Lanczos), with edges and end repeated to what codec and patches hold."""
        assert plan.clip.frames is not None
        large = fit_pictures(plan.clip.frames, plan.height, plan.width)
        multiple = self.base.size_multiple
        missing = (plan.timeline.frames - len(large), -plan.height % multiple, -plan.width % multiple)
        return np.pad(large, (*((0, n) for n in missing), (0, 0)), mode="edge")

    def _encoded_sound(self, plan: RefinerPlan, device: torch.device) -> Tensor | None:
        if plan.clip.audio is None:
            return None
        base, tokens = self.base, plan.timeline.audio_tokens
        sound = to_stereo(plan.clip.audio, plan.clip.sample_rate, base.sample_rate)
        return encode_sounds(base.audio_vae, [sound], base.sample_rate, tokens, device)

    def _contexts(
        self,
        plan: RefinerPlan,
        read: Mapping[str | None, tuple[Tensor, Tensor]],
        audio: Tensor | None,
        device: torch.device,
    ) -> dict[str, RefinerContext]:
        """The context of every branch: the sound is heard once for each text."""
        seconds = AV(plan.timeline.latent_frame_times(), plan.timeline.audio_token_times())
        times = seconds.map(lambda each: torch.from_numpy(each).to(device))
        made: dict[str | None, RefinerContext] = {}

        def context(branch: Branch) -> RefinerContext:
            text = plan.prompt if branch.text == "positive" else plan.negative
            if text not in made:
                whole, spoken = read[text]
                sound = None
                if audio is not None:
                    sound = heard_by(self.base.transformer, [whole], [spoken], audio.to(device))
                made[text] = self.transformer.encode_context([whole], sound, times)
            return made[text]

        return {branch.name: context(branch) for branch in plan.rule.needed(plain=plan.shaping is not None)}


def base_folder(folder: Path, index: Mapping[str, Any], given: str | Path | None) -> Path:
    """Where a refiner's base model is.

    Raises:
        VivaceError: nowhere.
    """
    if given is not None:
        return find_model(str(given), kinds=("AlivePipeline",))
    name = str(index.get("base") or "")
    beside = folder.parent / name
    if name and Path(name).name == name:
        if (beside / INDEX).is_file():
            check_folder(beside, kind="AlivePipeline")
            return beside
        if name in shipped_models():
            return shipped_models()[name]
    raise VivaceError(
        f"Refiner {str(folder)!r} needs the model {name!r}, which is neither beside it nor shipped; "
        "put it there, or name its folder as base."
    )


def _guided(preset: MutualPreset, guides: Mapping[str, float], worded: bool, sounds: bool) -> MutualPreset:
    """A preset with guides, those without effect at 1, so that no branch is run for them.

    Raises:
        VivaceError: a guide that is unknown, of the sound, or has nothing to act on.
    """
    nothing = {
        "text": None if worded else "no prompt was given",
        "mutual": None if sounds else "the clip has no sound",
        "references": "a refiner takes none",
    }
    for name in guides:
        guide, _, side = name.partition(".")
        reason = nothing.get(guide) or ("a refiner leaves the sound as it is" if side == "audio" else None)
        if reason:
            raise VivaceError(f"Guide {name!r} has nothing to act on, because {reason}; leave it out.")
    chosen = preset.with_guides(guides)
    if chosen.form == "fast":  # one strength for all conditions
        return chosen
    return chosen.with_guides({name: 1.0 for name, reason in nothing.items() if reason})


def check_sound_length(heard: Fraction, shown: Fraction, timeline: Timeline) -> None:
    """Raises VivaceError where the seconds of sound and of pictures differ by a latent frame or more."""
    if abs(heard - shown) >= 1 / timeline.latent_rate:
        which = "longer" if heard > shown else "shorter"
        raise VivaceError(
            f"The clip's sound lasts {float(heard):.3f} s, {which} than its pictures ({float(shown):.3f} s); "
            "cut or fill one of them."
        )


__all__ = ["AliveRefinerPipeline", "RefinerOutput", "RefinerPlan", "base_folder", "check_sound_length"]
