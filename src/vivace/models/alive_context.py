"""What Alive's transformer is conditioned on: texts, and all that a clip is shown beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vivace.models.attention import KeyValue
from vivace.pair import AV


@dataclass(frozen=True)
class ClipConditions:
    """What a batch of clips is shown beside its text; all of it may be absent.

    Args:
        times: seconds at the centre of each latent frame [T] and audio token [L] (`Timeline`); needed wherever picture
            and sound exchange anything.
        condition: clean video latents [B, z, T, H, W]; only the places of the mask are read.
        mask: 1 where the condition is given, broadcastable to [B, mask_channels, T, H, W].
        references: clean latents of pictures of who is to be seen, [B, R, z, h, w].
        given: which of the references each sample has, bool [B, R]; None means all.
    """

    times: AV[Tensor] = field(default_factory=AV)
    condition: Tensor | None = None
    mask: Tensor | None = None
    references: Tensor | None = None
    given: Tensor | None = None

    def without_references(self) -> ClipConditions:
        return replace(self, references=None, given=None)

    def map(self, function: Callable[[Tensor], Tensor]) -> ClipConditions:
        """With a function applied to every tensor that has a row for each sample."""
        parts = (self.condition, self.mask, self.references, self.given)
        return ClipConditions(self.times, *(None if x is None else function(x) for x in parts))

    @staticmethod
    def concat(clips: Sequence[tuple[ClipConditions, int]]) -> ClipConditions:
        """One batch of several conditions with the number of samples of each.

        A part that some lack is filled with nothing given.
        """

        def joined(name: str) -> Tensor | None:
            like = next((x for clip, _ in clips if (x := getattr(clip, name)) is not None), None)
            if like is None:
                return None
            parts = [(getattr(clip, name), count) for clip, count in clips]
            return torch.cat(
                [like.new_zeros(n, *like.shape[1:]) if x is None else x.expand(n, *x.shape[1:]) for x, n in parts]
            )

        clips = [(clip._explicit(count), count) for clip, count in clips]
        return ClipConditions(
            clips[0][0].times, *(joined(name) for name in ("condition", "mask", "references", "given"))
        )

    def _explicit(self, count: int) -> ClipConditions:
        if self.references is None or self.given is not None:
            return self
        shape = (count, self.references.shape[1])
        return replace(self, given=torch.ones(shape, dtype=torch.bool, device=self.references.device))


class Words(NamedTuple):
    """Keys and values of a text for each audio block [batch, words, ...]; shown [batch, words] is False at padding."""

    keys_values: tuple[KeyValue, ...]
    shown: Tensor


@dataclass(frozen=True)
class AliveContext:
    """What a batch of clips is conditioned on: made by `AliveTransformer.encode_context`, once for all steps.

    Args:
        text: the video tower's text tokens [batch, words, dim].
        shown: bool [batch, words], False at padding.
        description, speech: what the audio tower reads.
        clip: everything that is no text.
    """

    text: Tensor
    shown: Tensor
    description: Words
    speech: Words
    clip: ClipConditions = ClipConditions()

    def __len__(self) -> int:
        return self.text.shape[0]

    def with_clip(self, clip: ClipConditions) -> AliveContext:
        return replace(self, clip=clip)

    def select(self, samples: Sequence[int] | Tensor) -> AliveContext:
        """The context of the given samples, in that order, repeats allowed."""
        index = torch.as_tensor(samples, dtype=torch.long, device=self.text.device)
        count = len(self)
        chosen = _map_contexts(lambda x: x.index_select(0, index), self)
        return chosen.with_clip(self.clip.map(lambda x: x.expand(count, *x.shape[1:]).index_select(0, index)))

    @staticmethod
    def concat(contexts: Sequence[AliveContext]) -> AliveContext:
        """One batch of several contexts of the same model, in order; shorter texts are padded."""

        def joined(*parts: Tensor) -> Tensor:
            longest = max(part.shape[1] for part in parts)
            padded = (F.pad(p, (0, 0) * (p.ndim - 2) + (0, longest - p.shape[1])) for p in parts)
            return torch.cat(list(padded))

        clip = ClipConditions.concat([(context.clip, len(context)) for context in contexts])
        return _map_contexts(joined, *contexts).with_clip(clip)


def _map_contexts(function: Callable[..., Tensor], first: AliveContext, *others: AliveContext) -> AliveContext:
    """A function applied to the [batch, words, ...] tensors of contexts of one model."""

    def words(mine: Words, *theirs: Words) -> Words:
        blocks = zip(*(w.keys_values for w in (mine, *theirs)), strict=True)
        joined = tuple(KeyValue(*(function(*parts) for parts in zip(*block, strict=True))) for block in blocks)
        return Words(joined, function(mine.shown, *(w.shown for w in theirs)))

    return replace(
        first,
        text=function(first.text, *(c.text for c in others)),
        shown=function(first.shown, *(c.shown for c in others)),
        description=words(first.description, *(c.description for c in others)),
        speech=words(first.speech, *(c.speech for c in others)),
    )
