"""Presets: steps, solver and guidance scales under a name. Data only; a model's folder holds its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vivace.errors import VivaceError
from vivace.pair import AV, Modality
from vivace.sampling.guidance import Guidance, check_scale, nava_rule
from vivace.sampling.guidance_schedule import GuidanceSchedule, Phase
from vivace.sampling.loop import GIVEN_POLICIES, GivenPolicy
from vivace.sampling.schedules import MAX_STEPS, Table, sound_ahead
from vivace.sampling.settings_checks import check_level, is_number
from vivace.sampling.solvers import table_for

Order = Literal["together", "sound-first", "pictures-first", "sound-again"]
# What is made one after another: the first side alone, each next one for what is there of the other by then.
SIDES_IN_TURN: dict[Order, tuple[Modality, ...]] = {
    "together": (),
    "sound-first": ("audio", "video"),
    "pictures-first": ("video", "audio"),
    "sound-again": ("audio", "video", "audio"),
}
GUIDES = ("text", "align", "timbre")
MAX_CACHE = 1.0


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Scale(Frozen):
    """One guide's strength for each modality."""

    video: float
    audio: float


class Steps(Frozen):
    """The steps of a run, whatever the model and its guidance.

    Args:
        shift: of the noise schedule; more than 1 spends more steps at high noise.
        order: where both sides are made, "together", or one after another by the same network, whose tasks these are
            (ours): `SIDES_IN_TURN`.
        sound_lead: where both sides are made together, how far the sound's noise is ahead of the picture's: by how
            much smaller its odds are (`sound_ahead`). 1 is not at all; more lets the picture follow a sound that is
            settled.
        cache: leave the network's blocks out while their input has changed by less than this since they were last
            evaluated; 0 (never) gives exact results. See `vivace.models.reuse.BlockMemory`.
        negative_video, negative_audio: negative prompts for clips with pictures and for sound alone; None is the null
            text that models are trained with.
        first_frame: how what is given is shown to the network (`vivace.sampling.loop`), over what the model's folder
            says.
        sound_rate: samples a second of the sound that is made (Hz); None keeps the vocoder's own.
        sound_peak: every sound is made louder or quieter until it peaks here; None leaves it as it was made.
    """

    steps: int = Field(default=25, ge=1, le=MAX_STEPS)
    solver: Literal["euler", "unipc"] = "unipc"
    shift: float = Field(default=5.0, gt=0, le=100)
    order: Order = "together"
    sound_lead: float = Field(default=1.0, ge=1, le=100)
    cache: float = Field(default=0.0, ge=0, le=MAX_CACHE)
    negative_video: str | None = None
    negative_audio: str | None = None
    first_frame: GivenPolicy | None = None
    sound_rate: int | None = Field(default=None, ge=4000, le=192_000)
    sound_peak: float | None = Field(default=None, gt=0, le=1)

    @model_validator(mode="after")
    def _sides_in_turn_have_no_lead(self) -> Self:
        if self.order != "together" and self.sound_lead != 1:
            raise ValueError(f"sound_lead is for sides that are made together; not with order = {self.order!r}")
        return self

    def table(self) -> Table:
        """The noise schedule."""
        return table_for(self.solver, self.steps, self.shift)

    def sound_table(self) -> Table | None:
        """The noise schedule of sound beside pictures, or None where it is theirs."""
        return None if self.sound_lead == 1 else sound_ahead(self.table(), self.sound_lead)

    def with_cache(self, threshold: float) -> Self:
        """The same preset with another threshold of the step cache.

        Raises:
            VivaceError: no number from 0 to 1.
        """
        if not is_number(threshold) or not 0 <= threshold <= MAX_CACHE:
            raise VivaceError(
                f"cache {threshold!r} is no number from 0 to {MAX_CACHE:g}; give one such as 0.1, or 0 for none."
            )
        return self.model_copy(update={"cache": float(threshold)})

    def with_first_frame(self, policy: str) -> Self:
        """The same preset with another way to show the network what is given.

        Raises:
            VivaceError: an unknown way.
        """
        if policy not in GIVEN_POLICIES:
            raise VivaceError(f"first_frame {policy!r} is unknown; use one of {', '.join(GIVEN_POLICIES)}.")
        return self.model_copy(update={"first_frame": policy})


class Preset(Steps):
    """How to sample NAVA.

    Args:
        text, align: scales; align = None switches that branch off.
        timbre: scale of the voices' branch, used only where voices are given; None switches it off.
        text_above: text guidance acts at noise levels above this one only; below it the scale is 1 (ours).
        official: scales and the masked branch in the published program's convention instead of ours (`nava_rule`).
    """

    text: Scale = Scale(video=3.0, audio=3.0)
    align: Scale | None = None
    timbre: float | None = None
    text_above: float = Field(default=0.0, ge=0, lt=1)
    official: bool = False

    @model_validator(mode="after")
    def _official_has_no_level(self) -> Self:
        if self.official and self.text_above:
            raise ValueError("the published convention has no text_above; leave out one of the two")
        return self

    def with_guides(self, guides: Mapping[str, float]) -> Preset:
        """The same preset with guides replaced: "text", "align", "timbre", one side as "text.audio", or "text.above".

        In the published convention 0 switches align or timbre off.

        Raises:
            VivaceError: an unknown guide or a scale out of range.
        """
        changes: dict[str, object] = {}
        # Whole guides before single sides, so that "text" with "text.audio" means the same in either order.
        for name, value in sorted(guides.items(), key=lambda item: "." in item[0]):
            if name == "text.above":
                changes["text_above"] = check_level(name, value)
                if value and self.official:
                    raise VivaceError(
                        "The published procedure has no text.above; leave it out, or take another preset."
                    )
                continue
            guide, _, side = name.partition(".")
            if guide not in GUIDES or side not in ("", "video", "audio") or (guide, side) == ("timbre", "video"):
                raise VivaceError(
                    f"Guide {name!r} is unknown; use text, align or timbre, and .video or .audio for one side "
                    "(timbre acts on the sound only), or text.above."
                )
            check_scale(name, value)
            if guide == "timbre":
                changes["timbre"] = float(value)
                continue
            now = changes.get(guide, getattr(self, guide)) or Scale(video=0.0, audio=0.0)
            assert isinstance(now, Scale)
            sides = {side: float(value)} if side else {"video": float(value), "audio": float(value)}
            changes[guide] = now.model_copy(update=sides)
        if self.official:  # whose base depends on what is switched off, which is more than a scale of 0
            off = {"align": Scale(video=0.0, audio=0.0), "timbre": 0.0}
            changes |= {guide: None for guide, zero in off.items() if changes.get(guide) == zero}
        return self.model_copy(update=changes)

    def rule(self, *, video: bool, audio: bool, voices: bool) -> Guidance:
        """The guidance rule for a call with these modalities and with or without voices."""
        text = AV(self.text.video if video else None, self.text.audio if audio else None)
        # The published program aligns only where there are two modalities, and has a timbre branch only with a voice.
        align = AV(self.align.video, self.align.audio) if self.align is not None and video and audio else None
        timbre = self.timbre if voices and audio else None
        rule = nava_rule(text, align, timbre, official=self.official)
        if not self.text_above:
            return rule.reduced(video=video, audio=audio, voices=voices)
        calm = nava_rule(text.map(lambda _: 1.0), align, timbre)
        schedule = GuidanceSchedule((Phase(rule, levels=(self.text_above, 1.0)),), calm)
        return schedule.reduced(video=video, audio=audio, voices=voices)


# The published program (its nava.yaml and README): UniPC, 50 steps, shift 5, and what it does besides.
OFFICIAL = Preset(
    steps=50,
    solver="unipc",
    shift=5.0,
    text=Scale(video=3.0, audio=2.0),
    align=Scale(video=3.0, audio=2.0),
    timbre=3.0,
    official=True,
    # Wan's list, then: mechanical, muffled, echoing, distorted sound, hum, popping, noise.
    negative_video=(
        "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，JPEG压缩残留，"
        "丑陋的，残缺的，多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，手指融合，静止不动的画面，"
        "杂乱的背景，三条腿，背景人很多，倒着走，音频带有机械音、闷糊、回音、失真、电流声、爆音、杂音"
    ),
    negative_audio="机械音、闷糊、回音、失真、电流声、爆音、杂音",
    first_frame="overwritten",
    sound_rate=16_000,
    sound_peak=0.95,
)
# The same strength by scales that are what they say, without what is plainly a defect (docs/presets.md).
MENDED = OFFICIAL.model_copy(
    update={
        "text": Scale(video=4.0, audio=3.0),
        "official": False,
        "first_frame": None,
        "sound_rate": None,
        "sound_peak": None,
    }
)
