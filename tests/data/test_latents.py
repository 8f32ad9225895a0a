"""Which latents a source takes of its folder."""

from pathlib import Path

import pytest
import torch

from vivace.data.latents import LatentMixture, LatentSource
from vivace.data.shards import ShardHeader, ShardWriter
from vivace.errors import VivaceError

KINDS = ("talk", "drum", "talk", "silent", "drum", "talk")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six tiny clips of three kinds and two shapes; each sample's values are its number."""
    writer = ShardWriter(tmp_path, ShardHeader("latents", {"codecs": {}}))
    for number, kind in enumerate(KINDS):
        height = 2 + number % 2
        row = {"kind": kind, "fps": 24, "latent_frames": 1, "latent_height": height, "latent_width": 2}
        tensors = {"video": torch.full((1, 1, height, 2), float(number)), "audio": torch.full((3, 2), float(number))}
        writer.add(f"clip-{number}", tensors, row | {"audio_tokens": 3})
    writer.close()
    return tmp_path


def drawn(folder: Path, *kinds: str) -> set[int]:
    mixture = LatentMixture([LatentSource(folder=folder, batch=1, kinds=kinds)], 0)
    found = set()
    for step in range(40):
        sound = mixture.batch(step).latents.audio
        assert sound is not None
        found.add(int(sound[0, 0, 0]))
    return found


def test_a_source_takes_the_kinds_that_it_names(folder: Path) -> None:
    assert drawn(folder) == set(range(6))
    assert drawn(folder, "talk") == {0, 2, 5}
    assert drawn(folder, "silent", "drum") == {1, 3, 4}


def test_a_kind_that_a_folder_lacks_is_named(folder: Path) -> None:
    with pytest.raises(VivaceError, match="hold no 'shots'"):
        LatentMixture([LatentSource(folder=folder, kinds=("talk", "shots"))], 0)
