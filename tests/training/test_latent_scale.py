import json

import pytest
import torch
from tests.tiny import tiny_vae

from vivace.data.fingerprint import weights_hash
from vivace.data.shards import ShardReader
from vivace.models.codecs import decode_video, encode_video
from vivace.training.codec_files import load_video_codec
from vivace.training.latent_scale import (
    LatentScaleRecipe,
    channel_sizes,
    channel_statistics,
    channel_weights,
    run_latent_scale,
)


@pytest.fixture(scope="module")
def scaled(clips, codecs, tmp_path_factory):
    run = tmp_path_factory.mktemp("latent-scale")
    recipe = LatentScaleRecipe(unit="latent-scale", vae=codecs["vae"], clips=clips, count=2)
    return run_latent_scale(recipe, run), run / "export" / "vae"


def frames_of(clips, index=0):
    return ShardReader(clips).get(index)["video"][None].permute(0, 4, 1, 2, 3).float() / 127.5 - 1


def test_the_pictures_stay_and_the_latents_change_in_size_alone(clips, codecs, scaled):
    figures, folder = scaled
    before, after = load_video_codec(codecs["vae"]), load_video_codec(folder)
    frames = frames_of(clips)
    with torch.inference_mode():
        old, new = encode_video(before, frames), encode_video(after, frames)
        assert torch.allclose(decode_video(before, old), decode_video(after, new), atol=1e-4)
    correlations = [
        torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1] for a, b in zip(old[0], new[0], strict=True)
    ]
    assert torch.stack(correlations).min() > 0.9999
    assert figures["largest"] > figures["smallest"] > 0


def test_a_channel_that_the_decoder_does_not_use_weighs_nothing(clips):
    vae = tiny_vae().eval().requires_grad_(False)
    vae.post_quant_conv.weight[:, 1] = 0
    frames = [frames_of(clips)]
    weights = channel_weights(vae, frames, channel_statistics(vae, frames)[1], seed=0)
    assert weights[1] == 0
    assert (weights[torch.arange(len(weights)) != 1] > 0).all()


def test_sizes_go_from_equal_to_proportional():
    weights = torch.tensor([4.0, 1.0, 0.25])
    assert torch.allclose(channel_sizes(weights, 0.0), torch.ones(3))
    half, whole = channel_sizes(weights, 0.5), channel_sizes(weights, 1.0)
    assert half[0] / half[2] == pytest.approx(4)
    assert whole[0] / whole[2] == pytest.approx(16)
    assert whole.square().mean().item() == pytest.approx(1)


def test_a_codec_with_other_statistics_is_another_codec(codecs, scaled):
    folder = scaled[1]
    assert json.loads((folder / "config.json").read_text())["latents_std"]
    before, after = load_video_codec(codecs["vae"]), load_video_codec(folder)
    assert all(torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True))
    assert weights_hash(before) != weights_hash(after)
    assert weights_hash(after) == weights_hash(after.to(torch.bfloat16))
