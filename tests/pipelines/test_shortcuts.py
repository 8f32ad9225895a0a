"""The step cache and compiled blocks, as settings of a pipeline."""

from __future__ import annotations

import pytest
import torch
from tests.tiny import tiny_pipeline

from vivace.errors import VivaceError
from vivace.pipelines.compiling import check_compiler
from vivace.pipelines.nava import NavaPipeline


def test_a_cache_is_part_of_the_preset_that_a_clip_is_made_with(pipeline: NavaPipeline) -> None:
    assert pipeline.plan("a drum", seed=1).preset.cache == 0
    assert pipeline.plan("a drum", seed=1, cache=0.25).preset.cache == 0.25
    exact, unused, cached = (
        pipeline("a drum", seed=1, num_inference_steps=6, output_type="latent", cache=cache).latents
        for cache in (None, 0.0, 1.0)
    )
    for side, latents in exact.items():
        assert torch.equal(unused.get(side), latents)  # type: ignore[arg-type]
        assert not torch.equal(cached.get(side), latents)  # type: ignore[arg-type]


@pytest.mark.parametrize("cache", [-0.1, 1.01, float("nan"), True, "0.1"])
def test_a_threshold_that_is_none_is_refused(pipeline: NavaPipeline, cache: object) -> None:
    with pytest.raises(VivaceError, match="is no number from 0 to 1"):
        pipeline.plan("a drum", seed=1, cache=cache)  # type: ignore[arg-type]


def test_compiled_blocks_make_the_same_clip() -> None:
    pipeline = tiny_pipeline()
    guides = {"text": 3.0, "align": 1.5}  # two ways in which the modalities see each other
    plain = pipeline("a drum", seed=1, guides=guides, output_type="latent").latents
    assert not pipeline.compiled
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    pipeline.compile_blocks(backend="eager")
    assert pipeline.compiled
    compiled = pipeline("a drum", seed=1, guides=guides, output_type="latent").latents
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    assert not torch._dynamo.utils.counters["graph_break"]
    for side, latents in plain.items():
        torch.testing.assert_close(compiled.get(side), latents, atol=1e-4, rtol=0)


def test_a_machine_that_cannot_compile_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    pipeline = tiny_pipeline()
    for attempt in (lambda: check_compiler("cpu"), pipeline.compile_blocks):
        with pytest.raises(VivaceError, match=r"needs a C\+\+ compiler"):
            attempt()
    assert not pipeline.compiled
