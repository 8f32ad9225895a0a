"""Ambient sounds: told apart by their spectra, as loud as they are said to be, the same however long."""

import re

import numpy as np
import pytest

from vivace.timeline import Timeline
from vivace.world import render_audio, render_video, sample_scene, truth
from vivace.world.ambience import AMBIENCES, ambience_sound
from vivace.world.captions import caption_with_attributes
from vivace.world.scene import Ambience, Scene

RATE = 16000


def middle(sound: np.ndarray, rate: int) -> float:
    """The frequency below which half of the power lies, Hz."""
    power = (np.abs(np.fft.rfft(sound.sum(axis=0))) ** 2).cumsum()
    return float(np.searchsorted(power, power[-1] / 2) * rate / sound.shape[1])


@pytest.mark.parametrize("name", AMBIENCES)
@pytest.mark.parametrize("strength", ["soft", "strong"])
def test_a_longer_sound_begins_with_the_shorter(name: str, strength: str) -> None:
    ambience = Ambience(name, strength, 5)
    short, long = (ambience_sound(ambience, samples, RATE) for samples in (8000, 12000))
    assert np.array_equal(short, long[:, :8000])
    assert np.abs(long).max() < 1
    assert np.isfinite(long).all()
    # Both sides sound, and not quite alike.
    assert 0.05 < np.corrcoef(long)[0, 1] < 0.99


@pytest.mark.parametrize("name", AMBIENCES)
def test_strong_is_louder_than_soft(name: str) -> None:
    soft, strong = (
        np.mean([ambience_sound(Ambience(name, strength, grain), 2 * RATE, RATE).std() for grain in range(4)])
        for strength in ("soft", "strong")
    )
    assert 1.8 < strong / soft < 6


@pytest.mark.parametrize("rate", [16000, 44100])
def test_spectra_are_in_their_order(rate: int) -> None:
    typical = {
        name: np.median([middle(ambience_sound(Ambience(name, "strong", g), rate, rate), rate) for g in range(5)])
        for name in AMBIENCES
    }
    assert typical["traffic"] < typical["wind"] < typical["waves"] < typical["rain"]
    assert typical["rain"] > 2000
    assert typical["traffic"] < 200


def test_scenes_are_what_their_truth_says() -> None:
    timeline = Timeline(frames=9)
    for seed in range(12):
        scene = sample_scene(seed, "test", kind="ambience")
        true = truth(scene, timeline, 64, 64)
        assert (true.ambience, true.landscape) == (scene.ambience, scene.landscape)
        assert (true.events, true.objects, true.floor, true.silent) == ((), (), None, False)
        assert Scene.from_json(scene.to_json()) == scene
        sound = render_audio(scene, timeline)
        assert sound.shape == (2, timeline.samples)
        assert 0.005 < sound.std() < 0.4
        video = render_video(scene, timeline, 32, 48)
        assert video.shape == (9, 32, 48, 3)
        assert np.array_equal(video, render_video(scene, timeline, 32, 48))


def test_captions_state_what_is_so() -> None:
    texts = set()
    for seed in range(300):
        scene = sample_scene(seed % 60, "test", kind="ambience")
        text, stated = caption_with_attributes(scene, np.random.default_rng(seed))
        texts.add(text.lower())
        assert scene.ambience is not None
        assert scene.landscape is not None
        assert stated["kind"] == "ambience"
        assert stated["ambience"] == scene.ambience.sound
        assert stated.get("strength", scene.ambience.strength) == scene.ambience.strength
        assert stated.get("place", scene.landscape.place) == scene.landscape.place
        assert stated.get("daylight", scene.landscape.daylight) == scene.landscape.daylight
        assert stated.get("camera", "still") == scene.camera.move
        words = set(re.findall(r"[a-z]+", text.lower()))
        soft = words & {"soft", "light", "gentle", "faint", "distant", "quiet", "calm", "small", "drizzle"}
        strong = words & {"heavy", "strong", "loud", "pouring", "crashing", "rough", "busy", "dense", "gale"}
        assert not (soft and strong)
        assert bool(soft or strong) <= ("strength" in stated)
    assert len(texts) > 200
