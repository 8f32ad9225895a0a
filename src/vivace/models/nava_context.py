"""What NAVA's transformer is conditioned on: text and voices as keys and values of every block's cross-attention."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from vivace.models.attention import KeyValue
from vivace.pair import AV


@dataclass(frozen=True)
class NavaContext:
    """What a batch of clips is conditioned on, ready for every step: made by `NavaTransformer.encode_context`.

    The model attends to `text_len` positions of which those after the text are all the same "pad" vector. Up to the
    longest text of the batch they are kept as they are; the remaining `text_len - length` ones are represented by two
    keys with biases whose exponentials sum to that number, which is the same mathematics. (Two, because the first
    bias is a bfloat16 number: rounding a single log(n) to bfloat16 would weigh the pads wrongly by up to 1.5 %.)

    A model that hides its pads attends to each sample's own positions alone, and to one pad where there are none.

    Args:
        tokens: projected context [batch, keys, dim]: `length` positions, then two pad keys unless length = text_len.
        bias: added to the attention scores, [1, keys] float32, or None when there are no pad keys; where pads are
            hidden [batch, keys], or None when nothing is.
        keys_values: for every block in order, the keys and values of each modality.
        length: positions kept one by one.
        text_len: positions that the model attends to.
        hides_pads: whether it attends to no position after a sample's text.
    """

    tokens: Tensor
    bias: Tensor | None
    keys_values: tuple[AV[KeyValue], ...]
    length: int
    text_len: int
    hides_pads: bool = False

    def __len__(self) -> int:
        return self.tokens.shape[0]

    def select(self, samples: Sequence[int] | Tensor) -> NavaContext:
        """The context of the given samples, in that order, repeats allowed."""
        index = torch.as_tensor(samples, dtype=torch.long, device=self.tokens.device)
        chosen = map_contexts(lambda x: x.index_select(0, index), self)
        return replace(chosen, bias=self.bias[index]) if self.hides_pads and self.bias is not None else chosen

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> NavaContext:
        """Moved to a device; tokens, keys and values also to a dtype."""
        moved = map_contexts(lambda x: x.to(device=device, dtype=dtype), self)
        return replace(moved, bias=None if self.bias is None else self.bias.to(device))

    def widened(self, length: int) -> NavaContext:
        """The same context with `length` positions (from its own up to text_len) kept one by one.

        At text_len there is no bias, which suits attention kernels that take none.
        """
        if length == self.length:
            return self
        if self.hides_pads:
            more = length - self.length
            shown = self.tokens.new_zeros(len(self), self.length, dtype=torch.float32)
            hidden = F.pad(shown if self.bias is None else self.bias, (0, more), value=-math.inf)
            zeros = map_contexts(lambda x: torch.cat((x, x.new_zeros(len(x), more, *x.shape[2:])), dim=1), self)
            return replace(zeros, bias=hidden, length=length)
        pads = 0 if length == self.text_len else 2

        def widen(x: Tensor) -> Tensor:
            kept, pad = x[:, : self.length], x[:, self.length : self.length + 1]
            return torch.cat((kept, pad.expand(-1, length - self.length + pads, *pad.shape[2:])), dim=1)

        bias = pad_bias(self.text_len - length, length, self.tokens.device)
        return replace(map_contexts(widen, self), bias=bias, length=length)

    @staticmethod
    def concat(contexts: Sequence[NavaContext]) -> NavaContext:
        """One batch of several contexts of the same model, in order."""
        length = max(context.length for context in contexts)
        widened = [context.widened(length) for context in contexts]
        joined = map_contexts(lambda *parts: torch.cat(parts), *widened)
        if not joined.hides_pads or all(context.bias is None for context in widened):
            return joined
        shown = [torch.zeros(len(c), length, device=c.tokens.device) if c.bias is None else c.bias for c in widened]
        return replace(joined, bias=torch.cat(shown))


def map_contexts(function: Callable[..., Tensor], first: NavaContext, *others: NavaContext) -> NavaContext:
    """Apply a function to the [batch, keys, ...] tensors of contexts of one layout, once where they are shared."""

    def join(mine: KeyValue, *theirs: KeyValue) -> KeyValue:
        return KeyValue(*(function(*parts) for parts in zip(mine, *theirs, strict=True)))

    def pair(mine: AV[KeyValue], *theirs: AV[KeyValue]) -> AV[KeyValue]:
        if mine.video is not None and mine.video is mine.audio:
            return AV.of(join(mine.video, *(cast(KeyValue, other.video) for other in theirs)))
        return mine.map(join, *theirs)

    every = (first, *others)
    keys_values = tuple(pair(*block) for block in zip(*(c.keys_values for c in every), strict=True))
    return replace(first, tokens=function(*(c.tokens for c in every)), keys_values=keys_values)


def pad_bias(pads: int, length: int, device: torch.device) -> Tensor | None:
    """Bias [1, length + 2] under which two equal keys after `length` others weigh as much as `pads` of them."""
    if not pads:
        return None
    first = torch.tensor(math.log(pads)).bfloat16().float().item()
    while math.exp(first) > pads:
        first = torch.nextafter(torch.tensor(first).bfloat16(), torch.tensor(-1.0).bfloat16()).item()
    rest = pads - math.exp(first)
    bias = torch.zeros(1, length + 2)
    bias[0, length], bias[0, length + 1] = first, math.log(rest) if rest > 0 else -math.inf
    return bias.to(device)
