"""Attention within boxes of space and time, for pictures with too many tokens to attend over all of them.

Alive's refiner is said to use window attention, without its form. Ours: boxes of a fixed size, of which the last along
an axis may be smaller, because a box filled up with hidden places costs as much as a full one; every second layer's
boxes begin half a box earlier, so that what one layer parts the next one joins; and every box reads the whole text,
which reads all.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from vivace.models.attention import Attention
from vivace.models.rotary import Grid


@dataclass(frozen=True)
class Windows:
    """The boxes into which a grid of tokens is parted.

    Args:
        groups: boxes of one shape each, as the numbers of their tokens in row-major order, [boxes, tokens in a box].
        order: where each token of the grid stands when the groups follow one another, [tokens].
    """

    groups: tuple[Tensor, ...]
    order: Tensor


def spans(length: int, size: int, shifted: bool) -> list[tuple[int, int]]:
    """Parts of an axis of at most `size` places; shifted, the first one has half of it. [(start, stop), ...]"""
    if size >= length:
        return [(0, length)]
    first = size // 2 if shifted and size > 1 else size
    cuts = [0, *range(first, length, size), length]
    return list(itertools.pairwise(cuts))


@lru_cache(maxsize=64)
def windows_of(grid: Grid, size: Grid, shifted: bool, device: torch.device) -> Windows:
    """The boxes of at most `size` (frames, rows, columns) of a grid, kept for the next call."""
    with torch.inference_mode(False):  # made for inference first, they must serve training too
        places = torch.arange(grid[0] * grid[1] * grid[2]).view(grid)
        by_shape: dict[tuple[int, ...], list[Tensor]] = {}
        axes = [spans(length, most, shifted) for length, most in zip(grid, size, strict=True)]
        for (t, t_end), (y, y_end), (x, x_end) in itertools.product(*axes):
            box = places[t:t_end, y:y_end, x:x_end]
            by_shape.setdefault(tuple(box.shape), []).append(box.flatten())
        groups = tuple(torch.stack(boxes).to(device) for boxes in by_shape.values())
        return Windows(groups, torch.cat([group.flatten() for group in groups]).argsort())


def attend_in(
    windows: Windows | None, attend: Attention, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None
) -> Tensor:
    """Attention over text and video in which video tokens see the text and their own box; the text sees everything.

    Args:
        windows: None is full attention. attend: what computes it.
        query, key, value: [batch, words + tokens of the grid, heads, head_dim].
        bias: [batch, words + tokens] added to the scores of every query, or None.
    """
    if windows is None:
        return attend(query, key, value, bias)
    words = query.shape[1] - len(windows.order)
    found = []
    for group in windows.groups:
        boxes = len(group)
        places = words + group.flatten()

        def within(x: Tensor, places: Tensor = places, boxes: int = boxes) -> Tensor:
            """[batch, places, ...] to [batch * boxes, places of a box, ...]"""
            return x[:, places].unflatten(1, (boxes, -1)).flatten(0, 1)

        def with_text(x: Tensor, own: Tensor, boxes: int = boxes) -> Tensor:
            return torch.cat((x[:, :words].repeat_interleave(boxes, dim=0), own), dim=1)

        keys, values = (with_text(x, within(x)) for x in (key, value))
        hidden = None if bias is None else with_text(bias, within(bias))
        seen = attend(within(query), keys, values, hidden)
        found.append(seen.unflatten(0, (-1, boxes)).flatten(1, 2))
    video = torch.cat(found, dim=1)[:, windows.order]
    return torch.cat((attend(query[:, :words], key, value, bias), video), dim=1)
