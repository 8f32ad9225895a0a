"""Files that end before they say they do."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from vivace.media import Clip, write_clip, write_png, write_wav
from vivace.media.whole import is_whole


@pytest.mark.parametrize("ending", ["mp4", "wav", "png"])
def test_a_file_is_whole_until_its_end_is_cut_off(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{ending}"
    pictures = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    sound = np.zeros((2, 3333), np.float32)
    if ending == "mp4":
        write_clip(path, Clip(pictures, Fraction(24), sound, 16000), {"title": "x"})
    elif ending == "wav":
        write_wav(path, sound, 16000, {"title": "x"})
    else:
        write_png(path, pictures[0])
    assert is_whole(path)
    content = path.read_bytes()
    for cut in (1, 4, 100, len(content) // 2):
        path.write_bytes(content[:-cut])
        assert not is_whole(path), cut
    if ending == "mp4":
        for bad in (content + b"123", b"\0\0\0\1free" + content):
            path.write_bytes(bad)
            assert not is_whole(path)
        # A box may tell its length in 64 bits, or reach to the end of the file.
        path.write_bytes(content + b"\0\0\0\1free" + (20).to_bytes(8, "big") + b"1234")
        assert is_whole(path)
        path.write_bytes(content + b"\0\0\0\0free" + b"1234")
        assert is_whole(path)
