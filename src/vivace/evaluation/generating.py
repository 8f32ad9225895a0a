"""How a benchmark asks a pipeline for clips: the voices of its prompts, and what is made as clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vivace.conditioning.voices import recording
from vivace.evaluation.prompts import WorldItem
from vivace.evaluation.tasks import REFERENCE_RATE, references
from vivace.media import Clip, peak_limited

if TYPE_CHECKING:
    from vivace.pipelines.clip_pipeline import ClipPipeline


def has_voices(pipeline: ClipPipeline) -> bool:
    """Whether the model speaks like given recordings."""
    return bool(pipeline.transformer.config.get("speaker_dim"))


def without_timbre(guides: Mapping[str, float]) -> dict[str, float]:
    """Guides of prompts in which nobody is to sound like a recording: timbre has nothing to act on there."""
    return {name: scale for name, scale in guides.items() if name != "timbre"}


def voiced(pipeline: ClipPipeline, items: Sequence[WorldItem], guides: Mapping[str, float] | None) -> dict[str, Any]:
    """The pipeline's arguments "voices" and "guides" for these prompts.

    A model that has voices is given a recording for every span of true scenes; where no prompt has one, timbre is left
    out of the guides. A model without voices gets the guides as they are, and refuses timbre itself.
    """
    if not has_voices(pipeline):
        return {"guides": guides}
    spoken = [[recording(sound, REFERENCE_RATE) for sound in references(item)] for item in items]
    return {"voices": spoken, "guides": guides} if any(spoken) else {"guides": without_timbre(guides or {})}


def clips(pipeline: ClipPipeline, prompts: Sequence[str], seeds: Sequence[int], **arguments: Any) -> list[Clip]:
    """Clips of these prompts, each of its seed, as `vivace generate` would write them.

    Args:
        pipeline: any of ours. arguments: of its call.
    """
    made: Any = pipeline(list(prompts), seed=list(seeds), **arguments)
    sides = [[None] * len(prompts) if side is None else side for side in (made.frames, made.audio)]
    return [
        Clip(frames, made.fps, None if audio is None else peak_limited(audio), made.audio_sample_rate)
        for frames, audio in zip(*sides, strict=True)
    ]
