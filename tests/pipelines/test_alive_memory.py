"""Memory plans of Alive: what is predicted is used, and every exact plan makes the same clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.tiny import tiny_alive_pipeline, tiny_alive_transformer

from vivace.models.rotary import audio_rotation, video_rotation
from vivace.pipelines.alive import AlivePipeline
from vivace.pipelines.footprint import Needs, Work, needs_of
from vivace.pipelines.live_bytes import LiveBytes
from vivace.pipelines.memory import Placement, tensor_peak
from vivace.pipelines.parts import PARTS, parts_in, parts_of
from vivace.pipelines.planning import device_here, forecast, skeleton, text_tokens

PROMPT = "a man says <S>hello<E>"
NONE = Needs(0, 0, {True: 0, False: 0}, {"whole": 0, "streamed": 0, "tiled": 0}, 0)


def deep_pipeline(**capabilities: Any) -> AlivePipeline:
    """Several blocks of each kind, which are paired unevenly."""
    pipeline = tiny_alive_pipeline(largest_side=256, **capabilities)
    depths = {"num_dual_layers": 2, "num_single_layers": 3, "num_audio_layers": 4, "audio_per_stage": (1, 2)}
    pipeline.register_modules(transformer=tiny_alive_transformer(**depths))
    return pipeline


def picture(side: int = 64) -> np.ndarray:
    return np.random.default_rng(side).integers(0, 256, (side, side, 3), dtype=np.uint8)


def modules(pipeline: AlivePipeline) -> list[torch.nn.Module]:
    found = (getattr(pipeline, name, None) for name in PARTS)
    return [module for module in found if isinstance(module, torch.nn.Module)]


@pytest.mark.parametrize(
    ("asked", "placement"),
    [
        ({"seconds": 1.0, "width": 64, "height": 96, "preset": "full"}, Placement("cpu")),
        (
            {"seconds": 1.0, "width": 96, "height": 64, "preset": "full", "references": picture()},
            Placement("cpu", together=False),
        ),
        ({"seconds": 0.5, "modalities": "video"}, Placement("cpu", decoding="streamed")),
        ({"seconds": 2.0, "modalities": "audio"}, Placement("cpu")),
    ],
)
def test_the_prediction_is_the_peak_of_live_tensors(asked: dict[str, Any], placement: Placement) -> None:
    pipeline = deep_pipeline()
    plan = pipeline.plan(PROMPT, seed=1, **asked)
    stride = int(pipeline.vae.config.scale_factor_spatial)
    work = Work.of(plan, stride, text_tokens(plan, pipeline.tokenizer, 96))
    assert work.spoken
    assert work.references == ("references" in asked)
    parts = parts_of(pipeline)
    needs = needs_of(parts, work, cpu=True, dtype=torch.float32)
    weights = sum(t.nbytes for m in modules(pipeline) for t in (*m.parameters(), *m.buffers()))
    pipeline.place(placement)
    video_rotation.cache_clear()
    audio_rotation.cache_clear()
    with LiveBytes(modules(pipeline)) as live:
        pipeline.run(plan)
    assert tensor_peak(parts, needs, placement, 4) == pytest.approx(weights + live.peak, rel=0.15)
    stages = (needs.sampling[placement.together], needs.pictures[placement.decoding], needs.sound)
    assert max(stages) == pytest.approx(live.peak, rel=0.15)
    # The codecs of so small a model take more than its transformer, which must not hide what that one takes. Of what is
    # said there may be as much as of the whole text, and that is counted.
    with LiveBytes(modules(pipeline)) as live:
        pipeline.run(plan, output_type="latent", together=placement.together)
    most = max(needs.sampling[placement.together], needs.pictured)
    assert bool(needs.pictured) == ("references" in asked)
    assert live.peak / 1.15 < most < 1.5 * live.peak


def test_every_exact_plan_makes_the_same_clip_bit_for_bit() -> None:
    asked = {"seed": 3, "preset": "full", "references": picture(32)}
    for together in (True, False):
        plain = deep_pipeline()
        plain.place(Placement("cpu", together=together))
        expected = plain(PROMPT, **asked)
        for strategy in ("grouped", "in-turn", "text-offloaded"):
            pipeline = deep_pipeline()
            pipeline.place(Placement("cpu", strategy, together=together))
            out = pipeline(PROMPT, **asked)
            assert torch.equal(out.latents.video, expected.latents.video)
            assert torch.equal(out.latents.audio, expected.latents.audio)
            assert np.array_equal(out.frames, expected.frames)
            assert np.array_equal(out.audio, expected.audio)


def test_grouped_blocks_hold_two_at_a_time_and_what_is_called_outside_of_blocks() -> None:
    """A group moves when the forward of its leader is called: nothing that is used may wait for another call."""
    model = deep_pipeline().transformer
    outside = model.outside_of_blocks()
    blocks = [*model.video.dual_blocks, *model.video.single_blocks, *model.audio.blocks]
    blocks += [*model.audio.description_words, *model.audio.speech_words, *model.exchange.fusions, *model.exchange.hear]
    every = {id(parameter) for parameter in model.parameters()}
    kept = {id(parameter) for module in outside for parameter in module.parameters()}
    moved = {id(parameter) for block in blocks for parameter in block.parameters()}
    assert kept | moved == every
    assert not kept & moved

    def size(*parts: torch.nn.Module) -> int:
        return sum(parameter.nbytes for part in parts for parameter in part.parameters())

    largest = sorted(map(size, blocks))[-2:]
    part = parts_of(deep_pipeline())["transformer"]
    assert tensor_peak({"transformer": part}, NONE, Placement("cuda", "grouped"), 4) == size(*outside) + sum(largest)
    model.enable_group_offload(torch.device("cpu"), torch.device("cpu"), "block_level", num_blocks_per_group=1)
    led = [block for block in blocks if getattr(block, "_diffusers_hook", None) is not None]
    assert led == blocks


def test_eight_bits_are_near_and_small() -> None:
    pipeline = deep_pipeline()
    plan = pipeline.plan(PROMPT, seed=3, preset="full")
    expected = pipeline.run(plan, output_type="latent").latents.video
    pipeline.place(Placement("cpu", "fp8"))
    out = pipeline.run(plan, output_type="latent").latents.video
    assert 0 < (out - expected).norm() / expected.norm() < 0.1
    stored = sum(tensor.nbytes for tensor in pipeline.transformer.parameters())
    part = parts_of(pipeline)["transformer"]
    predicted = tensor_peak({"transformer": part}, NONE, Placement("cpu", "fp8"), 4)
    largest = max(
        module.weight.numel() for module in pipeline.transformer.video.single_blocks[0].stream.feed_forward[::2]
    )
    assert predicted == pytest.approx(stored + 4 * largest, rel=0.15)


def test_a_folder_is_planned_for_without_reading_its_weights(tmp_path: Path) -> None:
    deep_pipeline().save_pretrained(tmp_path / "model")
    parts = parts_in(tmp_path / "model")
    empty = skeleton(tmp_path / "model", parts)
    assert isinstance(empty, AlivePipeline)
    assert all(parameter.device.type == "meta" for parameter in empty.transformer.parameters())
    plan = empty.plan(PROMPT, seed=1)
    found = forecast(parts, plan, int(empty.vae.config.scale_factor_spatial), text_tokens(plan, None, 96), None)
    assert found.device == device_here()
    assert found.choice is not None
    assert found.choice.placement.exact
