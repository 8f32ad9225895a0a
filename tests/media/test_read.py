"""Reading: exact seeking, windows, any rate and layout, and damage that is never passed over."""

import json
import struct
import tracemalloc
import wave
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from vivace.errors import VivaceError
from vivace.media import Clip, read_audio, read_clip, read_metadata, write_clip, write_wav
from vivace.media.read import opened

NTSC = Fraction(30000, 1001)


def numbered(pictures: int, fps: Fraction, sample_rate: int = 16000) -> Clip:
    """Each picture shows its own number in eight black or white bars; the sound is a rising ramp over the clip."""
    bits = (np.arange(pictures)[:, None] >> np.arange(8)) & 1
    bars = np.repeat(bits * 220 + 16, 8, axis=1).astype(np.uint8)
    frames = np.broadcast_to(bars[:, None, :, None], (pictures, 32, 64, 3)).copy()
    samples = round(pictures / fps * sample_rate)
    audio = (0.5 * np.sin(2 * np.pi * 440 * np.arange(samples) / sample_rate)).astype(np.float32)
    return Clip(frames, fps, np.stack([audio, 0.5 * audio]), sample_rate)


def numbers(frames: np.ndarray) -> list[int]:
    bars = frames[:, 16, 4::8, 1] > 128
    return [int((row << np.arange(8)).sum()) for row in bars]


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "numbered.mp4"
    write_clip(path, numbered(121, NTSC))
    return path


@pytest.mark.parametrize("first", [0, 1, 29, 30, 31, 59, 97, 120])
def test_every_picture_can_be_sought(clip_file, first):
    for start in (float(first / NTSC), first / NTSC):
        clip = read_clip(clip_file, start, 1 / NTSC)
        assert numbers(clip.frames) == [first]


def test_a_part_keeps_its_sound_in_place(clip_file):
    whole = read_clip(clip_file)
    part = read_clip(clip_file, 70 / NTSC, 40 / NTSC)
    assert numbers(part.frames) == list(range(70, 110))
    begin = round(70 / NTSC * 16000)
    assert part.audio.shape[1] == round(40 / NTSC * 16000)
    assert np.abs(part.audio - whole.audio[:, begin : begin + part.audio.shape[1]]).max() < 1e-4


def test_a_time_inside_a_picture_gives_that_picture(clip_file):
    assert numbers(read_clip(clip_file, Fraction(51, 2) / NTSC, 0.03).frames) == [25]


@pytest.mark.parametrize(("start", "seconds"), [(3.9, 1.0), (9.0, None), (0.0, 5.0)])
def test_a_part_outside_is_refused(clip_file, start, seconds):
    with pytest.raises(VivaceError, match="lasts"):
        read_clip(clip_file, start, seconds)


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf"), "1"])
def test_times_that_are_none_are_refused(clip_file, bad):
    with pytest.raises(VivaceError, match="start"):
        read_clip(clip_file, bad)
    with pytest.raises(VivaceError, match="seconds"):
        read_clip(clip_file, 0, bad)


@pytest.mark.parametrize("share", [0.35, 0.6, 0.9, 0.97])
def test_a_truncated_file_is_refused(clip_file, tmp_path, share):
    data = clip_file.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(VivaceError, match=r"truncated|damaged"):
        read_clip(tmp_path / "cut.mp4")


def test_a_truncated_wav_is_refused(tmp_path):
    write_wav(tmp_path / "whole.wav", np.zeros((2, 32000), np.float32), 16000)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "whole.wav").read_bytes()[:60000])
    with pytest.raises(VivaceError, match=r"truncated|damaged"):
        read_audio(tmp_path / "cut.wav")


def test_damaged_bytes_are_refused_or_harmless(clip_file, tmp_path):
    """Whatever a flipped run of bytes does, reading gives the full clip or a sentence, nothing else."""
    data = clip_file.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for trial in range(12):
        broken = bytearray(data)
        at = int(rng.integers(100, len(data) - 64))
        broken[at : at + 64] = rng.bytes(64)
        (tmp_path / f"{trial}.mp4").write_bytes(broken)
        try:
            clip = read_clip(tmp_path / f"{trial}.mp4")
            assert len(clip.frames) == 121
        except VivaceError:
            refused += 1
    assert refused


@pytest.mark.parametrize("content", [b"", b"hello, this is text", bytes(range(256)) * 20])
def test_files_that_are_no_media(tmp_path, content):
    path = tmp_path / "odd.mp4"
    path.write_bytes(content)
    for read in (read_clip, read_audio, read_metadata):
        with pytest.raises(VivaceError, match="odd"):
            read(path)


def test_paths_that_are_no_files(tmp_path):
    for path in (tmp_path, tmp_path / "none.mp4", "http://example.invalid/clip.mp4"):
        for read in (read_clip, read_audio, read_metadata):
            with pytest.raises(VivaceError, match="File"):
                read(path)


def test_silent_pictures_have_no_sound_to_read(tmp_path):
    write_clip(tmp_path / "mute.mp4", Clip(numbered(9, Fraction(24)).frames, Fraction(24), None, 16000))
    with pytest.raises(VivaceError, match="no sound"):
        read_audio(tmp_path / "mute.mp4")


@pytest.mark.parametrize(
    ("codec", "suffix", "rate", "layout"),
    [
        ("pcm_s16le", "wav", 8000, "mono"),
        ("pcm_s24le", "wav", 96000, "stereo"),
        ("pcm_u8", "wav", 11025, "mono"),
        ("flac", "flac", 44100, "stereo"),
        ("flac", "flac", 48000, "5.1"),
        ("aac", "mp4", 48000, "stereo"),
        ("libmp3lame", "mp3", 44100, "stereo"),
        ("libopus", "ogg", 48000, "mono"),
        ("ac3", "mkv", 32000, "5.1"),
    ],
)
def test_sound_of_any_rate_and_layout(tmp_path, codec, suffix, rate, layout):
    """A click at 0.6 s of every channel is found at 0.6 s, to 2 ms, at 16 kHz, in one and in two channels."""
    path = tmp_path / f"sound.{suffix}"
    samples = np.zeros(rate, np.float32)
    length = rate // 100
    samples[round(0.6 * rate) :][:length] = 0.7 * np.sin(2 * np.pi * 1000 * np.arange(length) / rate)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        channels = stream.codec_context.layout.nb_channels
        frame = av.AudioFrame.from_ndarray(np.stack([samples] * channels), format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        wanted = {"format": stream.codec_context.format, "layout": layout, "rate": rate}
        resampler = av.AudioResampler(**wanted, frame_size=stream.codec_context.frame_size)
        for part in resampler.resample(frame) + resampler.resample(None):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    for channels in (1, 2):
        audio = read_audio(path, 16000, channels)
        assert audio.shape[0] == channels
        assert audio.dtype == np.float32
        assert audio.shape[1] == pytest.approx(16000, abs=32 if codec not in ("libmp3lame", "libopus") else 1600)
        loud = np.abs(audio).max(0)
        assert np.argmax(loud > 0.15) / 16000 == pytest.approx(0.6, abs=0.002)
        assert loud.max() == pytest.approx(0.7, abs=0.12)


def test_a_picture_that_stays_longer_is_repeated(tmp_path):
    """Variable rates: pictures at 0, 1, 2, 5, 6 ... tenths of a second."""
    path, shown = tmp_path / "variable.mp4", [0, 1, 2, 5, 6, 7, 8, 9]
    clip = numbered(10, Fraction(10))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 10)
        for index in shown:
            frame = av.VideoFrame.from_ndarray(clip.frames[index], format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    back = read_clip(path)
    times = np.arange(len(back.frames)) / float(back.fps)
    expected = [max(i for i in shown if i / 10 <= time + 0.5 / float(back.fps)) for time in times]
    agreement = np.mean([a == b for a, b in zip(numbers(back.frames), expected, strict=True)])
    assert float(back.seconds) == pytest.approx(1.0, abs=0.13)
    assert agreement >= 0.75  # at 8 pictures a second on average, some of ten a second fall between two
    assert numbers(back.frames)[0] == 0
    assert numbers(back.frames)[-1] == 9


def test_camera_rotation_and_oblong_pixels_are_undone(tmp_path):
    path = tmp_path / "clip.mp4"
    frames = np.full((3, 32, 64, 3), 16, np.uint8)
    frames[:, :16, :32] = 240  # top left
    write_clip(path, Clip(frames, Fraction(24), None, 16000))
    data = path.read_bytes()
    one = (1 << 16).to_bytes(4, "big")
    upright = one + bytes(12) + one + bytes(12) + (1 << 30).to_bytes(4, "big")
    clockwise = bytes(4) + one + bytes(4) + (2**32 - 2**16).to_bytes(4, "big") + bytes(8)
    clockwise += (32 << 16).to_bytes(4, "big") + bytes(4) + (1 << 30).to_bytes(4, "big")
    at = data.rindex(upright, 0, data.index(b"mdat"))
    path.write_bytes(data[:at] + clockwise + data[at + len(upright) :])
    turned = read_clip(path).frames[0]
    assert turned.shape == (64, 32, 3)
    assert turned[:30, 18:].min() > 200
    assert turned[34:].max() < 60

    with av.open(str(tmp_path / "wide.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(frames[0][:, :48].copy(), format="rgb24")))
        container.mux(stream.encode(None))
    assert read_clip(tmp_path / "wide.mp4").frames.shape == (1, 32, 64, 3)


@pytest.mark.parametrize(("suffix", "codec"), [("webm", "libvpx-vp9"), ("ts", "libx264"), ("avi", "mpeg4")])
def test_other_containers_seek_as_exactly(tmp_path, suffix, codec):
    path, clip = tmp_path / f"clip.{suffix}", numbered(60, Fraction(25))
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        stream.codec_context.options = {"g": "12"}
        for index, picture in enumerate(clip.frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert numbers(read_clip(path).frames) == list(range(60))
    for first in (1, 11, 12, 13, 40, 57):
        assert numbers(read_clip(path, first / 25, 0.08).frames) == [first, first + 1]


def test_sound_that_begins_later_is_preceded_by_silence(tmp_path):
    path = tmp_path / "late.mkv"
    clip = numbered(24, Fraction(24))
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=24)
        video.width, video.height, video.pix_fmt = 64, 32, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=16000, layout="stereo")
        for index, picture in enumerate(clip.frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 24)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        late = np.full((1, 2 * 4000), 8000, np.int16)
        frame = av.AudioFrame.from_ndarray(late, format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 16000, 8000, Fraction(1, 16000)
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    audio = read_clip(path).audio
    assert audio.shape == (2, 16000)
    loud = np.flatnonzero(np.abs(audio[0]) > 0.1)
    assert (loud[0], loud[-1]) == (8000, 11999)


def test_silence_behind_a_sound_that_ends_early_is_told(tmp_path):
    clip = numbered(49, Fraction(24))
    told = []
    write_clip(tmp_path / "whole.mp4", clip)
    read_clip(tmp_path / "whole.mp4", tell=told.append)
    read_clip(tmp_path / "whole.mp4", 0.5, 0.7, tell=told.append)
    assert told == []
    path = tmp_path / "short.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=24)
        video.width, video.height, video.pix_fmt = 64, 32, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=16000, layout="stereo")
        frame = av.AudioFrame.from_ndarray(np.full((1, 2 * 6720), 8000, np.int16), format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 16000, 0, Fraction(1, 16000)
        container.mux([*sound.encode(frame), *sound.encode(None)])
        for index, picture in enumerate(clip.frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 24)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    audio = read_clip(path, tell=told.append).audio
    assert told == ["has sound for 0.42 of its 2.04 s; silence fills the rest"]
    assert audio.shape == (2, 32667)
    assert not audio[:, 6720:].any()


@pytest.mark.parametrize(
    ("name", "duration", "complaint"),
    [
        ("moving.webp", 100, "is an animated WebP, which cannot be read here; convert it to MP4 first"),
        ("two.png", 100, "states 100000 pictures a second, more than can be meant; convert it to MP4 at its real rate"),
    ],
)
def test_moving_pictures_that_are_not_read_are_told_what_they_are(tmp_path, name, duration, complaint):
    pictures = [Image.new("RGB", (32, 32), (shade, 0, 0)) for shade in (20, 200)]
    pictures[0].save(tmp_path / name, save_all=True, append_images=pictures[1:], duration=duration)
    with pytest.raises(VivaceError, match=complaint) as caught:
        read_clip(tmp_path / name)
    assert str(caught.value).startswith(f"File {str(tmp_path / name)!r} ")


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_moving_pictures_of_the_web_are_read(tmp_path, suffix):
    pictures = [Image.new("RGB", (32, 32), (shade, 0, 0)) for shade in range(0, 250, 25)]
    pictures[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=pictures[1:], duration=100)
    clip = read_clip(tmp_path / f"a.{suffix}")
    assert (clip.fps, len(clip.frames)) == (10, 10)


def test_a_sound_without_a_sample_is_told_to_be_empty(tmp_path):
    with wave.open(str(tmp_path / "empty.wav"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
    with pytest.raises(VivaceError, match="is empty; give one"):
        read_audio(tmp_path / "empty.wav", 16000)
    with pytest.raises(VivaceError, match="is empty; give one"):
        read_clip(tmp_path / "empty.wav", seconds=1.0, pictures=False)


def test_at_most_takes_a_shorter_file_whole_and_a_longer_one_in_part(clip_file, tmp_path):
    assert numbers(read_clip(clip_file, at_most=99).frames) == list(range(121))
    part = read_clip(clip_file, at_most=1.0)
    assert numbers(part.frames) == list(range(30))
    assert part.audio.shape[1] == round(30 / NTSC * 16000)
    with pytest.raises(VivaceError, match="less than"):
        read_clip(clip_file, seconds=99, pictures=False)
    sound = read_clip(clip_file, at_most=99, pictures=False)
    assert sound.frames is None
    assert abs(sound.audio.shape[1] - 121 / NTSC * 16000) <= 1024
    assert read_clip(clip_file, at_most=0.5, pictures=False).audio.shape[1] == 8000
    write_wav(tmp_path / "short.wav", sound.audio[:, :5000], 16000)
    assert read_clip(tmp_path / "short.wav", at_most=1).audio.shape[1] == 5000
    write_clip(tmp_path / "mute.mp4", Clip(numbered(9, NTSC).frames, NTSC, None, 16000))
    with pytest.raises(VivaceError, match="has no sound"):
        read_clip(tmp_path / "mute.mp4", pictures=False)


def shown(path, pictures, codec="libx264", **options):
    """A file of grey pictures [T, H, W, 3], 24 a second."""
    with av.open(str(path), "w", **options) as container:
        stream = container.add_stream(codec, rate=24)
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 24)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("suffix", "start", "seconds"), [("mp4", 0, None), ("mp4", 1, 1.5), ("mkv", 0, None)])
def test_a_large_clip_is_decoded_to_where_it_stays(tmp_path, suffix, start, seconds):
    """Matroska does not say how many pictures there are."""
    path = shown(tmp_path / f"clip.{suffix}", np.full((72, 120, 160, 3), 90, np.uint8))
    read_clip(path, 0, 0.1)  # what is imported counts once
    tracemalloc.start()
    try:
        clip = read_clip(path, start, seconds)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(clip.frames) == (72 if seconds is None else 36)
    assert clip.frames.base is None
    assert clip.frames.nbytes < peak < 1.4 * clip.frames.nbytes


def test_pictures_that_change_their_size_are_told(tmp_path):
    parts = [np.full((24, side, side, 3), 90, np.uint8) for side in (64, 96)]
    both = b"".join(shown(tmp_path / f"{len(part[0])}.ts", part).read_bytes() for part in parts)
    (tmp_path / "both.ts").write_bytes(both)
    with pytest.raises(VivaceError, match="size of its pictures"):
        read_clip(tmp_path / "both.ts")


def test_whoever_waits_hears_of_pictures_before_the_part_too(tmp_path):
    path = shown(tmp_path / "clip.ts", np.full((72, 32, 32, 3), 90, np.uint8))
    heard = []
    assert len(read_clip(path, 2.5, 0.25, getting_on=lambda: heard.append(1)).frames) == 6
    assert 66 <= len(heard) <= 72


def test_damage_that_a_decoder_calls_a_lack_of_permission_is_damage(tmp_path):
    write_wav(tmp_path / "a.wav", np.zeros((1, 800), np.float32), 8000)
    with pytest.raises(VivaceError, match="is damaged"), opened(tmp_path / "a.wav"):
        raise av.error.PermissionError(1, "Operation not permitted")


def wav_of(path, channels):
    """A WAV of float32 samples [C, N] at 16 kHz, which may have more channels or larger samples than we write."""
    content = np.ascontiguousarray(channels.T, "<f4").tobytes()
    count = len(channels)
    kind = struct.pack("<HHIIHH", 3, count, 16000, 64000 * count, 4 * count, 32)
    body = b"WAVEfmt " + struct.pack("<I", 16) + kind + b"data" + struct.pack("<I", len(content)) + content
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


@pytest.mark.parametrize("count", [3, 8, 9, 32, 64])
def test_many_channels_without_places_are_averaged(tmp_path, count):
    """Each of them is a constant of its own, so that one that is lost, doubled or shifted would show."""
    levels = np.linspace(-0.5, 0.9, count, dtype=np.float32)
    told = []
    clip = read_clip(wav_of(tmp_path / "many.wav", np.repeat(levels[:, None], 5000, 1)), tell=told.append)
    np.testing.assert_allclose(clip.audio, np.full((2, 5000), levels.mean()), atol=1e-6)
    assert told == [f"has {count} channels, which are mixed down"]


def test_more_channels_than_can_be_read_are_refused(tmp_path):
    path = wav_of(tmp_path / "many.wav", np.zeros((65, 800), np.float32))
    for read in (read_clip, read_audio):
        with pytest.raises(VivaceError, match="has 65 channels of sound, more than the 64"):
            read(path)


def test_samples_beyond_one_are_cut_off_and_told(tmp_path):
    told = []
    samples = np.full((2, 800), 0.5, np.float32)
    assert read_clip(wav_of(tmp_path / "a.wav", samples), tell=told.append).audio.max() == 0.5
    samples[1, 7] = -1.75
    audio = read_clip(wav_of(tmp_path / "a.wav", samples), tell=told.append).audio
    assert (audio[1, 7], audio[1, 8]) == (-1.0, 0.5)
    assert told == ["has samples up to 1.75, which are cut off at 1"]


@pytest.mark.parametrize("odd", [b"5", b"[1]", b"[" * 100_000, b'{"request": '])
def test_a_comment_that_only_looks_like_ours_is_a_tag_like_others(tmp_path, odd):
    path = tmp_path / "a.wav"
    write_wav(path, np.zeros((1, 800), np.float32), 16000, metadata={"request": "x" * 100_000})
    ours = json.dumps({"request": "x" * 100_000}).encode()
    path.write_bytes(path.read_bytes().replace(ours, odd.ljust(len(ours))))
    assert read_metadata(path).keys() == {"comment"}
