"""Pictures of clips: everything at its place on the axis of time."""

from dataclasses import dataclass

import numpy as np
import pytest

from vivace.errors import VivaceError
from vivace.media import contact_sheet, spectrogram_image, waveform_image
from vivace.media.sheet import EVENT, LEFT, RIGHT, WIDTH

RATE = 16000


def tone(hertz: float, seconds: float = 1.0, start: float = 0.0) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.5 * np.sin(2 * np.pi * hertz * time) * (time >= start)).astype(np.float32)[None]


def test_a_click_is_drawn_at_its_time():
    audio = np.zeros((2, RATE), np.float32)
    audio[0, 12000] = 1.0  # a single sample, on the left only
    image = waveform_image(audio, RATE, 400, 80)
    assert image.shape == (80, 400, 3)
    ink = (image != 255).any(-1)
    assert np.argmax(ink[:40].sum(0)) == 300
    assert ink[40:].sum(0).max() <= 2


def test_a_higher_tone_is_drawn_higher_and_silence_is_dark():
    brightest = [
        int(spectrogram_image(tone(hertz, start=0.5), RATE, 100, 64)[:, 75].sum(-1).argmax())
        for hertz in (300, 1000, 4000)
    ]
    assert brightest == sorted(brightest, reverse=True)
    assert len(set(brightest)) == 3
    image = spectrogram_image(tone(1000, start=0.5), RATE, 100, 64)
    assert image[:, :40].max() < 30 < image[:, 60:].max()


@pytest.mark.parametrize("seconds", [0.02, 1.0])
def test_a_sound_that_goes_on_to_its_end_shows_no_click_there(seconds: float) -> None:
    image = spectrogram_image(tone(700, seconds), RATE, 100, 64).astype(int)
    assert np.abs(image - image[:, 50:51]).max() < 40


@dataclass
class Event:
    time: float
    kind: str


@pytest.mark.parametrize("event", [0.5, (0.5, "bounce"), Event(0.5, "bounce"), np.float64(0.5)])
def test_event_ticks_stand_at_their_time(event):
    sheet = contact_sheet(None, 24, tone(440), RATE, [event])
    columns = np.flatnonzero((sheet == EVENT).all(-1).sum(0) > 20)
    assert np.abs(columns - (LEFT + (WIDTH - LEFT - RIGHT) / 2)).max() <= 1


@pytest.mark.parametrize("size", [(128, 128), (72, 128), (128, 72), (16, 400)])
@pytest.mark.parametrize("pictures", [1, 3, 49])
def test_any_shape_and_length_of_clip(size, pictures):
    frames = np.full((pictures, *size, 3), 90, np.uint8)
    for audio in (None, tone(440, pictures / 24), np.repeat(tone(440, pictures / 24), 2, 0)):
        sheet = contact_sheet(frames, 24, audio, RATE, [(0.01, "first"), (0.02, "second")], "words " * 100)
        assert sheet.shape[1:] == (1200, 3)
        assert sheet.dtype == np.uint8
        assert (sheet == 90).all(-1).any()


def test_pictures_stand_over_the_time_they_show():
    frames = np.zeros((48, 64, 64, 3), np.uint8)
    frames[24:, :, :, 1] = 200
    sheet = contact_sheet(frames, 24, tone(440, 2.0), RATE)
    green = np.flatnonzero((sheet == (0, 200, 0)).all(-1).any(0))
    assert green.min() == pytest.approx(LEFT + (WIDTH - LEFT - RIGHT) / 2, abs=4)


def test_nothing_to_show_is_refused():
    with pytest.raises(VivaceError, match="pictures or sound"):
        contact_sheet(None, 24, None, RATE)
    with pytest.raises(VivaceError, match="uint8"):
        contact_sheet(np.zeros((3, 8, 8, 3)), 24, None, RATE)
