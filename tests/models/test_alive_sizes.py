import pytest
import torch
from torch import nn

from vivace.models.alive import AliveTransformer
from vivace.models.alive_sizes import SIZES
from vivace.models.alive_start import AUDIO_ENTRY, VIDEO_ENTRY, entry_gain


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.fixture(scope="module")
def published() -> AliveTransformer:
    with torch.device("meta"):
        return AliveTransformer(**SIZES["published"])


def test_the_published_video_tower_has_12_29_billion_parameters(published: AliveTransformer) -> None:
    d = 24 * 128
    # A dual block holds, for text and for video: attention 4, feed-forward 8 and modulation 6 squares of the width.
    dual, single = 2 * (4 + 8 + 6) * d**2, (4 + 8 + 6) * d**2
    blocks = 16 * dual + 40 * single
    assert (dual, single, blocks) == (339_738_624, 169_869_312, 12_230_590_464)
    # 2 x 16 + 4 channels in patches of 1 x 2 x 2; two text encoders; time; head with its own modulation.
    rest = 36 * 4 * d + (4096 + 5120) * d + (256 + d) * d + (2 * d + 16 * 4) * d
    assert blocks + rest == pytest.approx(12.29e9, rel=1e-3)
    assert count(published.video) == pytest.approx(blocks + rest, rel=1e-3)  # biases and norms are the difference
    assert count(published.video) == pytest.approx(12.29e9, rel=0.01)
    assert published.video.embedding.in_channels == 36
    assert published.video.head.linear.out_features == 16 * 4


def test_the_published_audio_tower_has_1_99_billion_parameters(published: AliveTransformer) -> None:
    a = 24 * 64
    # Attention 4, feed-forward 8, modulation 6, and a cross-attention of 4 to each of two texts.
    block = (4 + 8 + 6 + 4 + 4) * a**2
    rest = 32 * a + 2 * 4096 * a + (256 + a) * a + (2 * a + 32) * a
    assert 32 * block == 1_962_934_272
    assert count(published.audio) == pytest.approx(32 * block + rest, rel=2e-3)
    assert count(published.audio) == pytest.approx(1.99e9, rel=0.01)


def test_the_published_exchange_adds_about_1_3_billion(published: AliveTransformer) -> None:
    d, a, r = 3072, 1536, 256
    heard = d * a + 2 * a * a + a * a + a * d  # query, key and value, the two layers after
    seen = a * a + 2 * d * a + a * a + a * a
    adjusts = (d + 2 * d) * r + (a + d) * r + (a + 2 * a) * r + (d + a) * r
    expected = 16 * (heard + seen + adjusts) + 40 * heard + 32 * a
    assert count(published.exchange) == pytest.approx(expected, rel=2e-3)
    assert sum(count(part) for part in published.children()) == count(published)
    assert published.pairing == (2,) * 16


def test_the_nano_transformer_is_at_most_16_megabytes_in_bfloat16() -> None:
    with torch.device("meta"):
        model = AliveTransformer(**SIZES["nano"])
    assert 2 * count(model) <= 16_000_000
    assert count(model.video) > count(model.audio) > count(model.exchange)


def test_tokens_enter_at_every_width_as_large_as_in_the_published_towers(published: AliveTransformer) -> None:
    entries = (
        (published.video.embedding.weight.flatten(1), VIDEO_ENTRY),
        (published.audio.embedding.weight, AUDIO_ENTRY),
    )
    for weight, entry in entries:
        assert (weight.shape[1], weight.shape[0]) == entry
        assert entry_gain(weight, entry) == 1  # Xavier's rule as it is
    torch.manual_seed(0)
    nano = AliveTransformer(**SIZES["nano"])
    for weight, (values, width) in (
        (nano.video.embedding.weight.flatten(1), VIDEO_ENTRY),
        (nano.audio.embedding.weight, AUDIO_ENTRY),
    ):
        tokens = torch.randn(2000, weight.shape[1]) @ weight.T
        assert tokens.square().mean().item() == pytest.approx(2 * values / (values + width), rel=0.05)
