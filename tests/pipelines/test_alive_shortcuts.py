"""The step cache of Alive: what it leaves out, and what it leaves as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.tiny import tiny_alive_pipeline

from vivace.models.alive_context import ClipConditions
from vivace.models.reuse import BlockMemory
from vivace.pair import AV
from vivace.pipelines.alive import AlivePipeline


@pytest.fixture(scope="module")
def alive() -> AlivePipeline:
    return tiny_alive_pipeline()


def _picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def _latents(alive: AlivePipeline, prompt: Any = "a drum", **settings: Any) -> AV[torch.Tensor]:
    latents: AV[torch.Tensor] = alive(
        prompt, **{"seed": 1, "preset": "full", "num_inference_steps": 6, "output_type": "latent", **settings}
    ).latents
    return latents


@pytest.mark.parametrize("with_references", [False, True])
def test_threshold_0_is_no_cache_and_a_large_one_is_another_clip(alive: AlivePipeline, with_references: bool) -> None:
    settings: dict[str, Any] = {"references": [_picture(1), _picture(2)]} if with_references else {}
    exact, unused, cached = (_latents(alive, cache=cache, **settings) for cache in (None, 0.0, 1.0))
    for side, latents in exact.items():
        assert torch.equal(unused.get(side), latents)  # type: ignore[arg-type]
        assert not torch.equal(cached.get(side), latents)  # type: ignore[arg-type]
        assert torch.isfinite(cached.get(side)).all()  # type: ignore[arg-type]


def test_a_threshold_that_nothing_stays_below_is_exact(alive: AlivePipeline) -> None:
    exact, cached = (_latents(alive, cache=cache) for cache in (0.0, 1e-9))
    for side, latents in exact.items():
        torch.testing.assert_close(cached.get(side), latents, atol=1e-5, rtol=1e-5)


def test_a_cached_clip_does_not_depend_on_its_neighbours(alive: AlivePipeline) -> None:
    references = [[_picture(1), _picture(2)], [_picture(3)]]
    both = _latents(alive, ["a red ball", "two loud drums"], cache=1.0, seed=[7, 8], references=references)
    for number, prompt in enumerate(("a red ball", "two loud drums")):
        alone = _latents(alive, prompt, cache=1.0, seed=7 + number, references=references[number])
        for side, latents in alone.items():
            torch.testing.assert_close(both.get(side)[number, None], latents, atol=1e-5, rtol=1e-5)  # type: ignore[index]


@pytest.mark.parametrize("sides", [("video", "audio"), ("video",), ("audio",)])
@torch.no_grad()
def test_the_network_leaves_all_its_blocks_out_or_none(alive: AlivePipeline, sides: tuple[str, ...]) -> None:
    model = alive.transformer
    calls: list[str] = []
    torch.manual_seed(0)
    hooks = [
        part.register_forward_hook(lambda *_, name=name: calls.append(name))
        for name, part in model.named_modules()
        if type(part).__name__ in model._no_split_modules or name.startswith("exchange.hear.")
    ]
    try:
        latents = AV(
            torch.randn(1, 4, 2, 4, 4) if "video" in sides else None,
            torch.randn(1, 5, 128) if "audio" in sides else None,
        )
        times = AV(torch.tensor([0.0, 0.1]), torch.arange(5) / 25)
        pictures = torch.randn(1, 1, 4, 4, 4)
        context = model.encode_context([torch.randn(4, 16)]).with_clip(ClipConditions(times, references=pictures))
        memory, now = BlockMemory(1.0), AV.of(torch.tensor([500.0]))
        first = model(latents, now, context, memory=memory)
        assert calls
        for side, plain in model(latents, now, context).items():
            assert torch.equal(plain, first.get(side))  # type: ignore[arg-type]
        calls.clear()
        nearly = latents.map(lambda x: x * 1.001)
        second = model(nearly, AV.of(torch.tensor([499.0])), context, memory=memory)
        assert not calls
        for side, before in first.items():
            later = second.get(side)
            assert later is not None
            assert not torch.equal(later, before)
            assert (later - before).norm() < 0.15 * before.norm()
    finally:
        for hook in hooks:
            hook.remove()
