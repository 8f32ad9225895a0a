"""Adapters: whatever trainer wrote them, they act as their factors say, and leave no trace when they are gone."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.tiny import tiny_pipeline, tiny_transformer

from vivace.errors import VivaceError
from vivace.models.nava_names import official_names
from vivace.pipelines.lora import linear_layers, side_of, target_modules

pytest.importorskip("peft")
LAYERS = (
    "double_blocks.0.streams.video.self_attn.q",
    "double_blocks.0.streams.audio.self_attn.v",
    "single_contexts.0.both.k",
    "single_blocks.0.feed_forward.both.0",
)
PROMPT = "a red ball bounces"


@pytest.fixture(scope="module")
def pipeline():
    return tiny_pipeline()


@pytest.fixture(autouse=True)
def _clean(pipeline):
    yield
    pipeline.unload_lora_weights()


def latents(pipeline: Any) -> torch.Tensor:
    out = pipeline(PROMPT, seed=1, num_inference_steps=2, output_type="latent").latents
    return torch.cat([out.video.flatten(), out.audio.flatten()])


def factors(rank: int = 2, seed: int = 0, layers: tuple[str, ...] = LAYERS) -> dict[str, tuple[torch.Tensor, ...]]:
    shapes = linear_layers(tiny_transformer())
    draw = torch.Generator().manual_seed(seed)
    return {
        name: (
            torch.randn(rank, shapes[name].width, generator=draw) * 0.3,
            torch.randn(shapes[name].out, rank, generator=draw) * 0.3,
        )
        for name in layers
    }


def peft_file(pairs: dict[str, tuple[torch.Tensor, ...]]) -> dict[str, torch.Tensor]:
    return {
        f"base_model.model.{name}.lora_{letter}.weight": tensor
        for name, pair in pairs.items()
        for letter, tensor in zip("AB", pair, strict=True)
    }


def merged(pairs: dict[str, tuple[torch.Tensor, ...]], scale: float) -> torch.Tensor:
    """The clip of a model whose weights were changed by hand."""
    plain = tiny_pipeline()
    with torch.no_grad():
        for name, (down, up) in pairs.items():
            plain.transformer.get_submodule(name).weight += scale * up @ down
    return latents(plain)


def test_an_adapter_is_its_factors_times_its_scale_and_goes_without_a_trace(pipeline):
    before, pairs = latents(pipeline), factors()
    adapter = pipeline.load_lora_weights(peft_file(pairs), "a", scale=0.5)
    assert (adapter.rank, adapter.layers) == (2, {"video": 1, "audio": 1, "shared": 2})
    acting = latents(pipeline)
    assert not torch.allclose(acting, before, atol=1e-3)
    torch.testing.assert_close(acting, merged(pairs, 0.5), atol=1e-5, rtol=1e-4)
    pipeline.fuse_lora()
    torch.testing.assert_close(latents(pipeline), acting, atol=1e-5, rtol=1e-4)
    with pytest.raises(VivaceError, match="unfuse_lora"):
        pipeline.set_adapters("a")
    pipeline.unload_lora_weights()
    torch.testing.assert_close(latents(pipeline), before, atol=1e-6, rtol=1e-5)
    assert not pipeline.lora_scales()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_fused_adapters_go_without_leaving_their_rounding(dtype):
    pipeline = tiny_pipeline()
    pipeline.transformer.to(dtype)
    before = {name: tensor.clone() for name, tensor in pipeline.transformer.state_dict().items()}
    pipeline.load_lora_weights(peft_file(factors(seed=1)), "first", scale=0.5)
    pipeline.load_lora_weights(peft_file(factors(seed=2)), "second")
    for _ in range(2):
        pipeline.fuse_lora()
        pipeline.unfuse_lora()
    pipeline.fuse_lora()
    fused = dict(pipeline.transformer.named_parameters())
    assert any(not torch.equal(fused[f"{name}.base_layer.weight"], before[f"{name}.weight"]) for name in factors())
    pipeline.unload_lora_weights()
    after = pipeline.transformer.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in after.items())


def test_adapters_stack_and_are_weighed_one_by_one(pipeline):
    before = latents(pipeline)
    first, second = factors(seed=1), factors(rank=3, seed=2)
    pipeline.load_lora_weights(peft_file(first), "first")
    pipeline.load_lora_weights(peft_file(second), "second", scale=0.3)
    assert pipeline.lora_scales() == {"first": 1.0, "second": 0.3}
    pipeline.set_adapters(["second"], [0.7])
    torch.testing.assert_close(latents(pipeline), merged(second, 0.7), atol=1e-5, rtol=1e-4)
    pipeline.set_adapters({})
    torch.testing.assert_close(latents(pipeline), before, atol=1e-6, rtol=1e-5)
    pipeline.set_adapters({"first": 0.2, "second": -0.4})
    both = {
        name: (
            torch.cat([first[name][0], second[name][0]]),
            torch.cat([0.2 * first[name][1], -0.4 * second[name][1]], 1),
        )
        for name in first
    }
    torch.testing.assert_close(latents(pipeline), merged(both, 1.0), atol=1e-5, rtol=1e-4)


def foreign(style: str, pairs: dict[str, tuple[torch.Tensor, ...]]) -> dict[str, torch.Tensor]:
    """The same adapter as another trainer writes it, each with its own way of an alpha of twice the rank."""
    theirs = {
        ours.removesuffix(".weight"): name.removesuffix(".weight")
        for ours, name in official_names(tiny_transformer().config).items()
    }
    state: dict[str, torch.Tensor] = {}
    for name, (down, up) in pairs.items():
        official = theirs[name].removeprefix("backbone.")
        if style == "kohya":
            key = "lora_unet_" + official.replace(".", "_")
            state |= {
                f"{key}.lora_down.weight": down,
                f"{key}.lora_up.weight": up,
                f"{key}.alpha": torch.tensor(2.0 * len(down)),
            }
        elif style == "comfy":
            key = f"diffusion_model.backbone.{official}"
            state |= {f"{key}.lora_A.weight": down, f"{key}.lora_B.weight": 2 * up}
        elif style == "old diffusers":
            key = f"transformer.{name}"
            state |= {
                f"{key}.lora.down.weight": down,
                f"{key}.lora.up.weight": up,
                f"{key}.alpha": torch.tensor(2.0 * len(down)),
            }
        else:
            key = f"module.base_model.model.backbone.{official}"
            state |= {f"{key}.lora_A.default.weight": down, f"{key}.lora_B.default.weight": 2 * up}
    return state


@pytest.mark.parametrize("style", ["kohya", "comfy", "old diffusers", "peft over official names"])
def test_foreign_names_are_understood(pipeline, style):
    # Layers of different ranks, whose scale must still be alpha / rank of each.
    pairs = factors(rank=2, layers=LAYERS[:2]) | factors(rank=4, layers=LAYERS[2:])
    pipeline.load_lora_weights(foreign(style, pairs))
    torch.testing.assert_close(latents(pipeline), merged(pairs, 2.0), atol=1e-5, rtol=1e-4)


def test_files_of_peft_and_of_diffusers_bring_their_alpha(pipeline, tmp_path):
    pairs = factors()
    folder = tmp_path / "voice"
    folder.mkdir()
    save_file(peft_file(pairs), folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"r": 2, "lora_alpha": 6}))
    pipeline.load_lora_weights(folder)
    assert list(pipeline.lora_scales()) == ["voice"]
    torch.testing.assert_close(latents(pipeline), merged(pairs, 3.0), atol=1e-4, rtol=1e-3)
    pipeline.transformer.save_lora_adapter(tmp_path, adapter_name="voice", weight_name="saved.safetensors")
    expected = latents(pipeline)
    pipeline.unload_lora_weights()
    pipeline.load_lora_weights(tmp_path / "saved.safetensors")
    torch.testing.assert_close(latents(pipeline), expected, atol=1e-5, rtol=1e-4)


def test_what_does_not_fit_is_listed_in_one_sentence(pipeline, tmp_path):
    good = peft_file(factors())
    with pytest.raises(VivaceError, match=r"blocks\.0\.attn1\.to_q\.lora_A\.weight, .*dora_scale"):
        pipeline.load_lora_weights(
            good | {"blocks.0.attn1.to_q.lora_A.weight": torch.zeros(2, 2), f"{LAYERS[0]}.dora_scale": torch.zeros(2)}
        )
    with pytest.raises(VivaceError, match=f"lacks one factor of {LAYERS[-1]}; it is cut short"):
        pipeline.load_lora_weights(dict(list(good.items())[:-1]))
    with pytest.raises(VivaceError, match="of another size"):
        pipeline.load_lora_weights(
            {key: torch.zeros(2, 7) if "lora_A" in key else tensor for key, tensor in good.items()}
        )
    with pytest.raises(VivaceError, match="no numbers"):
        pipeline.load_lora_weights({key: tensor * float("nan") for key, tensor in good.items()})
    with pytest.raises(VivaceError, match="holds no LoRA"):
        pipeline.load_lora_weights({})
    with pytest.raises(VivaceError, match="out of range"):
        pipeline.load_lora_weights(good, scale=float("nan"))
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"nothing")
    deep = tmp_path / "deep.safetensors"
    save_file(good, deep, {"lora_adapter_metadata": "[" * 100_000})
    with pytest.raises(VivaceError, match="damaged"):
        pipeline.load_lora_weights(deep)
    for path, words in ((broken, "damaged"), (tmp_path / "gone.safetensors", "does not exist"), (tmp_path, "does not")):
        with pytest.raises(VivaceError, match=words):
            pipeline.load_lora_weights(path)
    assert not pipeline.lora_scales()


def test_targets_name_the_layers_of_each_side():
    transformer = tiny_transformer()
    sides = {side: target_modules(transformer, [side]) for side in ("video", "audio", "shared")}
    assert all(side_of(name) == side for side, names in sides.items() for name in names)
    assert len(sides["video"]) == len(sides["audio"]) > 0
    assert sorted(name for names in sides.values() for name in names) == sorted(target_modules(transformer))
    assert not any("embedding" in name or "head" in name for name in target_modules(transformer))
