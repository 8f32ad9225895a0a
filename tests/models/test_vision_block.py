"""The blocks of vision transformers against PyTorch's own encoder layer."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vivace.models.vision_block import SeparateBlock, VisionBlock

DIM, HEADS, HIDDEN = 12, 3, 20


def reference() -> nn.TransformerEncoderLayer:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(
        DIM, HEADS, HIDDEN, dropout=0.0, activation=F.gelu, layer_norm_eps=1e-6, batch_first=True, norm_first=True
    )
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.5)
    return layer.eval()


def shared(layer: nn.TransformerEncoderLayer) -> dict[str, Tensor]:
    """What both blocks take over under the same names."""
    state = layer.state_dict()
    found = {name: state[name] for name in state if name.startswith("norm")}
    for number in (1, 2):
        found |= {f"mlp.fc{number}.{part}": state[f"linear{number}.{part}"] for part in ("weight", "bias")}
    return found


def test_the_block_is_pytorchs_with_norms_first() -> None:
    layer = reference()
    state = layer.state_dict()
    block = VisionBlock(DIM, HEADS, HIDDEN)
    block.load_state_dict(
        {
            **shared(layer),
            "attn.qkv.weight": state["self_attn.in_proj_weight"],
            "attn.qkv.bias": state["self_attn.in_proj_bias"],
            "attn.proj.weight": state["self_attn.out_proj.weight"],
            "attn.proj.bias": state["self_attn.out_proj.bias"],
        }
    )
    x = torch.randn(2, 5, DIM)
    with torch.no_grad():
        assert torch.allclose(block(x), layer(x), atol=1e-4)


def test_separate_projections_are_the_same_block() -> None:
    layer = reference()
    state = layer.state_dict()
    block = SeparateBlock(DIM, HIDDEN, HEADS, eps=1e-6)
    parts = {
        f"attention.{name}.{kind}": state[f"self_attn.in_proj_{kind}"].chunk(3)[number]
        for number, name in enumerate(("query", "key", "value"))
        for kind in ("weight", "bias")
    }
    out = {f"attention.out.{kind}": state[f"self_attn.out_proj.{kind}"] for kind in ("weight", "bias")}
    block.load_state_dict({**shared(layer), **parts, **out})
    x = torch.randn(2, 5, DIM)
    with torch.no_grad():
        assert torch.allclose(block(x), layer(x), atol=1e-4)
