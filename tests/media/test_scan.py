"""Scanning: what a file announces against what is in it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from vivace.errors import VivaceError
from vivace.media import Clip, write_clip
from vivace.media.scan import scan, small_pictures


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (48, 64, 96, 3)).astype(np.uint8)
    audio = (0.3 * rng.standard_normal((2, 32000))).clip(-1, 1).astype(np.float32)
    path = tmp_path_factory.mktemp("scan") / "whole.mp4"
    write_clip(path, Clip(frames, Fraction(24), audio, 16000))
    return path


def test_a_whole_file_holds_what_it_announces(whole: Path) -> None:
    found = scan(whole)
    assert (found.width, found.height, found.fps, found.frames) == (96, 64, 24, 48)
    assert (found.announced_frames, found.damaged, found.sample_rate, found.channels) == (48, 0, 16000, 2)
    assert found.seconds == 2.0
    assert found.sound_seconds == pytest.approx(2.0, abs=0.1)
    assert found.missing < 0.05


def test_a_file_cut_short_shows_by_counting(whole: Path, tmp_path: Path) -> None:
    # The index stands first, so that a cut file opens and plays.
    content = whole.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[: len(content) * 6 // 10])
    found = scan(tmp_path / "cut.mp4")
    assert found.announced_frames == 48
    assert found.missing > 0.3


def test_broken_bytes_show(whole: Path, tmp_path: Path) -> None:
    content = np.frombuffer(whole.read_bytes(), np.uint8).copy()
    rng = np.random.default_rng(1)
    content[rng.integers(len(content) // 4, len(content), 3000)] = 255
    (tmp_path / "broken.mp4").write_bytes(content.tobytes())
    found = scan(tmp_path / "broken.mp4")
    assert found.damaged > 0 or found.missing > 0.02


def test_what_is_no_media_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("This is no video.\n" * 50)
    for read in (scan, lambda path: list(small_pictures(path))):
        with pytest.raises(VivaceError, match="no media file"):
            read(tmp_path / "a.mp4")
        with pytest.raises(VivaceError, match="does not exist"):
            read(tmp_path / "none.mp4")


def test_small_pictures_are_all_of_the_files(whole: Path) -> None:
    pictures = list(small_pictures(whole, 32))
    assert len(pictures) == 48
    assert {picture.shape for picture in pictures} == {(32, 48, 3)}
