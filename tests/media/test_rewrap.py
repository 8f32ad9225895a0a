from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from vivace.errors import VivaceError
from vivace.media import Clip, read_clip, read_metadata, write_clip, write_wav
from vivace.media.rewrap import write_untagged


@pytest.mark.parametrize("rate", [16000, 44100])
def test_streams_stay_as_they_are_and_tags_go(rate: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (30, 32, 48, 3), dtype=np.uint8)
    sound = np.zeros((2, round(rate * 1.2)), np.float32)
    sound[:, rate // 2] = 0.9  # a click: an edit list that was lost would move it
    write_clip(tmp_path / "a.mp4", Clip(frames, Fraction(25), sound, rate), {"title": "secret", "comment": "model X"})
    write_untagged(tmp_path / "a.mp4", tmp_path / "new" / "b.mp4")
    one, two = read_clip(tmp_path / "a.mp4"), read_clip(tmp_path / "new" / "b.mp4")
    assert (one.fps, one.sample_rate) == (two.fps, two.sample_rate)
    np.testing.assert_array_equal(one.frames, two.frames)
    np.testing.assert_array_equal(one.audio, two.audio)
    assert not {"title", "comment"} & read_metadata(tmp_path / "new" / "b.mp4").keys()
    assert b"model X" not in (tmp_path / "new" / "b.mp4").read_bytes()


def test_what_is_no_video_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video at all")
    write_wav(tmp_path / "sound.wav", np.zeros((1, 8000), np.float32), 16000)
    for name, reason in (("broken.mp4", "cannot be copied"), ("sound.wav", "no pictures"), ("none.mp4", "not exist")):
        with pytest.raises(VivaceError, match=reason):
            write_untagged(tmp_path / name, tmp_path / "out.mp4")
    assert {path.name for path in tmp_path.iterdir()} == {"broken.mp4", "sound.wav"}
