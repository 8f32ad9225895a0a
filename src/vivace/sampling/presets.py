"""Presets: steps, solver and guidance scales under a name. Data only; a model's folder holds its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from vivace.errors import VivaceError
from vivace.pair import AV
from vivace.sampling.guidance import GuidanceRule, check_scale, nava_rule
from vivace.sampling.schedules import MAX_STEPS, Table
from vivace.sampling.solvers import table_for

GUIDES = ("text", "align", "timbre")


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Scale(Frozen):
    """One guide's strength for each modality."""

    video: float
    audio: float


class Preset(Frozen):
    """How to sample.

    Args:
        shift: of the noise schedule; more than 1 spends more steps at high noise.
        text, align: scales; align = None switches that branch off.
        timbre: scale of the voices' branch, used only where voices are given; None switches it off.
        official: scales in the published program's convention instead of ours (`nava_rule`).
        negative_video, negative_audio: negative prompts for clips with pictures and for sound alone; None is the null
            text that models are trained with.
    """

    steps: int = Field(25, ge=1, le=MAX_STEPS)
    solver: Literal["euler", "unipc"] = "unipc"
    shift: float = Field(5.0, gt=0, le=100)
    text: Scale = Scale(video=3.0, audio=3.0)
    align: Scale | None = None
    timbre: float | None = None
    official: bool = False
    negative_video: str | None = None
    negative_audio: str | None = None

    def with_guides(self, guides: Mapping[str, float]) -> Preset:
        """The same preset with guides replaced: "text", "align", "timbre", or one side as "text.audio".

        Raises:
            VivaceError: an unknown guide or a scale out of range.
        """
        changes: dict[str, object] = {}
        # Whole guides before single sides, so that "text" with "text.audio" means the same in either order.
        for name, value in sorted(guides.items(), key=lambda item: "." in item[0]):
            guide, _, side = name.partition(".")
            if guide not in GUIDES or side not in ("", "video", "audio") or (guide, side) == ("timbre", "video"):
                raise VivaceError(
                    f"Guide {name!r} is unknown; use text, align or timbre, and .video or .audio for one side "
                    "(timbre acts on the sound only)."
                )
            check_scale(name, value)
            if guide == "timbre":
                changes["timbre"] = float(value)
                continue
            now = changes.get(guide, getattr(self, guide)) or Scale(video=0.0, audio=0.0)
            assert isinstance(now, Scale)
            sides = {side: float(value)} if side else {"video": float(value), "audio": float(value)}
            changes[guide] = now.model_copy(update=sides)
        return self.model_copy(update=changes)

    def rule(self, *, video: bool, audio: bool, voices: bool) -> GuidanceRule:
        """The guidance rule for a call with these modalities and with or without voices."""
        text = AV(self.text.video if video else None, self.text.audio if audio else None)
        # The published program aligns only where there are two modalities, and has a timbre branch only with a voice.
        align = AV(self.align.video, self.align.audio) if self.align is not None and video and audio else None
        timbre = self.timbre if voices and audio else None
        rule = nava_rule(text, align, timbre, official=self.official)
        return rule.reduced(video=video, audio=audio, voices=voices)

    def table(self) -> Table:
        """The noise schedule."""
        return table_for(self.solver, self.steps, self.shift)


# The published program's figures (its nava.yaml and README): UniPC, 50 steps, shift 5.
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
)
