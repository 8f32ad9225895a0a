import pytest
import torch
from transformers import UMT5Config, UMT5EncoderModel

from vivace.errors import VivaceError
from vivace.training.text_encoder import build_text_encoder, distance_buckets

TEXT = {"vocab_size": 384, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}


def test_random_dropout_is_refused() -> None:
    with pytest.raises(VivaceError, match="dropout_rate"):
        build_text_encoder({"dropout_rate": 0.1})


@torch.no_grad()
def test_a_fresh_encoder_looks_near() -> None:
    torch.manual_seed(0)
    encoder = build_text_encoder(TEXT)
    for block in encoder.encoder.block:
        bias = block.layer[0].SelfAttention.compute_bias(41, 41)
        before, behind, around, broad = bias[0, :, 20].softmax(-1)
        assert before[17:20].sum() > before[21:].sum()
        assert behind[21:24].sum() > behind[:20].sum()
        assert around[15:26].sum() > 0.8
        assert broad[15:26].sum() < 0.5


@pytest.mark.parametrize(("buckets", "farthest"), [(32, 128), (32, 100), (64, 256), (16, 40), (8, 20), (32, 512)])
@torch.no_grad()
def test_buckets_are_those_the_encoder_looks_up(buckets: int, farthest: int) -> None:
    sizes = {"relative_attention_num_buckets": buckets, "relative_attention_max_distance": farthest}
    encoder = UMT5EncoderModel(UMT5Config(**{**TEXT, **sizes}))
    attention = encoder.encoder.block[0].layer[0].SelfAttention
    attention.relative_attention_bias.weight[:] = torch.arange(buckets)[:, None]  # a bias tells its bucket
    length = 2 * farthest + 3
    places = torch.arange(length)
    away = places[None, :] - places[:, None]  # to the key, from the query
    numbers = distance_buckets(away, buckets, farthest)
    assert torch.equal(numbers.float(), attention.compute_bias(length, length)[0, 0])
    assert set(numbers.flatten().tolist()) >= {0, buckets // 2 - 1, buckets // 2 + 1, buckets - 1}
