"""Writing: what does not fit is refused with a sentence, and nothing is left half-written."""

import os
from fractions import Fraction

import numpy as np
import pytest
from tests.media.small_disk import small_disk

from vivace.errors import VivaceError
from vivace.media import Clip, read_clip, read_image, replacing, write_clip, write_png, write_wav

FPS = Fraction(24)


def noise(pictures: int = 9, height: int = 64, width: int = 64, channels: int = 2) -> Clip:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (pictures, height, width, 3), dtype=np.uint8)
    audio = rng.uniform(-0.5, 0.5, (channels, round(pictures / FPS * 16000))).astype(np.float32)
    return Clip(frames, FPS, audio, 16000)


@pytest.mark.parametrize(("height", "width"), [(63, 64), (64, 65), (2, 2)])
def test_sizes_that_do_not_fit_are_refused(tmp_path, height, width):
    with pytest.raises(VivaceError, match=f"{width}x{height}"):
        write_clip(tmp_path / "clip.mp4", noise(height=height, width=width))
    assert list(tmp_path.iterdir()) == []


def test_sound_that_does_not_fit_is_refused(tmp_path):
    clip = noise()
    for audio, rate, word in (
        (np.zeros((3, 6000), np.float32), 16000, "channels"),
        (clip.audio, 15999, "15999"),
        (clip.audio * 4, 16000, "peak"),
    ):
        with pytest.raises(VivaceError, match=word):
            write_clip(tmp_path / "clip.mp4", Clip(clip.frames, FPS, audio, rate))


@pytest.mark.parametrize("name", ["clip", "clip.avi", "clip.wav"])
def test_pictures_are_written_as_mp4_only(tmp_path, name):
    with pytest.raises(VivaceError, match="mp4"):
        write_clip(tmp_path / name, noise())


@pytest.mark.parametrize("metadata", [{"": "x"}, {"a": "b\0c"}, {"a": 1}])
def test_metadata_that_is_no_text_is_refused(tmp_path, metadata):
    with pytest.raises(VivaceError, match="Metadata"):
        write_clip(tmp_path / "clip.mp4", noise(), metadata)


@pytest.mark.parametrize(
    "bad",
    [
        (None, FPS, None, 16000),
        (np.zeros((2, 8, 8, 4), np.uint8), FPS, None, 16000),
        (np.zeros((0, 8, 8, 3), np.uint8), FPS, None, 16000),
        (np.zeros((2, 8, 8, 3), np.float32), FPS, None, 16000),
        (None, FPS, np.zeros((2, 10), np.float64), 16000),
        (None, FPS, np.zeros(10, np.float32), 16000),
        (None, FPS, np.full((2, 10), np.nan, np.float32), 16000),
        (None, FPS, np.zeros((2, 10), np.float32), 0),
        (None, Fraction(0), np.zeros((2, 10), np.float32), 16000),
    ],
)
def test_a_clip_refuses_what_is_none(bad):
    with pytest.raises(VivaceError):
        Clip(*bad)


def test_missing_folders_are_made_and_old_files_replaced(tmp_path):
    path = tmp_path / "new" / "folder" / "with:colon" / "clip.mp4"
    write_clip(path, noise())
    write_clip(path, noise(pictures=5))
    assert len(read_clip(path).frames) == 5
    assert [p.name for p in path.parent.iterdir()] == ["clip.mp4"]


def writers():
    audio = np.random.default_rng(0).uniform(-1, 1, (2, 16000)).astype(np.float32)
    picture = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    return [
        ("clip.mp4", lambda path: write_clip(path, noise(25, 128, 128))),
        ("sound.wav", lambda path: write_wav(path, audio, 16000)),
        ("picture.png", lambda path: write_png(path, picture)),
    ]


@pytest.mark.parametrize(("name", "write"), writers())
def test_a_disk_that_fills_up_leaves_the_old_file(tmp_path, name, write):
    (tmp_path / name).write_bytes(b"old")
    with small_disk(20_000), pytest.raises(VivaceError, match="cannot be written"):
        write(tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"old"


@pytest.mark.parametrize(("name", "write"), writers())
def test_unwritable_paths(tmp_path, name, write):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / f"folder{name}").mkdir()
    for path in (tmp_path / "file" / name, tmp_path / f"folder{name}", tmp_path / ("x" * 300 + name)):
        with pytest.raises(VivaceError, match="Output"):
            write(path)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may write anywhere")
@pytest.mark.parametrize(("name", "write"), writers())
def test_folders_without_permission(tmp_path, name, write):
    tmp_path.chmod(0o500)
    with pytest.raises(VivaceError, match="permission"):
        write(tmp_path / name)
    tmp_path.chmod(0o700)


def test_an_interruption_leaves_nothing(tmp_path):
    def interrupted() -> None:
        with replacing(tmp_path / "file") as temporary:
            temporary.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_png_is_exact(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (31, 17, 3), dtype=np.uint8)
    write_png(tmp_path / "picture.png", image)
    assert np.array_equal(read_image(tmp_path / "picture.png"), image)
    with pytest.raises(VivaceError, match="picture"):
        write_png(tmp_path / "picture.png", image[..., :2])
