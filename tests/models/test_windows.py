"""Attention in boxes of space and time."""

from typing import Any

import pytest
import torch
from torch import Tensor

from vivace.models.attention import Attention
from vivace.models.windows import attend_in, spans, windows_of

CPU = torch.device("cpu")
WORDS = 3


def _inputs(grid: tuple[int, int, int], batch: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    tokens = WORDS + grid[0] * grid[1] * grid[2]
    generator = torch.Generator().manual_seed(1)
    return tuple(torch.randn(batch, tokens, 2, 4, generator=generator) for _ in range(3))


def _hidden_word(tokens: int) -> Tensor:
    bias = torch.zeros(2, tokens)
    bias[1, WORDS - 1] = float("-inf")
    return bias


@pytest.mark.parametrize("size", [(3, 4, 5), (9, 9, 9)])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("shifted", [False, True])
def test_a_window_that_covers_everything_is_full_attention(size: Any, padded: bool, shifted: bool) -> None:
    q, k, v = _inputs((3, 4, 5))
    bias = _hidden_word(q.shape[1]) if padded else None
    found = attend_in(windows_of((3, 4, 5), size, shifted, CPU), Attention(), q, k, v, bias)
    torch.testing.assert_close(found, attend_in(None, Attention(), q, k, v, bias))


@pytest.mark.parametrize("size", [(1, 1, 1), (2, 2, 2), (3, 3, 2), (2, 4, 5)])
@pytest.mark.parametrize("shifted", [False, True])
def test_windows_part_a_grid_and_each_box_sees_itself_and_the_text(size: Any, shifted: bool) -> None:
    grid = (5, 4, 3)
    windows = windows_of(grid, size, shifted, CPU)
    places = torch.cat([group.flatten() for group in windows.groups])
    assert sorted(places.tolist()) == list(range(60))
    assert torch.equal(places[windows.order], torch.arange(60))
    q, k, v = _inputs(grid)
    bias = _hidden_word(q.shape[1])
    found = attend_in(windows, Attention(), q, k, v, bias)
    seen = torch.full((q.shape[1], q.shape[1]), float("-inf"))
    seen[:WORDS] = 0
    seen[:, :WORDS] = 0
    for group in windows.groups:
        for box in group:
            seen[WORDS + box[:, None], WORDS + box] = 0
    heads = [x.transpose(1, 2) for x in (q, k, v)]
    mask = seen[None, None] + bias[:, None, None]
    wanted = torch.nn.functional.scaled_dot_product_attention(*heads, attn_mask=mask).transpose(1, 2)
    torch.testing.assert_close(found, wanted)


def test_shifted_windows_join_what_the_others_part() -> None:
    for length, size in ((13, 5), (9, 4), (6, 6), (7, 2)):
        plain, shifted = ({start for start, _ in spans(length, size, by)} - {0} for by in (False, True))
        assert not plain & shifted
        for parts in (spans(length, size, False), spans(length, size, True)):
            assert all(0 < stop - start <= size for start, stop in parts)
            assert [start for start, _ in parts[1:]] == [stop for _, stop in parts[:-1]]
            assert (parts[0][0], parts[-1][1]) == (0, length)
