"""What may be left out of a step, and what never changes by it."""

from __future__ import annotations

import pytest
import torch
from tests.tiny import tiny_transformer
from torch import Tensor

from vivace.models.reuse import BlockMemory
from vivace.pair import AV

Pair = AV[Tensor]


def _pair(video: float, audio: float) -> Pair:
    return AV(torch.full((1, 3, 2), video), torch.full((1, 5, 2), audio))


def _blocks(x: Pair) -> Pair:
    return AV(x.video + 10, x.audio - 4)  # type: ignore[operator]


def _equal(a: Pair, b: Pair) -> bool:
    return torch.equal(a.video, b.video) and torch.equal(a.audio, b.audio)  # type: ignore[arg-type]


def test_while_little_changes_what_was_added_to_both_sides_is_added_again() -> None:
    memory = BlockMemory(0.1)
    first, later = _pair(1.0, 2.0), _pair(1.05, 2.0)
    assert _equal(memory.through(first, first, _blocks), _blocks(first))

    def never(x: Pair) -> Pair:
        raise AssertionError("the blocks were evaluated")

    assert _equal(memory.through(later, later, never), _blocks(later))
    assert (memory.evaluated, memory.reused) == (1, 1)


def test_after_two_evaluations_what_is_added_goes_on_in_a_straight_line() -> None:
    memory = BlockMemory(0.25)
    entering, change = _pair(1.0, 1.0), 0.0

    def linear(x: Pair) -> Pair:
        return AV(x.video + (3 + 2 * change), x.audio + (1 - change))  # type: ignore[operator]

    tokens = _pair(5.0, 6.0)
    counts = []
    for step in (0.0, 0.3, 0.1, 0.1, 0.1):  # relative changes: evaluated, evaluated, left out twice, evaluated
        entering = entering.map(lambda x, s=step: x * (1 + s))
        change += step
        out = memory.through(tokens, entering, linear)
        expected = linear(tokens)
        torch.testing.assert_close(out.video, expected.video)
        torch.testing.assert_close(out.audio, expected.audio)
        counts.append(memory.evaluated)
    assert counts == [1, 2, 2, 2, 3]


@pytest.mark.parametrize("moved", [_pair(1.2, 2.0), _pair(1.0, 2.4), _pair(1.0, float("nan"))])
def test_one_side_that_changes_is_enough_to_evaluate_both(moved: Pair) -> None:
    memory = BlockMemory(0.1)
    memory.through(_pair(1.0, 2.0), _pair(1.0, 2.0), _blocks)
    memory.through(moved, moved, _blocks)
    assert (memory.evaluated, memory.reused) == (2, 0)


def test_changes_add_up_until_an_evaluation_and_start_again_after_it() -> None:
    memory = BlockMemory(0.1)
    reused = []
    for step in range(7):
        x = _pair(1.04**step, 1.0)  # 4 % a step: two steps are left out, the third is not
        memory.through(x, x, _blocks)
        reused.append(memory.reused)
    assert reused == [0, 1, 2, 2, 3, 4, 4]


def test_an_evaluation_can_be_made_obligatory_and_devices_made_to_agree() -> None:
    x = _pair(1.0, 1.0)
    obliged, told = BlockMemory(0.5), BlockMemory(0.5, agree=lambda change: 1.0)
    for memory in (obliged, told):
        memory.through(x, x, _blocks)
    obliged.obliged = True
    for memory in (obliged, told):
        memory.through(x, x, _blocks)
        assert (memory.evaluated, memory.reused) == (2, 0)


@torch.no_grad()
def test_the_network_leaves_all_its_blocks_out_or_none() -> None:
    """Embedding and heads follow the new latents and timestep even where the blocks are left out."""
    model = tiny_transformer()
    calls: list[int] = []
    for number, block in enumerate(model.blocks()):
        block.register_forward_hook(lambda *_, number=number: calls.append(number))
    context = model.encode_context([torch.randn(4, 16)])
    latents = AV(torch.randn(1, 4, 2, 4, 4), torch.randn(1, 5, 128))
    times = AV.of(torch.tensor([500.0]))
    memory = BlockMemory(1.0)
    first = model(latents, times, context, memory=memory)
    assert calls == list(range(len(model.blocks())))
    for side, plain in model(latents, times, context).items():
        assert torch.equal(plain, first.get(side))  # type: ignore[arg-type]
    calls.clear()
    nearly = latents.map(lambda x: x * 1.001)
    second = model(nearly, AV.of(torch.tensor([499.0])), context, memory=memory)
    assert not calls
    for side, before in first.items():
        now = second.get(side)
        assert now is not None
        assert not torch.equal(now, before)
        torch.testing.assert_close(now, before, atol=0.1, rtol=0.1)
