from pathlib import Path

import av
import numpy as np
import pytest
import torch

from vivace.conditioning.voices import (
    Recording,
    read_voice,
    recording,
    speaker_vectors,
    voices_for_spans,
    voices_of_prompts,
)
from vivace.errors import VivaceError
from vivace.media import Clip, write_clip, write_wav
from vivace.models.speaker import NanoSpeakerEncoder

RATE = 16000


def hum(seconds: float, rate: int = RATE, pitch: float = 120.0) -> np.ndarray:
    """Something voice-like: harmonics that fall by 6 dB an octave, mono [N]."""
    times = np.arange(int(seconds * rate)) / rate
    sound = sum(np.sin(2 * np.pi * pitch * k * times) / k for k in range(1, 20))
    return (0.2 * sound).astype(np.float32)


def talk(seconds: float) -> np.ndarray:
    """Something that rises, falls and stops as speech does: two syllables, then half a second of pause. [N]"""
    times = np.arange(int(seconds * RATE)) / RATE
    pauses = np.floor(4 * times) % 4 >= 2
    return (hum(seconds) * np.sin(4 * np.pi * times) ** 2 * ~pauses).astype(np.float32)


def hiss(seconds: float, dbfs: float) -> np.ndarray:
    noise = np.random.default_rng(7).standard_normal(int(seconds * RATE))
    return (10 ** (dbfs / 20) * noise).astype(np.float32)


@pytest.fixture(scope="module")
def encoder() -> NanoSpeakerEncoder:
    torch.manual_seed(0)
    return NanoSpeakerEncoder(dim=8, width=16, num_layers=1).eval()


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16000, 2), (44100, 1), (48000, 2)])
def test_a_recording_of_any_rate_and_channels_gives_the_same_voice(
    tmp_path: Path, encoder: NanoSpeakerEncoder, rate: int, channels: int
) -> None:
    # Below 4 kHz, so that the slowest rate holds all of it.
    times = np.arange(2 * rate) / rate
    sound = sum(np.sin(2 * np.pi * 150 * k * times) / k for k in range(1, 20)).astype(np.float32) * 0.2
    write_wav(tmp_path / "voice.wav", np.repeat(sound[None], channels, 0), rate)
    voice = read_voice(tmp_path / "voice.wav")
    assert (voice.sample_rate, voice.seconds) == (16000, pytest.approx(2.0, abs=0.05))
    vector = speaker_vectors(encoder, [voice], 8)[0]
    direct = speaker_vectors(encoder, [recording(hum(2.0, pitch=150.0), RATE)], 8)[0]
    assert float(vector @ direct) > 0.99


def test_pauses_are_cut_out_and_thirty_seconds_kept() -> None:
    pause = np.zeros(3 * RATE, np.float32)
    voice = recording(np.concatenate((pause, hum(1.0), pause, hum(1.0), pause)), RATE)
    assert voice.seconds == pytest.approx(2.0, abs=0.5)
    long = recording(hum(40.0), RATE, "Voice 'x.wav'")
    assert long.seconds == 30.0
    assert long.notes == ("Voice 'x.wav' has 40 s of speech; the first 30 s are used.",)


@pytest.mark.parametrize("dbfs", [-70.0, -60.0, -50.0, -40.0])
@pytest.mark.parametrize("before", [0.0, 0.5, 1.0])
def test_a_long_hiss_around_the_speech_is_no_part_of_the_voice(dbfs: float, before: float) -> None:
    noise = hiss(180.0, dbfs)
    first, last = np.split(noise, [int(before * len(noise))])
    voice = recording(np.concatenate((first, talk(5.0), last)), RATE, "Voice 'x.wav'")
    alone = recording(talk(5.0), RATE)
    assert voice.seconds == pytest.approx(alone.seconds, abs=0.4)
    power = [float(np.square(sound.samples).sum()) for sound in (voice, alone)]
    assert power[0] == pytest.approx(power[1], rel=0.02)
    assert bool(voice.notes) == (dbfs > -55)
    for note in voice.notes:
        assert note.startswith("Voice 'x.wav' has a steady noise ")


def test_a_noise_under_the_speech_is_told_and_cut_out_of_its_pauses() -> None:
    voice = recording(talk(6.0) + hiss(6.0, -45.0), RATE, "Voice 'x.wav'")
    assert voice.notes == (
        "Voice 'x.wav' has a steady noise 30 dB below its loud parts; where it is alone it is cut out.",
    )
    assert voice.seconds == pytest.approx(recording(talk(6.0), RATE).seconds, abs=0.4)
    for around in (0.0, 60.0):
        drowned = np.concatenate((hiss(around, -20.0), talk(6.0) + hiss(6.0, -20.0)))
        with pytest.raises(VivaceError, match=r"has a steady noise only [0-9] dB below its loudest parts.*less noise"):
            recording(drowned, RATE, "Voice 'x.wav'")


def test_a_click_says_nothing_of_how_loud_a_voice_is() -> None:
    sound = np.concatenate((hiss(60.0, -70.0), 0.05 * talk(5.0)))
    usual = recording(sound, RATE)
    sound[RATE : RATE + 320] = 1.0
    assert recording(sound, RATE).seconds == pytest.approx(usual.seconds + 0.18, abs=0.05)


@pytest.mark.parametrize(
    ("sound", "complaint"),
    [
        (np.zeros(RATE), "silent"),
        (np.full(RATE, 0.5), "silent"),
        (np.zeros(0), "0.00 s long"),
        (np.ones(1), "0.00 s long"),
        (1e-4 * hum(1.0), "silent"),
        (hum(0.2), "0.20 s long"),
        (np.pad(hum(0.2), RATE), "0.36 s of speech"),
        (np.sign(hum(1.0)), "clipped"),
        (np.clip(30 * hum(1.0), -1, 1), "clipped"),
        (np.full(RATE, np.nan), "not finite"),
        (np.zeros((2, RATE)), "not mono"),
    ],
)
def test_unusable_recordings_are_refused_in_one_sentence(sound: np.ndarray, complaint: str) -> None:
    with pytest.raises(VivaceError, match=complaint) as caught:
        recording(sound, RATE, "Voice 'x.wav'")
    assert str(caught.value).startswith("Voice 'x.wav' ")
    assert "\n" not in str(caught.value)


def test_a_recording_at_too_high_a_level_is_refused_and_a_clean_tone_is_not() -> None:
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft(rng.standard_normal(2 * RATE)) / (1 + (np.fft.rfftfreq(2 * RATE, 1 / RATE) / 500) ** 2)
    speech = np.fft.irfft(spectrum).astype(np.float32)
    speech /= speech.std()
    assert recording(0.2 * speech, RATE).seconds == pytest.approx(2.0, abs=0.1)
    loud = np.clip(0.6 * speech, -1, 1)
    assert 0.05 < (np.abs(loud) == 1).mean() < 0.15
    for level in (1.0, 0.3):  # turned down afterwards, it is as much cut off as before
        with pytest.raises(VivaceError, match="clipped"):
            recording(level * loud + 0.01, RATE)
    times = np.arange(2 * RATE) / RATE
    for pitch in (60, 100, 114, 220, 250, 400, 1000):
        assert recording(0.5 * np.sin(2 * np.pi * pitch * times), RATE).notes == ()


def test_files_that_hold_no_voice_are_refused(tmp_path: Path) -> None:
    write_clip(tmp_path / "mute.mp4", Clip(np.zeros((8, 32, 32, 3), np.uint8), 24, None, RATE), {})
    write_wav(tmp_path / "one.wav", np.full((1, 1), 0.5, np.float32), RATE)
    (tmp_path / "broken.wav").write_bytes(b"RIFF" + bytes(range(256)))
    (tmp_path / "text.txt").write_text("not a voice")
    write_wav(tmp_path / "whole.wav", hum(1.0)[None], RATE)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "whole.wav").read_bytes()[:9000])
    complaints = {
        "mute.mp4": "no sound",
        "one.wav": "0.00 s long",
        "broken.wav": "damaged|truncated",
        "text.txt": "damaged|no media",
        "cut.wav": "truncated",
        "none.wav": "does not exist",
    }
    for name, complaint in complaints.items():
        with pytest.raises(VivaceError, match=complaint):
            read_voice(tmp_path / name)


def test_an_hour_is_refused_before_it_is_read(tmp_path: Path) -> None:
    write_wav(tmp_path / "hour.wav", np.zeros((1, 3600 * 8000), np.float32), 8000)
    with pytest.raises(VivaceError, match="60 minutes of sound, more than 59; cut out"):
        read_voice(tmp_path / "hour.wav")


def test_of_a_long_file_the_first_speech_is_used(tmp_path: Path) -> None:
    sound = np.zeros(660 * 8000, np.float32)
    speech = hum(40.0, rate=8000)
    sound[: len(speech)] = speech
    write_wav(tmp_path / "long.wav", sound[None], 8000)
    voice = read_voice(tmp_path / "long.wav")
    assert isinstance(voice, Recording)
    assert len(voice.samples) / voice.sample_rate == pytest.approx(30.0, abs=0.1)


def test_speech_that_begins_too_late_is_told_to_be_late(tmp_path: Path) -> None:
    sound = np.zeros(615 * 8000, np.float32)
    sound[602 * 8000 : 612 * 8000] = hum(10.0, rate=8000)
    write_wav(tmp_path / "late.wav", sound[None], 8000)
    with pytest.raises(
        VivaceError, match=r"is silent in its first 10 minutes, which are all that is heard; cut out the part"
    ):
        read_voice(tmp_path / "late.wav")


def test_what_every_recording_goes_through_is_not_told(tmp_path: Path) -> None:
    tones = [0.3 * np.sin(2 * np.pi * 200 * np.arange(2 * 44100) / 44100)] * 6
    with av.open(tmp_path / "six.wav", "w") as container:
        stream = container.add_stream("pcm_f32le", rate=44100, layout="5.1")
        frame = av.AudioFrame.from_ndarray(np.asarray(tones, np.float32).T.reshape(1, -1), format="flt", layout="5.1")
        frame.sample_rate, frame.pts = 44100, 0
        container.mux([*stream.encode(frame), *stream.encode(None)])
    voice = read_voice(tmp_path / "six.wav")
    assert isinstance(voice, Recording)
    assert voice.notes == ()


def test_of_channels_that_cancel_each_other_the_louder_one_is_heard(tmp_path: Path) -> None:
    one = hum(1.0)
    other = hum(1.0, pitch=170.0)
    path = tmp_path / "voice.wav"
    note = f"Voice {str(path)!r} has two channels that cancel each other, of which the louder one is used."
    for sides, heard, notes in (
        ((one, -one), one, (note,)),
        ((-0.7 * one, one), one, (note,)),
        ((one, one), one, ()),
        ((one, 0 * one), one / 2, ()),
        ((one, other), (one + other) / 2, ()),
    ):
        write_wav(path, np.stack(sides).astype(np.float32), RATE)
        voice = read_voice(path)
        assert isinstance(voice, Recording)
        assert voice.notes == notes
        count = len(voice.samples)
        assert np.abs(voice.samples - heard[:count]).max() < 0.01 * np.abs(heard).max()


def test_voices_go_to_the_spans_in_order_or_one_to_all() -> None:
    a, b = (Recording(hum(1.0), RATE, name) for name in "ab")
    assert voices_for_spans(3, [a, b, a]) == [a, b, a]
    assert voices_for_spans(3, [a]) == [a, a, a]
    assert voices_for_spans(2, [None, b]) == [None, b]
    assert voices_for_spans(2, []) == [None, None]
    assert voices_for_spans(0, []) == []
    assert voices_of_prompts([1, 2], [a]) == [[a], [a, a]]
    assert voices_of_prompts([1, 2, 0], [[a], [b, a], []]) == [[a], [b, a], []]
    for spans, voices, complaint in ((0, [a], "no speech"), (3, [a, b], "3 speech spans and 2"), (1, [a, b], "and 2")):
        with pytest.raises(VivaceError, match=complaint):
            voices_for_spans(spans, voices)
    with pytest.raises(VivaceError, match="1 list of voices for 2 prompts"):
        voices_of_prompts([1, 1], [[a]])


def test_unknown_voices_are_zeros_and_vectors_pass_through(encoder: NanoSpeakerEncoder) -> None:
    voice = recording(hum(1.0), RATE)
    own = torch.randn(8)
    rows = speaker_vectors(encoder, [None, voice, own, voice], 8)
    assert not rows[0].any()
    assert torch.equal(rows[1], rows[3])
    assert torch.equal(rows[2], own)
    assert speaker_vectors(None, [], 8).shape == (0, 8)
    with pytest.raises(VivaceError, match=r"shape \[5\]"):
        speaker_vectors(encoder, [torch.zeros(5)], 8)
