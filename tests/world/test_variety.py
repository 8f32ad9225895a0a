"""Material for codecs beyond the world's scenes."""

import numpy as np
import pytest

from vivace.errors import VivaceError
from vivace.world import variety_audio, variety_video


@pytest.mark.parametrize("size", [(64, 64), (96, 54), (54, 96)])
def test_pictures(size: tuple[int, int]) -> None:
    for seed in range(8):
        video = variety_video(seed, 5, *size)
        assert video.shape == (5, *size, 3)
        assert video.dtype == np.uint8
        assert video.std() > 4
        assert np.array_equal(video, variety_video(seed, 5, *size))
    assert not np.array_equal(variety_video(0, 5, *size), variety_video(1, 5, *size))


@pytest.mark.parametrize("rate", [16000, 44100])
def test_sounds(rate: int) -> None:
    loud = 0
    for seed in range(40):
        sound = variety_audio(seed, rate // 2, rate)
        assert sound.shape == (2, rate // 2)
        assert sound.dtype == np.float32
        assert np.isfinite(sound).all()
        assert np.abs(sound).max() <= 0.86
        loud += int(np.abs(sound).max() > 0.1)
        assert np.array_equal(sound, variety_audio(seed, rate // 2, rate))
    assert loud > 30


def test_very_short_sounds() -> None:
    for seed in range(30):
        assert variety_audio(seed, 37, 16000).shape == (2, 37)


def test_bad_size_is_refused() -> None:
    with pytest.raises(VivaceError):
        variety_video(0, 5, 8, 64)
