"""What step cache, adapters and voices take: counted in the prediction, and named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.tiny import tiny_pipeline, tiny_speaking_pipeline, tiny_transformer

from vivace.conditioning.voices import recording
from vivace.errors import VivaceError
from vivace.models.mel import mel_filters
from vivace.models.places import audio_places, video_places
from vivace.models.reuse import BlockMemory
from vivace.models.rotary import audio_rotation, video_rotation
from vivace.pair import AV
from vivace.pipelines.footprint import Needs, Work, needs_of
from vivace.pipelines.footprint_extras import adapter_size, cache_bytes, with_adapters
from vivace.pipelines.live_bytes import LiveBytes
from vivace.pipelines.lora import linear_layers
from vivace.pipelines.memory import Placement, tensor_peak
from vivace.pipelines.nava import NavaPipeline, Plan
from vivace.pipelines.parts import PARTS, parts_of

LARGE: dict[str, Any] = {"seconds": 1.0, "width": 64, "height": 96, "preset": "aligned", "num_inference_steps": 4}
PROMPT = "a red ball"


def modules(pipeline: NavaPipeline) -> list[torch.nn.Module]:
    return [module for name in PARTS if isinstance(module := getattr(pipeline, name), torch.nn.Module)]


def work_of(pipeline: NavaPipeline, plan: Plan) -> Work:
    text = {"positive": len(plan.prompts[0]) + 1, "negative": 0}
    return Work.of(plan, pipeline.vae.config.scale_factor_spatial, text)


def used(pipeline: NavaPipeline, plan: Plan) -> int:
    """Peak of live tensor bytes of a whole clip."""
    video_rotation.cache_clear()
    audio_rotation.cache_clear()
    with LiveBytes(modules(pipeline)) as live:
        pipeline.run(plan)
    return live.peak


def most(needs: Needs) -> int:
    return max(needs.text, needs.sampling[True], needs.pictures["whole"], needs.sound)


@pytest.mark.parametrize("prompts", [[PROMPT], [PROMPT, "a drum"]])
def test_the_step_cache_is_counted(prompts: list[str]) -> None:
    pipeline = tiny_pipeline(largest_side=256)
    plan = pipeline.plan(prompts, seed=1, cache=0.9, **LARGE)
    work = work_of(pipeline, plan)
    parts = parts_of(pipeline)
    needs = needs_of(parts, work, cpu=True, dtype=torch.float32)
    assert most(needs) == pytest.approx(used(pipeline, plan), rel=0.15)
    none = needs_of(parts, replace(work, cache=0.0), cpu=True, dtype=torch.float32)
    assert "step cache" not in none.beside
    if len(prompts) == 1:  # of several, the blocks see one at a time, which needs less
        kept = needs.beside["step cache"]
        assert kept * 0.6 < needs.sampling[True] - none.sampling[True] < kept * 1.4


def test_what_the_step_cache_keeps_is_what_is_named() -> None:
    model, draw = tiny_transformer(), torch.Generator().manual_seed(0)
    context, memory, grid, tokens = model.encode_context([torch.zeros(3, 16)]), BlockMemory(1.0), (2, 4, 6), 7
    memory.obliged = True
    with torch.no_grad():
        for timestep in (900.0, 500.0, 100.0):
            latents = AV(torch.randn(1, 4, *grid, generator=draw), torch.randn(1, tokens, 128, generator=draw))
            model(latents, latents.map(lambda _, t=timestep: torch.tensor([t])), context, memory=memory)
    pairs = (memory._entered, memory._added, memory._slope)
    kept = sum(side.nbytes for pair in pairs if pair is not None for _, side in pair.items())
    assert kept == cache_bytes(model.config, grid, tokens, 4)


def saved_adapter(path: Path, layers: list[str], rank: int) -> Path:
    shapes = linear_layers(tiny_transformer(num_double_layers=2, num_single_layers=2))
    tensors = {}
    for name in layers:
        tensors[f"transformer.{name}.lora_A.weight"] = torch.full((rank, shapes[name].width), 0.1)
        tensors[f"transformer.{name}.lora_B.weight"] = torch.full((shapes[name].out, rank), 0.1)
    save_file(tensors, path)
    return path


def test_adapters_are_counted_with_what_their_layers_hold_meanwhile(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    pipeline = tiny_pipeline(largest_side=256)
    pipeline.register_modules(transformer=tiny_transformer(num_double_layers=2, num_single_layers=2))
    wide = [name for name in linear_layers(pipeline.transformer) if "feed_forward" in name or "self_attn" in name]
    files = [
        saved_adapter(tmp_path / "a.safetensors", wide, 32),
        saved_adapter(tmp_path / "b.safetensors", wide[:4], 8),
    ]
    parts = parts_of(pipeline)
    sizes = tuple(adapter_size(file, parts["transformer"]) for file in files)
    assert [size.rank for size in sizes] == [32, 8]
    plan = pipeline.plan(PROMPT, seed=1, **LARGE)
    work = work_of(pipeline, plan)
    none = needs_of(parts, work, cpu=True, dtype=torch.float32)
    needs = needs_of(parts, replace(work, adapters=sizes), cpu=True, dtype=torch.float32)
    before = sum(p.nbytes for p in pipeline.transformer.parameters())
    for file in files:
        pipeline.load_lora_weights(file)
    weights = sum(p.nbytes for p in pipeline.transformer.parameters()) - before
    assert needs.beside == {"adapters": weights}
    peak = used(pipeline, plan)
    assert most(needs) == pytest.approx(peak, rel=0.15)
    assert needs.sampling[True] > none.sampling[True]
    held = sum(t.nbytes for m in modules(pipeline) for t in (*m.parameters(), *m.buffers()))
    assert tensor_peak(with_adapters(parts, sizes), needs, Placement("cpu"), 4) == pytest.approx(held + peak, rel=0.15)


def test_hearing_a_long_voice_is_counted() -> None:
    pipeline = tiny_speaking_pipeline()
    tone = np.sin(np.arange(16000 * 20) / 20).astype(np.float32) * 0.1
    asked = {"seed": 1, "guides": {"timbre": 1.0}}
    plan = pipeline.plan("she says <S>hello<E>", voices=[recording(tone, 16000)], **asked)
    work = work_of(pipeline, plan)
    assert (work.speakers, round(work.heard)) == (1, 20)
    needs = needs_of(parts_of(pipeline), work, cpu=True, dtype=torch.float32)
    peak = used(pipeline, plan)
    assert needs.beside["voices"] == needs.text == most(needs)
    assert needs.text == pytest.approx(peak, rel=0.15)
    silent = needs_of(parts_of(pipeline), replace(work, heard=0.0), cpu=True, dtype=torch.float32)
    assert silent.beside == {}
    assert silent.text < needs.text / 4


def test_a_file_that_is_no_adapter_is_refused(tmp_path: Path) -> None:
    part = parts_of(tiny_pipeline())["transformer"]
    (tmp_path / "bad.safetensors").write_bytes(b"\xff" * 20)
    for path in (tmp_path / "bad.safetensors", tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(VivaceError, match=r"no \.safetensors file that can be read"):
            adapter_size(path, part)
    save_file({"some.other.model": torch.zeros(2)}, tmp_path / "other.safetensors")
    assert adapter_size(tmp_path / "other.safetensors", part).values == 0  # loading says why


def test_a_plan_with_voices_leaves_nothing_empty_behind() -> None:
    """The speaker encoder's tables are kept between calls; those of a weightless run must not come to a real one."""
    pipeline = tiny_speaking_pipeline()
    sound = torch.sin(torch.arange(16000) * 0.05)[None]
    before = pipeline.speaker_encoder(sound)
    plan = pipeline.plan(PROMPT, seed=0, **LARGE)
    mel_filters.cache_clear()
    needs_of(parts_of(pipeline), replace(work_of(pipeline, plan), heard=3.0), cpu=True, dtype=torch.float32)
    assert torch.equal(pipeline.speaker_encoder(sound), before)


@pytest.mark.parametrize("cpu", [True, False])
def test_a_plan_leaves_no_empty_table_of_places_behind(cpu: bool) -> None:
    pipeline = tiny_pipeline()
    pipeline.register_modules(transformer=tiny_transformer(places=True))
    plan = pipeline.plan(PROMPT, seed=0, seconds=0.5, num_inference_steps=2)
    before = pipeline.run(plan)
    needs_of(parts_of(pipeline), work_of(pipeline, plan), cpu=cpu, dtype=torch.float32)
    assert video_places.cache_info().currsize == audio_places.cache_info().currsize == 0
    after = pipeline.run(plan)
    assert np.array_equal(before.frames, after.frames)
    assert np.array_equal(before.audio, after.audio)
