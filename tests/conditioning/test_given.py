from fractions import Fraction

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLLTX2Audio
from tests.tiny import tiny_vae

from vivace.conditioning.given import (
    Known,
    at_rate,
    encode_pictures,
    encode_sounds,
    join_sound,
    known_audio_tokens,
    known_latent_frames,
    put_back,
    to_stereo,
)
from vivace.timeline import Timeline

CPU = torch.device("cpu")
DICE = np.random.default_rng(0)


def _pictures(count: int) -> np.ndarray:
    return DICE.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def _sound(samples: int, level: float = 0.2) -> np.ndarray:
    return (level * DICE.standard_normal((2, samples))).clip(-1, 1).astype(np.float32)


@pytest.mark.parametrize(
    ("fps", "target"), [(30, 24), (24, 30), (24, 24), (Fraction(30000, 1001), 24), (60, 24), (8, 24)]
)
def test_at_another_rate_the_picture_of_the_moment_is_shown(fps: Fraction, target: int) -> None:
    frames = np.arange(40, dtype=np.uint8)[:, None, None, None].repeat(3, -1)
    shown = at_rate(frames, Fraction(fps), Fraction(target))[:, 0, 0, 0]
    assert abs(len(shown) / target - 40 / Fraction(fps)) <= 0.5 / target
    for k, number in enumerate(shown):
        moment = Fraction(k, target)
        assert number == min(39, int(moment * Fraction(fps)))


def test_mono_becomes_stereo_at_the_rate() -> None:
    stereo = to_stereo(_sound(4410)[:1], 44100, 16000)
    assert stereo.shape == (2, 1600)
    np.testing.assert_array_equal(stereo[0], stereo[1])


def test_latents_of_a_beginning_are_those_of_the_whole() -> None:
    """Both codecs are causal: what is known of a clip's beginning has the latents that the whole clip begins with."""
    timeline = Timeline(frames=25)
    pictures, sound = _pictures(25), _sound(timeline.samples)
    audio_vae = AutoencoderKLLTX2Audio(base_channels=8, ch_mult=(1, 1, 2), num_res_blocks=1).eval()
    vae = tiny_vae()
    with torch.inference_mode():
        video = encode_pictures(vae, [pictures], CPU)
        audio = encode_sounds(audio_vae, [sound], 16000, timeline.audio_tokens, CPU)
        for frames in (1, 5, 17):
            seconds = frames / 24
            known = Known(pictures[:frames], sound[:, : round(seconds * 16000)])
            begun, heard = known_latent_frames(known, timeline), known_audio_tokens(known, timeline)
            torch.testing.assert_close(
                encode_pictures(vae, [known.pictures], CPU), video[:, :, :begun], atol=1e-4, rtol=1e-4
            )
            if heard:
                tokens = encode_sounds(audio_vae, [known.sound], 16000, heard, CPU)
                torch.testing.assert_close(tokens, audio[:, :heard], atol=1e-4, rtol=1e-4)


def test_known_lengths() -> None:
    timeline = Timeline(frames=49)
    assert known_latent_frames(Known(), timeline) == known_audio_tokens(Known(), timeline) == 0
    assert known_latent_frames(Known(_pictures(1)), timeline) == 1
    assert known_latent_frames(Known(_pictures(49)), timeline) == timeline.latent_frames
    assert known_audio_tokens(Known(sound=_sound(timeline.samples)), timeline) == timeline.audio_tokens
    assert known_audio_tokens(Known(sound=_sound(timeline.samples - 1)), timeline) < timeline.audio_tokens
    assert known_audio_tokens(Known(sound=_sound(100)), timeline) == 0


def test_what_was_given_comes_back_in_its_place() -> None:
    made, sound = _pictures(9), _sound(6000)
    known = Known(_pictures(5), _sound(2000))
    frames, audio = put_back(known, made, sound, 16000)
    assert frames is not None
    assert audio is not None
    np.testing.assert_array_equal(frames, np.concatenate([known.pictures, made[5:]]))
    np.testing.assert_array_equal(audio[:, :2000], known.sound)
    np.testing.assert_array_equal(audio[:, 2320:], sound[:, 2320:])
    whole = Known(made, sound)
    frames, audio = put_back(whole, None, None, 16000)
    np.testing.assert_array_equal(frames, made)
    np.testing.assert_array_equal(audio, sound)
    assert put_back(Known(), None, sound, 16000) == (None, sound)


def test_sounds_are_joined_without_a_step() -> None:
    time = np.arange(8000) / 16000
    given = np.tile(np.sin(2 * np.pi * 150 * time[:4000] + 1.0), (2, 1)).astype(np.float32)
    made = np.tile(np.sin(2 * np.pi * 200 * time + 2.5), (2, 1)).astype(np.float32)
    joined = join_sound(given, made, 320)
    assert joined.shape == made.shape
    np.testing.assert_array_equal(joined[:, :4000], given)
    step = np.abs(np.diff(joined[0, 3900:4400])).max()
    assert step < 1.2 * np.abs(np.diff(made[0])).max()
    assert np.abs(made[0, 4000] - given[0, -1]) > 0.5
    for length in (0, 1, 5000, 8000, 9000):
        short = join_sound(_sound(length), made, 320)
        assert short.shape[1] == max(length, 8000)
    assert np.abs(join_sound(given, 3 * made, 320)).max() <= 1
