"""What a training step shows and hides: tasks as states of the pair, and structured dropout. Pure functions.

Each choice is drawn from its own stream of (seed, stream, step), so that changing one rate leaves all other choices,
and the noise, as they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from vivace.models.mel import LOOK_AHEAD
from vivace.pair import AV
from vivace.timeline import Timeline, as_rate

VideoState = Literal["generated", "given", "first-frame", "beginning", "absent"]
AudioState = Literal["generated", "given", "beginning", "absent"]


class Stream(IntEnum):
    """The independent random choices of a step."""

    BATCH = 0
    CAPTION = 1
    TIME = 2
    NOISE = 3
    TASK = 4
    TEXT = 5
    EXCHANGE = 6
    TIMBRE = 7
    INITIAL = 8
    BEGINNING = 9
    SPEECH = 10
    REFERENCE = 11
    DEGRADATION = 12


def stream(seed: int, name: Stream, *key: int) -> np.random.Generator:
    """The generator of one choice; `key` is mostly the step."""
    return np.random.default_rng([seed, int(name), *key])


class Task(BaseModel):
    """One task: the state of each modality and how often it is trained.

    NAVA's T2AV, T2V and T2A are states of "generated" and "absent"; TI2AV has a "first-frame" video, and TIA2AV is
    TI2AV with voices. The share of the tasks with a first frame is NAVA's image probability (0.5). Ours: one side
    "given" for audio to video and video to audio, and the "beginning" of both given for continuation.

    "given" parts are shown clean at timestep 0 and carry no loss; of a "first-frame" video only the first latent
    frame is, and of a "beginning" as much as a step draws. NAVA trains the first frame's output too, on a target that
    its clean input cannot tell; ours leaves it out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    probability: float = Field(gt=0, allow_inf_nan=False, description="relative to the other tasks")
    video: VideoState = "generated"
    audio: AudioState = "generated"
    voices: bool = Field(default=True, description="whether the speakers' voices are shown where the data has them")
    longest_beginning: float = Field(default=0.5, gt=0, lt=1, description="of a clip, for 'beginning'")

    @model_validator(mode="after")
    def _generates_something(self) -> Task:
        if {self.video, self.audio} <= {"given", "absent"}:
            raise ValueError(f"task {self.name!r} generates nothing; set video or audio to 'generated'")
        return self

    @property
    def joint(self) -> bool:
        """Whether both modalities are present."""
        return "absent" not in (self.video, self.audio)

    @property
    def makes_both(self) -> bool:
        """Whether something of either modality is generated."""
        return not {self.video, self.audio} & {"given", "absent"}

    def sides(self) -> AV[str]:
        """The states of the modalities that are present."""
        return AV(*(None if state == "absent" else state for state in (self.video, self.audio)))

    def known(self, latents: AV[Tensor], fps: float | str, rng: np.random.Generator) -> AV[int]:
        """How many positions of each present side are shown clean, from the beginning on.

        Args:
            latents: video [B, C, T, H, W] and audio [B, L, D]; a task without one of them may lack it.
            fps: pictures a second of the clips.
            rng: draws the length of a beginning: both sides' end at the same moment, as those of a clip do.
        """
        if latents.video is None or latents.audio is None:
            return latents.map(lambda _: 0)
        frames, tokens = latents.video.shape[2], latents.audio.shape[1]
        stride = Timeline.temporal_stride
        timeline = Timeline(frames=stride * (frames - 1) + 1, fps=as_rate(fps))
        begun = int(rng.integers(1, max(2, int(self.longest_beginning * frames) + 1)))
        heard = timeline.audio_tokens_within((stride * (begun - 1) + 1) / timeline.fps, LOOK_AHEAD)
        counts = AV(
            {"generated": 0, "first-frame": 1, "beginning": begun, "given": frames},
            {"generated": 0, "beginning": min(heard, tokens), "given": tokens},
        )
        return self.sides().map(lambda state, count: count[state], counts)


class Dropout(BaseModel):
    """How often conditions are withheld (defaults: NAVA's)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: float = Field(default=0.1, ge=0, lt=1, description="per sample: no text")
    exchange: float = Field(default=0.2, ge=0, lt=1, description="per batch: no attention between the modalities")
    timbre: float = Field(default=0.1, ge=0, lt=1, description="per voice: the null speaker")


def pick_task(tasks: Sequence[Task], seed: int, step: int) -> Task:
    """One task for the whole batch of a step, since a batch either has a modality or has not."""
    weights = np.array([task.probability for task in tasks])
    return tasks[int(stream(seed, Stream.TASK, step).choice(len(tasks), p=weights / weights.sum()))]


def dropped_texts(count: int, rate: float, seed: int, step: int) -> np.ndarray:
    """Which samples of a batch lose their text. bool [count]

    Samples are independent. NAVA's program keeps sample 0 when all would lose theirs; ours does not, because a
    condition that depends on the batch would make the rate depend on its size.
    """
    return stream(seed, Stream.TEXT, step).random(count) < rate


def dropped_speech(count: int, rate: float, seed: int, step: int) -> np.ndarray:
    """Which samples of a batch are not told what is said beside their text. bool [count]"""
    return stream(seed, Stream.SPEECH, step).random(count) < rate


def dropped_pairs(count: int, rate: float, seed: int, step: int) -> np.ndarray:
    """Which samples of a batch lose text and references together. bool [count]"""
    return stream(seed, Stream.REFERENCE, step, 1).random(count) < rate


def shown_references(counts: Sequence[int], rate: float, seed: int, step: int) -> list[int]:
    """How many of its references each sample of a batch is shown: none at `rate`, else from one to all it has."""
    draws = stream(seed, Stream.REFERENCE, step).random((len(counts), 2))
    return [0 if drop < rate else 1 + int(share * count) for count, (drop, share) in zip(counts, draws, strict=True)]


def exchanges(rate: float, seed: int, step: int) -> bool:
    """Whether the modalities attend to each other in this step."""
    return bool(stream(seed, Stream.EXCHANGE, step).random() >= rate)


def drop_voices(voices: Sequence[Tensor], rate: float, seed: int, step: int) -> list[Tensor]:
    """Speaker embeddings with some set to zero, which the transformer reads as the null speaker.

    Args:
        voices: per sample [spans, speaker_dim].
    """
    rng = stream(seed, Stream.TIMBRE, step)
    return [voice * torch.from_numpy(rng.random(len(voice)) >= rate).to(voice)[:, None] for voice in voices]


def clean_mask(known: int, latents: Tensor) -> Tensor:
    """The first `known` positions of a side. bool [T] for video [B, C, T, H, W], [L] for audio [B, L, D]"""
    length = latents.shape[2] if latents.ndim == 5 else latents.shape[1]
    return torch.arange(length, device=latents.device) < known


def show_clean(noisy: Tensor, clean: Tensor, mask: Tensor) -> Tensor:
    """`noisy` with the masked positions replaced by `clean`; shapes and mask as in `clean_mask`."""
    if not mask.any():
        return noisy
    return torch.where(mask.view(1, 1, -1, 1, 1) if noisy.ndim == 5 else mask.view(1, -1, 1), clean, noisy)


def token_timesteps(timesteps: Tensor, mask: Tensor, tokens_per_position: int) -> Tensor:
    """What the transformer is told: [B] where nothing is clean, else [B, tokens] with 0 for the clean ones.

    Args:
        timesteps: of the noisy positions, [B] on the 0..1000 scale.
        mask: as `clean_mask` gives it.
        tokens_per_position: tokens of one latent frame (video) or 1 (audio).
    """
    if not mask.any():
        return timesteps
    noisy = (~mask).repeat_interleave(tokens_per_position)
    return timesteps[:, None] * noisy.to(timesteps)


def noisy_part(tensor: Tensor, mask: Tensor) -> Tensor:
    """The positions that are not clean, on which the loss is taken."""
    if not mask.any():
        return tensor
    return tensor[:, :, ~mask] if tensor.ndim == 5 else tensor[:, ~mask]
