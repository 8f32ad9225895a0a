"""Adapters of Alive: they act as their factors say, on either tower or on the exchange, and go without a trace."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tests.tiny import tiny_alive_pipeline, tiny_alive_transformer

from vivace.errors import VivaceError
from vivace.pipelines.alive import AlivePipeline
from vivace.pipelines.lora import linear_layers, side_of, target_modules

pytest.importorskip("peft")
LAYERS = (
    "video.dual_blocks.0.video.self_attn.q",
    "video.dual_blocks.0.text.feed_forward.0",
    "video.single_blocks.0.stream.self_attn.o",
    "audio.blocks.1.read_speech.q",
    "audio.speech_words.1.v",
    "exchange.fusions.0.see.k",
    "exchange.fusions.0.adjust_video.gate_out",
    "exchange.hear.0.mlp.2",
)
Pairs = dict[str, tuple[torch.Tensor, torch.Tensor]]


@pytest.fixture(scope="module")
def pipeline() -> AlivePipeline:
    return tiny_alive_pipeline()


@pytest.fixture(autouse=True)
def _clean(pipeline: AlivePipeline):
    yield
    pipeline.unload_lora_weights()


def latents(pipeline: AlivePipeline) -> torch.Tensor:
    out = pipeline("a man says <S>hi<E>", seed=1, preset="full", output_type="latent").latents
    return torch.cat([out.video.flatten(), out.audio.flatten()])


def factors(rank: int = 2, seed: int = 0, layers: tuple[str, ...] = LAYERS) -> Pairs:
    shapes = linear_layers(tiny_alive_transformer())
    draw = torch.Generator().manual_seed(seed)
    return {
        name: (
            torch.randn(rank, shapes[name].width, generator=draw) * 0.3,
            torch.randn(shapes[name].out, rank, generator=draw) * 0.3,
        )
        for name in layers
    }


def peft_file(pairs: Pairs) -> dict[str, torch.Tensor]:
    return {
        f"base_model.model.{name}.lora_{letter}.weight": tensor.contiguous()
        for name, pair in pairs.items()
        for letter, tensor in zip("AB", pair, strict=True)
    }


def merged(*adapters: tuple[Pairs, float]) -> torch.Tensor:
    """The clip of a model whose weights were changed by hand."""
    plain = tiny_alive_pipeline()
    with torch.no_grad():
        for pairs, scale in adapters:
            for name, (down, up) in pairs.items():
                plain.transformer.get_submodule(name).weight += scale * up @ down
    return latents(plain)


def test_an_adapter_is_its_factors_times_its_scale_and_goes_without_a_trace(
    pipeline: AlivePipeline, tmp_path: Path
) -> None:
    before, pairs = latents(pipeline), factors()
    save_file(peft_file(pairs), tmp_path / "style.safetensors")
    adapter = pipeline.load_lora_weights(tmp_path / "style.safetensors", scale=0.5)
    assert (adapter.name, adapter.rank, adapter.layers) == ("style", 2, {"video": 4, "audio": 2, "shared": 2})
    acting = latents(pipeline)
    assert not torch.allclose(acting, before, atol=1e-3)
    torch.testing.assert_close(acting, merged((pairs, 0.5)), atol=1e-4, rtol=1e-3)
    pipeline.fuse_lora()
    torch.testing.assert_close(latents(pipeline), acting, atol=1e-4, rtol=1e-3)
    pipeline.unload_lora_weights()
    torch.testing.assert_close(latents(pipeline), before, atol=1e-5, rtol=1e-4)


def test_adapters_stack_and_are_weighed_one_by_one(pipeline: AlivePipeline) -> None:
    first, second = factors(seed=1), factors(rank=3, seed=2)
    pipeline.load_lora_weights(peft_file(first), "first")
    pipeline.load_lora_weights(peft_file(second), "second", scale=0.3)
    assert pipeline.lora_scales() == {"first": 1.0, "second": 0.3}
    pipeline.set_adapters({"first": 0.2, "second": -0.4})
    torch.testing.assert_close(latents(pipeline), merged((first, 0.2), (second, -0.4)), atol=1e-4, rtol=1e-3)


def test_an_adapter_of_one_tower_says_so_and_leaves_the_other_alone(pipeline: AlivePipeline) -> None:
    only = target_modules(pipeline.transformer, ["audio"])
    adapter = pipeline.load_lora_weights(peft_file(factors(layers=tuple(n for n in only if n.startswith("audio.")))))
    assert adapter.notes() == [f"LoRA {adapter.name!r} changes nothing of the video's layers."]
    silent = {"seed": 1, "modalities": "video", "output_type": "latent"}
    changed = pipeline("a drum", **silent).latents.video
    pipeline.unload_lora_weights()
    torch.testing.assert_close(changed, pipeline("a drum", **silent).latents.video, atol=1e-6, rtol=1e-6)


def test_targets_name_the_layers_of_each_side(pipeline: AlivePipeline) -> None:
    model = pipeline.transformer
    sides = {side: target_modules(model, [side]) for side in ("video", "audio", "shared")}
    assert all(side_of(name) == side for side, names in sides.items() for name in names)
    assert sorted(name for names in sides.values() for name in names) == sorted(target_modules(model))
    assert set(LAYERS) <= set(target_modules(model))
    assert all(name.startswith("exchange.") for name in sides["shared"])
    assert not any(word in name for name in target_modules(model) for word in ("embedding", "head", "modulation.first"))


def test_an_adapter_of_another_architecture_is_told_by_its_layers(pipeline: AlivePipeline) -> None:
    foreign = {f"double_blocks.0.streams.video.self_attn.q.lora_{letter}.weight": torch.zeros(2, 2) for letter in "AB"}
    with pytest.raises(VivaceError, match=r"fit no layer of this model: double_blocks.*use a LoRA of this one"):
        pipeline.load_lora_weights(foreign)
