import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vivace.models.layers import (
    AffineLayerNorm,
    Modulation,
    PatchEmbedding,
    PerModality,
    RMSNorm,
    pad_to_patches,
    sinusoid,
    unpatchify,
)


def test_rms_norm_is_the_plain_formula():
    norm, x = RMSNorm(6, eps=1e-6), torch.randn(2, 3, 6)
    nn.init.normal_(norm.weight)
    expected = x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * norm.weight
    assert torch.allclose(norm(x), expected, atol=1e-6)
    assert norm(x.bfloat16()).dtype == torch.bfloat16


def test_affine_norm_keeps_the_dtype_of_its_input():
    norm = AffineLayerNorm(6)
    x = torch.randn(2, 6)
    assert torch.allclose(norm(x), F.layer_norm(x, (6,), norm.weight, norm.bias))
    assert norm(x.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("patch", [(1, 2, 2), (1, 1, 1), (2, 2, 1)])
def test_patch_embedding_is_its_convolution(patch):
    embed, x = PatchEmbedding(3, 8, patch), torch.randn(2, 3, 4, 6, 8)
    conv = F.conv3d(x, embed.weight, embed.bias, stride=patch)
    assert torch.allclose(embed(x), conv.flatten(2).transpose(1, 2), atol=1e-5)


def test_unpatchify_puts_values_where_patches_came_from():
    patch, grid = (1, 2, 2), (2, 3, 4)
    x = torch.randn(2, 5, 2, 6, 8)
    b, c = x.shape[:2]
    tokens = (
        x.view(b, c, 2, 1, 3, 2, 4, 2).permute(0, 2, 4, 6, 3, 5, 7, 1).reshape(b, math.prod(grid), -1)
    )  # channels fastest within a patch
    assert torch.equal(unpatchify(tokens, grid, patch), x)


def test_padding_adds_zeros_after_the_end_only():
    x = torch.ones(1, 2, 3, 5, 7)
    padded = pad_to_patches(x, (1, 2, 2))
    assert padded.shape == (1, 2, 3, 6, 8)
    assert padded.sum() == x.sum()
    assert padded[..., :5, :7].eq(1).all()
    assert pad_to_patches(padded, (1, 2, 2)) is padded


def test_sinusoid_is_the_plain_formula_in_double_precision():
    waves = sinusoid(torch.tensor([0.0, 731.25]), 8)
    angles = [731.25 * 10000 ** (-i / 4) for i in range(4)]
    assert waves.dtype == torch.float64
    assert waves[0].tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    assert waves[1].tolist() == pytest.approx([*map(math.cos, angles), *map(math.sin, angles)], abs=1e-10)


def test_modulation_by_token_equals_modulation_by_sample():
    torch.manual_seed(0)
    x, values = torch.randn(2, 5, 4), torch.randn(2, 6, 4)
    by_sample = Modulation(values)
    by_token = Modulation(values, torch.tensor([[0] * 5, [1] * 5]))
    assert torch.equal(by_sample.apply(x, 0, 1, 1e-6), by_token.apply(x, 0, 1, 1e-6))
    expected = F.layer_norm(x, (4,), eps=1e-6) * (1 + values[:, None, 1]) + values[:, None, 0]
    assert torch.allclose(by_sample.apply(x, 0, 1, 1e-6), expected, atol=1e-6)
    assert torch.allclose(by_sample.gate(x, x, 2), x + x * values[:, None, 2], atol=1e-6)


def test_modulation_keeps_the_dtype_of_the_network_when_weights_are_wider():
    shifted = Modulation(torch.ones(1, 2, 3, dtype=torch.bfloat16)).plus(torch.ones(1, 2, 3))
    assert shifted.values.dtype == torch.bfloat16


def test_layers_by_modality_are_two_or_one():
    apart, shared = (PerModality(lambda: nn.Linear(2, 2), shared) for shared in (False, True))
    assert set(apart.state_dict()) == {"video.weight", "video.bias", "audio.weight", "audio.bias"}
    assert set(shared.state_dict()) == {"both.weight", "both.bias"}
    assert apart.pair().video is not apart.pair().audio
    assert shared.pair().video is shared.pair().audio
