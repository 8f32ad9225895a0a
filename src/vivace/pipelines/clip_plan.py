"""A call's settings, checked: what the plans of all architectures have in common, and how it is settled."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, TypeVar

import torch

from vivace.conditioning.prompts import check_prompt
from vivace.errors import VivaceError
from vivace.media import Clip
from vivace.pair import Modality
from vivace.pipelines.capabilities import Abilities
from vivace.pipelines.materials import Arranged, Materials, Modalities, arrange
from vivace.pipelines.parallel import Devices
from vivace.sampling.guidance import Guidance
from vivace.sampling.guidance_shaping import Shaping
from vivace.sampling.noise import check_seed, seeds_from
from vivace.sampling.presets import SIDES_IN_TURN, Steps
from vivace.timeline import Timeline

MAX_BATCH = 64
S = TypeVar("S", bound=Steps)


@dataclass(frozen=True, kw_only=True)
class ClipPlan:
    """A call's settings, checked: nothing after this point depends on what a user typed.

    in_turn: the sides that are made one after another, each with its guidance; none where all is made at once.
    """

    prompts: list[str]
    negative: str | None  # None is the null text
    preset: Steps
    rule: Guidance
    in_turn: tuple[tuple[Modality, Guidance], ...] = ()
    shaping: Shaping | None = None
    seeds: list[int]
    video: bool
    audio: bool
    arranged: Arranged

    @property
    def makes_both(self) -> bool:
        """Whether neither side is absent or given whole."""
        return self.video and self.audio and not (self.arranged.video_given or self.arranged.audio_given)

    @property
    def turns(self) -> tuple[ClipPlan, ...]:
        """What is denoised one after another, each with the guidance of what it makes."""
        if not self.in_turn:
            return (self,)
        sides = [side for side, _ in self.in_turn]
        return tuple(
            replace(
                self,
                rule=rule,
                in_turn=(),
                video="video" in sides[: number + 1],
                audio="audio" in sides[: number + 1],
            )
            for number, (_, rule) in enumerate(self.in_turn)
        )

    @property
    def rules(self) -> tuple[Guidance, ...]:
        """The guidance of everything that is made."""
        return (self.rule, *(rule for _, rule in self.in_turn))

    @property
    def negative_called(self) -> str:
        """How an error calls the negative prompt, which is mostly not the user's own."""
        presets = (self.preset.negative_video, self.preset.negative_audio)
        return "The preset's negative prompt" if self.negative in presets else "The negative prompt"

    @property
    def timeline(self) -> Timeline:
        return self.arranged.timeline

    @property
    def height(self) -> int:
        return self.arranged.height

    @property
    def width(self) -> int:
        return self.arranged.width


class Planned:
    """A pipeline that plans its calls: prompts and materials first, then what the architecture has of its own, then
    everything else (`_settled`)."""

    abilities: Abilities[Any]
    devices: Devices | None = None  # those that share the work, see vivace.pipelines.parallel

    @property
    @abstractmethod
    def size_multiple(self) -> int:
        """Pictures' sides are multiples of this (codec stride times patch)."""

    @abstractmethod
    def timeline(self, seconds: float | Fraction, fps: float | Fraction) -> Timeline:
        """The shortest timeline of this model that lasts at least `seconds`."""

    def _arranged(
        self,
        prompt: str | Sequence[str],
        modalities: Modalities,
        *,
        seconds: float | None,
        width: int | None,
        height: int | None,
        fps: float | None,
        image: Any,
        audio: Clip | Sequence[Clip] | None,
        video: Clip | Sequence[Clip] | None,
        extend: Clip | Sequence[Clip] | None,
    ) -> tuple[list[str], Arranged]:
        """The prompts, and what is given brought to one size, rate and length; arguments are those of `plan`.

        Raises:
            VivaceError: any of them out of its range.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        check_count(prompts)
        if modalities not in ("both", "video", "audio"):
            raise VivaceError(f"Modalities {modalities!r} are unknown; use both, video or audio.")
        arranged = arrange(
            self.abilities,
            Materials.read(len(prompts), image, audio, video, extend),
            modalities,
            seconds=seconds,
            width=width,
            height=height,
            fps=fps,
            multiple=self.size_multiple,
            covering=self.timeline,
        )
        return [check_prompt(text) for text in prompts], arranged

    def _settled(
        self,
        prompts: list[str],
        arranged: Arranged,
        modalities: Modalities,
        preset: Steps,
        rule: Guidance | None,
        guided: Callable[..., Guidance],
        *,
        shaping: Shaping | None = None,
        negative_prompt: str | None,
        seed: int | Sequence[int] | None,
        generator: torch.Generator | Sequence[torch.Generator] | None,
    ) -> ClipPlan:
        """What every architecture's plan says, from what `_arranged` gave and the preset that was chosen.

        Args:
            rule: a rule of one's own, or None for the preset's.
            guided: the preset's rule of a clip with these sides, called with `video` and `audio`.

        Raises:
            VivaceError: a negative prompt or seeds out of range, or more devices than branches of guidance.
        """
        with_video, with_audio = modalities != "audio", modalities != "video"
        negative = negative_prompt
        if negative is None:
            negative = preset.negative_video if with_video else preset.negative_audio
        # A side that is given needs no prediction, and so no branch that only it would need.
        video, audio = with_video and not arranged.video_given, with_audio and not arranged.audio_given
        whole = (rule or guided(video=with_video, audio=with_audio)).only(video=video, audio=audio)
        in_turn: list[tuple[Modality, Guidance]] = []
        if video and audio:
            for side in SIDES_IN_TURN[preset.order]:
                own = {"video": side == "video", "audio": side == "audio"}
                # The first has nothing of the other side beside it, whose branches would differ in nothing.
                base = whole if in_turn else rule or guided(**own)
                in_turn.append((side, base.only(**own)))
        if self.devices is not None:
            for one in (whole, *(rule for _, rule in in_turn)):
                self.devices.own(one.needed())  # refuses more devices than branches
            if seed is None and generator is None:
                raise VivaceError("A clip that several devices make needs a seed that all of them know; give one.")
        return ClipPlan(
            prompts=prompts,
            negative=check_prompt(negative, "The negative prompt") if negative else None,
            preset=preset,
            rule=whole,
            in_turn=tuple(in_turn),
            shaping=shaping,
            seeds=seeds_for(seed, generator, len(prompts)),
            video=with_video,
            audio=with_audio,
            arranged=arranged,
        )


def adjusted(preset: S, arranged: Arranged, steps: int | None, cache: float | None, first_frame: str | None) -> S:
    """A preset with another number of steps, threshold of the step cache and way to show what is given, where they are
    asked for.

    Raises:
        VivaceError: any of them, or the preset's shift, out of range; a way to show what is not given.
    """
    if steps is not None:
        preset = preset.model_copy(update={"steps": steps})
    if cache is not None:
        preset = preset.with_cache(cache)
    if first_frame is not None:
        preset = preset.with_first_frame(first_frame)
        if not arranged.known:
            raise VivaceError("first_frame has nothing to act on, because nothing is given; leave it out.")
    preset.table()  # refuses steps and shifts out of range
    return preset


def check_count(prompts: Sequence[str]) -> None:
    """Raises VivaceError for no prompt, or more than fit a call."""
    if not 1 <= len(prompts) <= MAX_BATCH:
        raise VivaceError(f"{len(prompts)} prompts were given; give from 1 to {MAX_BATCH} at a time.")


def seeds_for(seed: int | Sequence[int] | None, generator: Any, count: int) -> list[int]:
    """The seed of each of `count` clips.

    Raises:
        VivaceError: both a seed and a generator, another number of seeds than clips, or a seed out of range.
    """
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
