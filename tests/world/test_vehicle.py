"""A passing vehicle: seen in the middle, heard in the middle and falling in pitch at one and the same moment."""

import re

import numpy as np
import pytest

from vivace.timeline import Timeline
from vivace.world import COLOURS, render_audio, render_video, sample_scene, truth
from vivace.world.captions import caption_with_attributes
from vivace.world.scene import Scene, Vehicle
from vivace.world.vehicle import (
    DISTANCE,
    SOUND_SPEED,
    VEHICLES,
    arrival,
    doppler,
    engine_notes,
    vehicle_sound,
    vehicle_x,
)

RATE = 16000


def made(kind: str = "car", direction: int = 1, speed: float = 15.0, passing: float = 1.0) -> Vehicle:
    return Vehicle(kind, "red", direction, speed, passing, sum(engine_notes(kind)) / 2, 7)


def test_sound_arrives_when_it_has_come_all_the_way() -> None:
    vehicle, times = made(), np.linspace(0, 2, 41)
    came = arrival(vehicle, times)
    assert np.allclose(came.emitted + (came.distance - DISTANCE) / SOUND_SPEED, times, atol=1e-12)
    assert came.distance.min() == pytest.approx(DISTANCE)
    assert float(vehicle_x(vehicle, 1.0)) == 0


def test_doppler_is_the_rate_at_which_emission_times_arrive() -> None:
    vehicle, times = made(speed=20.0), np.linspace(0.2, 1.8, 33)
    step = 1e-5
    rate = (arrival(vehicle, times + step).emitted - arrival(vehicle, times - step).emitted) / (2 * step)
    assert np.allclose(doppler(vehicle, times), rate, atol=1e-8)
    assert doppler(vehicle, np.array([1.0]))[0] == 1
    # Far away the factor nears c / (c - v) before and c / (c + v) after.
    far = doppler(vehicle, np.array([-60.0, 60.0]))
    assert far == pytest.approx([SOUND_SPEED / (SOUND_SPEED - 20), SOUND_SPEED / (SOUND_SPEED + 20)], rel=1e-4)


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("kind", VEHICLES)
def test_pan_level_and_pitch(kind: str, direction: int) -> None:
    vehicle = made(kind, direction)
    sound = vehicle_sound(vehicle, 2 * RATE, RATE)
    assert 0.2 < np.abs(sound).max() < 1
    power = (sound.reshape(2, 20, -1) ** 2).mean(axis=2)
    lead = np.sign(power[1] - power[0]) * direction
    assert (lead[:9] < 0).all()
    assert (lead[11:] > 0).all()
    assert abs(int(power.sum(axis=0).argmax()) - 9.5) <= 2
    # The note before and after, by its strongest line near the expected one.
    for moment in (0.4, 1.6):
        start = round((moment - 0.25) * RATE)
        part = sound.sum(axis=0)[start : start + RATE // 2] * np.hanning(RATE // 2)
        spectrum = np.abs(np.fft.rfft(part, 1 << 17))
        frequency = np.fft.rfftfreq(1 << 17, 1 / RATE)
        expected = 4 * vehicle.engine * doppler(vehicle, np.array([moment]))[0]
        near = np.abs(frequency / expected - 1) < 0.02
        assert frequency[near][spectrum[near].argmax()] == pytest.approx(expected, rel=0.006)


def test_the_picture_shows_it_where_truth_says() -> None:
    timeline = Timeline(frames=49)
    for seed in range(4):
        scene = sample_scene(seed, "val", kind="vehicle")
        assert scene.vehicle is not None
        video = render_video(scene, timeline, 64, 96).astype(float)
        true = truth(scene, timeline, 64, 96)
        assert true.passing is not None
        assert true.passing.time == scene.vehicle.passing
        assert true.passing.direction == ("left to right" if scene.vehicle.direction > 0 else "right to left")
        n = round(true.passing.time * 24)
        x, y = true.objects[0].path[n]
        colour = np.abs(video[n] - np.array(COLOURS[scene.vehicle.colour])).mean(axis=2) < 40
        rows, columns = np.nonzero(colour)
        assert (columns.min() + columns.max() + 1) / 96 - 1 == pytest.approx(x, abs=0.05)
        assert rows.min() < (y + 1) * 32 < rows.max() + 4
        assert np.sign(true.passing.speed_x) == scene.vehicle.direction
        assert Scene.from_json(scene.to_json()) == scene
        assert render_audio(scene, timeline).shape == (2, timeline.samples)


def test_captions_state_what_is_so() -> None:
    texts = set()
    for seed in range(300):
        scene = sample_scene(seed % 60, "test", kind="vehicle")
        text, stated = caption_with_attributes(scene, np.random.default_rng(seed))
        texts.add(text.lower())
        vehicle = scene.vehicle
        assert vehicle is not None
        assert stated["vehicle"] == vehicle.kind
        assert stated.get("colours", [vehicle.colour]) == [vehicle.colour]
        way = "left to right" if vehicle.direction > 0 else "right to left"
        assert stated.get("direction", way) == way
        if "pace" in stated:
            assert (vehicle.speed > 14) == (stated["pace"] == "fast")
        words = set(re.findall(r"[a-z]+", text.lower()))
        assert words & set(COLOURS) == set(stated.get("colours", []))
        assert ("direction" in stated) == bool(words & {"left", "right"})
    assert len(texts) > 220
