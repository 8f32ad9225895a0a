"""What is written comes back: pictures, sound, and above all the time between them."""

from fractions import Fraction

import numpy as np
import pytest

from vivace.errors import VivaceError
from vivace.media import Clip, peak_limited, read_audio, read_clip, read_metadata, write_clip, write_wav

NTSC = Fraction(30000, 1001)


def flash_and_click(fps: Fraction, sample_rate: int, flash: int = 20, pictures: int = 49) -> Clip:
    """Dark pictures but one, and in the middle of silence a click that begins with it."""
    frames = np.full((pictures, 64, 96, 3), 16, np.uint8)
    frames[flash] = 240
    audio = np.zeros((2, round(pictures / fps * sample_rate)), np.float32)
    start = round(flash / fps * sample_rate)
    length = sample_rate // 200
    audio[:, start : start + length] = 0.8 * np.sin(2 * np.pi * 1500 * np.arange(length) / sample_rate)
    return Clip(frames, fps, audio, sample_rate)


def onset(audio: np.ndarray, sample_rate: int) -> float:
    """Seconds at which the sound first reaches a quarter of its peak."""
    loud = np.abs(audio).max(0)
    return int(np.argmax(loud > loud.max() / 4)) / sample_rate


@pytest.mark.parametrize("sample_rate", [16000, 44100, 48000])
@pytest.mark.parametrize("fps", [Fraction(24), Fraction(25), NTSC])
def test_flash_and_click_stay_within_2_ms(tmp_path, fps, sample_rate):
    clip = flash_and_click(fps, sample_rate)
    write_clip(tmp_path / "clip.mp4", clip)
    back = read_clip(tmp_path / "clip.mp4")

    assert (back.fps, back.sample_rate) == (fps, sample_rate)
    assert back.frames.shape == clip.frames.shape
    assert back.audio.shape == clip.audio.shape
    flash = int(np.argmax(back.frames.mean((1, 2, 3)))) / fps
    offset = onset(back.audio, sample_rate) - float(flash)
    assert abs(offset - (onset(clip.audio, sample_rate) - float(flash))) < 0.002
    # What AAC spreads before the click is below -40 dB of it from 5 ms before on.
    before = back.audio[:, : round((float(flash) - 0.005) * sample_rate)]
    assert np.abs(before).max() < 0.008


def test_struck_sounds_survive_aac_with_40_db(tmp_path):
    rate, rng = 16000, np.random.default_rng(0)
    time = np.arange(2 * rate) / rate
    audio = np.zeros((2, len(time)))
    for start in (0.2, 0.65, 1.1, 1.5):
        since = np.clip(time - start, 0, None)
        for hertz in rng.uniform(150, 5000, 6):
            ring = np.exp(-since * rng.uniform(5, 30)) * np.sin(2 * np.pi * hertz * since)
            audio += np.array([[0.08], [0.05]]) * ring
    audio = audio.astype(np.float32)
    write_clip(tmp_path / "clip.mp4", Clip(np.zeros((48, 16, 16, 3), np.uint8), Fraction(24), audio, rate))
    error = read_clip(tmp_path / "clip.mp4").audio - audio
    assert 20 * np.log10(audio.std() / error.std()) > 40


def test_flat_colours_survive_within_3_levels(tmp_path):
    colours = [(220, 40, 40), (40, 170, 70), (50, 90, 220), (240, 200, 40), (128, 128, 128), (255, 255, 255), (0, 0, 0)]
    frames = np.stack([np.full((64, 64, 3), colour, np.uint8) for colour in colours])
    write_clip(tmp_path / "clip.mp4", Clip(frames, Fraction(4), None, 16000))
    back = read_clip(tmp_path / "clip.mp4")
    assert back.audio is None
    assert np.abs(back.frames.astype(int) - frames).max() <= 3


def test_the_same_clip_gives_the_same_bytes(tmp_path):
    clip = flash_and_click(Fraction(24), 16000)
    for name in ("a.mp4", "b.mp4"):
        write_clip(tmp_path / name, clip, {"title": "same"})
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.parametrize("seconds", [0.01, 0.5, 1.7])
def test_sound_may_be_shorter_or_longer_than_its_pictures(tmp_path, seconds):
    sound = 0.5 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * 16000)) / 16000, dtype=np.float32)
    write_clip(tmp_path / "clip.mp4", Clip(np.zeros((24, 32, 32, 3), np.uint8), Fraction(24), sound[None], 16000))
    heard = read_audio(tmp_path / "clip.mp4", channels=1)
    assert abs(heard.shape[1] - len(sound)) <= 1024
    assert read_clip(tmp_path / "clip.mp4").frames.shape[0] == 24


def test_the_file_does_not_depend_on_what_lay_in_memory(tmp_path):
    rng = np.random.default_rng(3)
    coarse = rng.normal(128, 37, (5, 8, 16, 3)).clip(0, 255).astype(np.uint8)
    clip = Clip(coarse.repeat(4, axis=1).repeat(4, axis=2), Fraction(24), None, None)
    files = set()
    for _ in range(25):
        leftovers = [rng.bytes(length) for length in rng.integers(1_000, 300_000, 10)]
        del leftovers
        write_clip(tmp_path / "clip.mp4", clip)
        files.add((tmp_path / "clip.mp4").read_bytes())
    assert len(files) == 1


@pytest.mark.parametrize("suffix", [".mp4", ".wav"])
def test_metadata_of_any_length_and_script(tmp_path, suffix):
    record = {"vivace": '{"prompt": "öäß 你好 \\"quoted\\" = ; #\\n"' + "x" * 70_000 + "}", "title": "a = b; 音"}
    clip = flash_and_click(Fraction(24), 16000)
    clip = clip if suffix == ".mp4" else Clip(None, clip.fps, clip.audio, clip.sample_rate)
    write_clip(tmp_path / f"clip{suffix}", clip, record)
    assert read_metadata(tmp_path / f"clip{suffix}") == record


def test_the_index_comes_first(tmp_path):
    write_clip(tmp_path / "clip.mp4", flash_and_click(Fraction(24), 16000))
    data = (tmp_path / "clip.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("channels", [1, 2])
def test_wav_is_exact_to_half_a_16_bit_step(tmp_path, channels):
    audio = np.random.default_rng(0).uniform(-1, 1, (channels, 12345)).astype(np.float32)
    audio[:, :2] = [1, -1]
    write_wav(tmp_path / "sound.wav", audio, 22050)
    clip = read_clip(tmp_path / "sound.wav")
    assert clip.frames is None
    assert clip.sample_rate == 22050
    assert np.abs(clip.audio - audio).max() < 1 / 32767
    assert read_audio(tmp_path / "sound.wav", 22050, channels).shape == audio.shape


def test_loud_sound_is_refused_and_can_be_limited(tmp_path):
    audio = np.linspace(-1.5, 1.2, 8000, dtype=np.float32)[None]
    with pytest.raises(VivaceError, match="peak"):
        write_wav(tmp_path / "loud.wav", audio, 16000)
    limited = peak_limited(audio)
    assert np.abs(limited).max() == 1
    assert np.allclose(limited * 1.5, audio, atol=1e-6)
    write_wav(tmp_path / "loud.wav", limited, 16000)
    assert peak_limited(limited) is limited
