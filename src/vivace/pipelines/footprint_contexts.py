"""Contexts of each architecture on tensors without contents, and what of them grows with the number of blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from vivace.models.alive_context import AliveContext, ClipConditions
from vivace.models.nava import NavaTransformer
from vivace.models.nava_context import NavaContext
from vivace.pair import AV


def context_of(
    transformer: Any,
    words: Sequence[Tensor],
    *,
    spoken: bool,
    grid: tuple[int, int, int] | None,
    audio_tokens: int | None,
    references: int,
    speakers: int = 0,
) -> Any:
    """What a branch is conditioned on.

    Args:
        words: features [n, text_dim] of each clip's text.
        spoken: whether some of it is said; as many words of it as there are, which is the most there can be.
        grid: latent frames, rows and columns, or None without pictures. audio_tokens: or None without sound.
        references: pictures shown beside each clip. speakers: whose places are written in each text.
    """
    if isinstance(transformer, NavaTransformer):
        width = transformer.config.speaker_dim
        if not (speakers and width):
            return transformer.encode_context(words)
        vectors = [x.new_zeros(speakers, width) for x in words]
        return transformer.encode_context(words, vectors, [list(range(speakers))] * len(words))
    context: AliveContext = transformer.encode_context(words, words if spoken else None)
    like = words[0]
    times = AV(
        None if grid is None else like.new_zeros(grid[0]),
        None if audio_tokens is None else like.new_zeros(audio_tokens),
    )
    pictures = None
    if references and grid is not None:
        channels = transformer.config.video_channels
        pictures = like.new_zeros(len(words), references, channels, *grid[1:])
    return context.with_clip(ClipConditions(times, references=pictures))


def tensors_by_kind(context: Any, kinds: Sequence[str]) -> Mapping[str, list[Tensor]]:
    """Keys and values that one block of each kind reads; `kinds` are those that there are, in the network's order."""
    if isinstance(context, NavaContext):
        pairs = zip(kinds, context.keys_values, strict=True)
        return {kind: [t for _, kv in pair.items() for t in kv] for kind, pair in pairs}
    read = (context.description, context.speech)
    return {"num_audio_layers": [tensor for words in read for tensor in words.keys_values[0]]}


def length_of(context: Any) -> int:
    """Words that a block reads of the longest sample."""
    if isinstance(context, NavaContext):
        return context.length + 2  # with those that pad a text to its place
    return int(context.description.shown.shape[1])
