"""Leaving out a network's blocks at steps at which they would do nearly what they did at the last one."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from vivace.pair import AV


class BlockMemory:
    """What the blocks added to the tokens of one clip at their last evaluation, and how much has changed since.

    The measure is the mean absolute change of the modulated tokens that enter the blocks, relative to their mean
    absolute value, summed over the steps since the blocks were last evaluated. While the sum is below the threshold the
    blocks are left out, and what they are expected to add is added; embedding and heads always run. Expected is the
    straight line through what they added at their last two evaluations, with that sum as the time along it.

    Of two modalities the larger change counts, and one decision serves both, because each reads the other in every
    block's attention: a side that stood still beside one that moved on would be heard out of date. What is kept and
    added is that of both (some published caches return the second stream as it came in).

    Source: the measure is TeaCache's (arXiv 2411.19108); ours: no fitted polynomial, both modalities, the line instead
    of the last value, and no learned offset of the first block in the modulation, so that no weight of a block is
    touched where a memory plan has moved it away.

    Args:
        threshold: 0 never leaves anything out.
        agree: of several devices that share the tokens, gives all of them the same number.
    """

    def __init__(self, threshold: float, agree: Callable[[float], float] | None = None) -> None:
        self.threshold = threshold
        self.obliged = False  # set to True for an evaluation that must be made
        self.evaluated = self.reused = 0
        self._agree = agree
        self._entered: AV[Tensor] | None = None
        self._added: AV[Tensor] | None = None
        self._slope: AV[Tensor] | None = None  # by how much `_added` grows for a change of 1
        self._changed = 0.0

    def through(self, x: AV[Tensor], entering: AV[Tensor], blocks: Callable[[AV[Tensor]], AV[Tensor]]) -> AV[Tensor]:
        """`blocks(x)`, or the tokens with what the blocks added last.

        Args:
            x: tokens [batch, tokens, dim] of each modality.
            entering: the same tokens, normalised and modulated.
        """
        before = self._added
        if before is not None and self._is_similar(entering):
            self.reused += 1
            expected = before if self._slope is None else before.map(self._along, self._slope)
            return x.map(torch.add, expected)
        out = blocks(x)
        self._added = out.map(torch.sub, x)
        if before is not None and 0 < self._changed < math.inf:
            self._slope = self._added.map(lambda now, then: (now - then) / self._changed, before)
        self._changed = 0.0
        self._entered = entering
        self.evaluated += 1
        return out

    def _along(self, added: Tensor, slope: Tensor) -> Tensor:
        return torch.add(added, slope, alpha=self._changed)

    def _is_similar(self, entering: AV[Tensor]) -> bool:
        assert self._entered is not None
        changes = entering.map(_relative_change, self._entered)
        change = float(torch.stack([value for _, value in changes.items()]).max())
        self._changed += change if self._agree is None else self._agree(change)
        self._entered = entering
        # Not-a-number is never below the threshold.
        return self._changed < self.threshold and not self.obliged


def _relative_change(now: Tensor, before: Tensor) -> Tensor:
    """Mean |now - before| over mean |before|, float32 []."""
    size = before.abs().mean(dtype=torch.float32).clamp_min(torch.finfo(torch.float32).tiny)
    return (now - before).abs().mean(dtype=torch.float32) / size
