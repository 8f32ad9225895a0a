import math

import pytest
import torch

from vivace.models.places import PERIODS, TIME_FEATURES, VIDEO_FEATURES, PlaceEmbedding, audio_places, video_places

CPU = torch.device("cpu")


def test_features_follow_the_plain_formula():
    grid = (3, 2, 4)
    table = video_places(grid, CPU)
    assert table.shape == (24, VIDEO_FEATURES)
    for token, (t, y, x) in enumerate((t, y, x) for t in range(3) for y in range(2) for x in range(4)):
        across = [
            [math.cos(math.pi * k * (place + 0.5) / count) for k in range(1, 5)]
            for place, count in zip((t, y, x), grid, strict=True)
        ]
        waves = [wave(2 * math.pi * t / period) for wave in (math.sin, math.cos) for period in PERIODS]
        assert table[token].tolist() == pytest.approx([*across[0], *waves, *across[1], *across[2]], abs=1e-6)


def test_sound_is_told_the_time_of_its_picture():
    """25 audio tokens at scale 0.24 are 6 latent frames; how far into the clip is that of its own length."""
    video, audio = video_places((8, 1, 1), CPU), audio_places(30, 0.24, CPU)
    assert audio.shape == (30, TIME_FEATURES)
    assert torch.allclose(video[6, 4:TIME_FEATURES], audio[25, 4:])
    assert audio[0, 0] > 0.99 > -0.99 > audio[-1, 0]


def test_a_table_made_for_inference_is_kept_and_serves_training():
    torch.manual_seed(0)
    embedding = PlaceEmbedding(6)
    with torch.inference_mode():
        tables = video_places((2, 3, 1), CPU), audio_places(7, 0.31, CPU)
        before = embedding.of_video((2, 3, 1), CPU)
    assert tables[0] is video_places((2, 3, 1), CPU)
    assert tables[1] is audio_places(7, 0.31, CPU)
    for _ in range(2):  # what the weights make of the table is never kept
        embedding.zero_grad()
        told = embedding.of_video((2, 3, 1), CPU), embedding.of_audio(7, 0.31, CPU)
        (told[0].square().sum() + told[1].square().sum()).backward()
        for table, out, layer in zip(tables, told, (embedding.video, embedding.audio), strict=True):
            torch.testing.assert_close(layer.weight.grad, 2 * out.detach().T @ table)
        with torch.no_grad():
            embedding.video.weight.mul_(2)
    assert not torch.allclose(embedding.of_video((2, 3, 1), CPU), before)
    assert embedding.bfloat16().of_video((2, 3, 1), CPU).dtype == torch.bfloat16
