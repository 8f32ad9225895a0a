"""Sound: onsets at the exact times, on the side where the object is, without clipping."""

import numpy as np
import pytest

from vivace.timeline import Timeline
from vivace.world import KINDS, render_audio, sample_scene, truth


@pytest.mark.parametrize("rate", [16000, 44100])
@pytest.mark.parametrize("kind", KINDS)
def test_onsets_are_where_truth_says(kind: str, rate: int) -> None:
    checked = 0
    for seed in range(12):
        scene = sample_scene(seed, kind=kind)
        timeline = Timeline(frames=49, sample_rate=rate)
        sound = render_audio(scene, timeline)
        assert sound.shape == (2, timeline.samples)
        assert sound.dtype == np.float32
        energy = (sound.astype(float) ** 2).sum(axis=0)
        first = truth(scene, timeline, 64, 64).events[0]
        start = np.argmax(energy > 1e-7 * energy.max())
        assert start / rate == pytest.approx(first.time, abs=0.001)
        assert np.all(sound[:, : int(first.time * rate)] == 0)
        for event in truth(scene, timeline, 64, 64).events:
            # From 2 ms after the contact on, the energy is well above what rang before it.
            at = round(event.time * rate)
            before = energy[at - round(0.004 * rate) : at].max()
            after = energy[at : at + round(0.012 * rate)].max()
            assert after > before
            checked += 1
    assert checked > 12


def test_an_event_rises_within_3_ms() -> None:
    for seed in range(40):
        scene = sample_scene(seed)
        timeline = Timeline(frames=49)
        sound = np.abs(render_audio(scene, timeline)).max(axis=0)
        event = truth(scene, timeline, 64, 64).events[0]
        start = int(event.time * 16000)
        window = sound[start : start + 1600]
        assert window[: round(0.003 * 16000) + 1].max() > 0.3 * window.max()


def test_pan_follows_the_screen() -> None:
    sides = 0
    for seed in range(70):
        scene = sample_scene(seed, "val")
        timeline = Timeline(frames=49)
        event = truth(scene, timeline, 64, 64).events[0]
        if abs(event.x) < 0.1:
            continue
        sound = render_audio(scene, timeline).astype(float)
        start = int(event.time * 16000)
        left, right = (sound[:, start : start + 160] ** 2).sum(axis=1)
        assert np.sign(right - left) == np.sign(event.x)
        sides += 1
    assert sides > 35


def test_constant_power_and_peak() -> None:
    for seed in range(40):
        scene = sample_scene(seed)
        sound = render_audio(scene, Timeline(frames=49))
        assert np.abs(sound).max() == pytest.approx(scene.level, abs=1e-5)
        assert np.isfinite(sound).all()


def test_a_longer_timeline_begins_with_the_same_sound() -> None:
    scene = sample_scene(11, kind="bell")
    short, long = (render_audio(scene, Timeline(frames=frames)) for frames in (45, 49))
    # The level is that of the whole clip; up to it the shorter one is the longer one cut.
    scale = np.abs(long[:, : short.shape[1]]).max() / np.abs(short).max()
    assert np.abs(long[:, : short.shape[1]] - scale * short).max() < 1e-5


def test_xylophone_plays_its_bars_pitch() -> None:
    from vivace.world.timbre import note_frequency

    for seed in range(10):
        scene = sample_scene(seed, kind="xylophone")
        assert scene.instrument is not None
        timeline = Timeline(frames=49)
        sound = render_audio(scene, timeline).sum(axis=0)
        event = truth(scene, timeline, 64, 64).events[0]
        start = int((event.time + 0.01) * 16000)
        window = sound[start : start + 2400] * np.hanning(2400)
        peak = np.abs(np.fft.rfft(window, 1 << 16)).argmax() * 16000 / (1 << 16)
        assert peak == pytest.approx(note_frequency(event.bar, scene.instrument.bars), rel=0.02)


def test_materials_sound_different() -> None:
    """The spectral middle of a hit rises from rubber over wood to glass."""
    middles: dict[str, list[float]] = {}
    for seed in range(80):
        scene = sample_scene(seed, "test", kind="impacts")
        timeline = Timeline(frames=49)
        event = truth(scene, timeline, 64, 64).events[0]
        start = int(event.time * 16000)
        power = np.abs(np.fft.rfft(render_audio(scene, timeline).sum(axis=0)[start : start + 2048])) ** 2
        frequency = np.fft.rfftfreq(2 * (len(power) - 1), 1 / 16000)
        middles.setdefault(scene.stage.floor, []).append(float((power * frequency).sum() / power.sum()))
    typical = {floor: np.median(values) for floor, values in middles.items()}
    assert typical["rubber"] < typical["wood"] < typical["metal"] < typical["glass"]
    assert typical["wood"] < typical["stone"]
