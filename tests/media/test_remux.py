"""New pictures over sound that is copied packet by packet."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from vivace.errors import VivaceError
from vivace.media import Clip, read_clip, read_metadata, write_clip, write_pictures_over_sound, write_wav

FPS = Fraction(24)


def _clip(frames: int = 12, side: int = 32, rate: int = 16000) -> Clip:
    dice = np.random.default_rng(0)
    pictures = dice.integers(0, 256, (frames, side, side, 3), dtype=np.uint8)
    sound = (0.2 * dice.standard_normal((2, round(frames / FPS * rate)))).clip(-1, 1).astype(np.float32)
    return Clip(pictures, FPS, sound, rate)


def packets(path: Path) -> list[tuple[bytes, int, Fraction]]:
    """Bytes, time and unit of the sound's packets."""
    with av.open(str(path)) as container:
        found = container.demux(container.streams.audio[0])
        return [(bytes(packet), packet.pts, packet.time_base) for packet in found if packet.dts is not None]


@pytest.mark.parametrize("rate", [16000, 48000])
def test_sound_is_the_same_bytes_at_the_same_times(tmp_path: Path, rate: int) -> None:
    clip = _clip(rate=rate)
    write_clip(tmp_path / "small.mp4", clip, {"title": "small"})
    large = np.repeat(np.repeat(clip.frames, 2, 1), 2, 2)
    assert write_pictures_over_sound(tmp_path / "large.mp4", large, FPS, tmp_path / "small.mp4", {"title": "large"})
    assert packets(tmp_path / "large.mp4") == packets(tmp_path / "small.mp4")
    before, after = (read_clip(tmp_path / f"{name}.mp4") for name in ("small", "large"))
    np.testing.assert_array_equal(after.audio, before.audio)
    assert after.frames.shape == large.shape
    assert (after.fps, after.sample_rate, len(after.frames)) == (before.fps, rate, len(before.frames))
    assert read_metadata(tmp_path / "large.mp4")["title"] == "large"


def test_sound_that_begins_late_in_another_container_keeps_its_distance_to_the_pictures(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", _clip(), {})
    shifted = tmp_path / "shifted.mkv"
    with av.open(str(tmp_path / "clip.mp4")) as source, av.open(str(shifted), "w") as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is None:
                continue
            late = 2 if packet.stream.type == "video" else Fraction(9, 4)  # seconds
            packet.pts, packet.dts = (int(t + late / packet.time_base) for t in (packet.pts, packet.dts))
            packet.stream = streams[packet.stream.index]
            target.mux(packet)
    clip = read_clip(shifted)
    assert write_pictures_over_sound(tmp_path / "out.mp4", clip.frames, clip.fps, shifted)
    again = read_clip(tmp_path / "out.mp4")
    assert [found[0] for found in packets(tmp_path / "out.mp4")] == [found[0] for found in packets(shifted)]
    silent = round(0.15 * clip.sample_rate)  # the first block, which players leave out, lasts 64 ms
    assert not again.audio[:, :silent].any()
    first, second = (np.argmax(np.abs(c.audio[0]) > 0.01) / c.sample_rate for c in (clip, again))
    assert abs(first - second) < 0.002  # Matroska counts milliseconds


def test_a_source_without_sound_gives_a_file_without(tmp_path: Path) -> None:
    clip = _clip()
    write_clip(tmp_path / "silent.mp4", Clip(clip.frames, FPS, None, 16000))
    assert not write_pictures_over_sound(tmp_path / "out.mp4", clip.frames, FPS, tmp_path / "silent.mp4")
    assert read_clip(tmp_path / "out.mp4").audio is None


def test_what_cannot_be_written_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    clip = _clip()
    write_wav(tmp_path / "sound.wav", clip.audio, 16000)
    (tmp_path / "text.mp4").write_text("no film")
    write_clip(tmp_path / "good.mp4", clip)
    for target, source, frames, complaint in (
        ("out.mp4", "sound.wav", clip.frames, "pcm_s16le, which an MP4 cannot hold"),
        ("out.mp4", "nowhere.mp4", clip.frames, "does not exist"),
        ("out.mp4", "text.mp4", clip.frames, "damaged or no media file"),
        ("out.mov", "good.mp4", clip.frames, "does not end in .mp4"),
        ("out.mp4", "good.mp4", clip.frames[:, :31], "even sizes"),
        ("out.mp4", "good.mp4", clip.frames.astype(np.float32), "are not pictures"),
    ):
        with pytest.raises(VivaceError, match=complaint):
            write_pictures_over_sound(tmp_path / target, frames, FPS, tmp_path / source)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good.mp4", "sound.wav", "text.mp4"]
