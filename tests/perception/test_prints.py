"""Fingerprints of copies and of other clips."""

import io
from itertools import combinations

import numpy as np
import pytest
from PIL import Image
from scipy.signal import resample_poly

from vivace.perception.audio_print import audio_print, print_distance
from vivace.perception.video_hash import BITS, distance, video_hash
from vivace.timeline import Timeline
from vivace.world import render_audio, render_video, sample_scene

RATE = 16000
KINDS = (None, "ambience", "vehicle", "talk")
CLIPS = [(kind, seed) for kind in KINDS for seed in range(2)]


@pytest.fixture(scope="module")
def sounds() -> list[np.ndarray]:
    return [render_audio(sample_scene(seed, "val", kind=kind), Timeline(frames=73)) for kind, seed in CLIPS]


@pytest.fixture(scope="module")
def videos() -> list[np.ndarray]:
    return [render_video(sample_scene(seed, "val", kind=kind), Timeline(frames=25), 96, 96) for kind, seed in CLIPS]


def test_a_resampled_softer_copy_has_nearly_the_same_print(sounds: list[np.ndarray]) -> None:
    for sound in sounds:
        copy = audio_print(0.5 * resample_poly(sound, 441, 160, axis=1), 44100)
        assert print_distance(audio_print(sound, RATE), copy) < 0.03


def test_a_trimmed_copy_is_found_at_its_shift(sounds: list[np.ndarray]) -> None:
    # 3300 samples are 3.2 frames: the worst shifts lie half a frame beside.
    for sound in sounds:
        assert print_distance(audio_print(sound, RATE), audio_print(sound[:, 3300:], RATE)) < 0.2


def test_faint_noise_changes_little(sounds: list[np.ndarray]) -> None:
    rng = np.random.default_rng(0)
    for sound in sounds:
        noisy = sound + rng.normal(0, 10 ** (-30 / 20) * sound.std(), sound.shape)
        assert print_distance(audio_print(sound, RATE), audio_print(noisy, RATE)) < 0.2


def test_other_sounds_are_far_also_where_both_pause(sounds: list[np.ndarray]) -> None:
    prints = [audio_print(sound, RATE) for sound in sounds]
    found = [print_distance(first, second) for first, second in combinations(prints, 2)]
    assert min(value for value in found if value is not None) > 0.3


def test_silence_has_no_print() -> None:
    silent = audio_print(np.zeros((2, RATE)), RATE)
    assert len(silent) == 0
    assert print_distance(silent, silent) is None
    assert print_distance(silent, np.full(50, 21845, np.uint16)) is None
    assert len(audio_print(np.zeros((2, 0)), 44100)) == 0


def test_distance_by_hand() -> None:
    # Sixteen words of which half the bits are ones, so that half would differ by chance; the 0 in both counts nothing.
    first = np.full(17, 0x00FF, np.uint16)
    first[5] = 0
    second = np.concatenate([np.zeros(2, np.uint16), first])  # two frames later, and one bit is another one
    second[18] ^= 0x0101
    assert print_distance(first, second) == pytest.approx(2 / (16 * 16))
    assert print_distance(first, np.roll(~first, 1)) > 0.5


def test_a_copy_of_pictures_has_nearly_the_same_hash(videos: list[np.ndarray]) -> None:
    for frames in videos:
        small, bright = [], (0.8 * frames + 30).astype(np.uint8)
        for frame in frames:
            file = io.BytesIO()
            Image.fromarray(frame).save(file, "JPEG", quality=30)
            small.append(np.asarray(Image.open(file).resize((60, 44))))
        own = video_hash(frames)
        assert own.shape == (BITS,)
        assert distance(own, video_hash(bright)) < 0.05
        assert distance(own, video_hash(np.stack(small))) < 0.25


def test_other_pictures_have_another_hash(videos: list[np.ndarray]) -> None:
    found = [distance(video_hash(first), video_hash(second)) for first, second in combinations(videos, 2)]
    assert min(found) > 0.35
    assert np.mean(found) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 40, 200)])
def test_short_and_small_pictures_have_a_hash(shape: tuple[int, int, int]) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (*shape, 3), dtype=np.uint8)
    assert video_hash(frames).shape == (BITS,)
