"""The conversion benchmark itself, at a size of which the whole round trip takes a moment."""

import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from benchmarks.convert import RandomWeights, check_space, round_trip, row, same_bytes

from vivace.conversion.sources import open_weights
from vivace.errors import VivaceError
from vivace.models.nava_sizes import PUBLISHED

SMALL = PUBLISHED["tiny"] | {
    "video_channels": 4,
    "dim": 32,
    "ffn_dim": 64,
    "freq_dim": 32,
    "num_heads": 2,
    "num_double_layers": 1,
    "num_single_layers": 1,
    "text_dim": 16,
}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PUBLISHED, "small", SMALL)


@pytest.mark.parametrize(("source", "dtype"), [("fp32", "fp32"), ("fp32", "bf16"), ("bf16", "fp8_e4m3")])
def test_a_sharded_random_checkpoint_comes_back(tmp_path: Path, source: str, dtype: str) -> None:
    place = tmp_path / "place"
    found = round_trip(place, "small", source, dtype, 100_000)
    assert found["names_are_back"]
    assert found["tensors_back"] == found["tensors"] > 50
    assert found["files"] > 6  # the transformer's shards beside four other parts
    assert found["parameters"] > 50_000
    assert found["source_bytes"] > found["parameters"] * (4 if source == "fp32" else 2)
    assert found["convert"]["anonymous_mb"] > 0
    assert row(found).startswith(f"| small | {source} to {dtype} | 0.0 GB |")
    back = open_weights(place / "again.safetensors")
    assert len({float(back.read(name).flatten()[0]) for name in back.tensors}) > 20  # not one value over and over


def test_one_changed_bit_is_found() -> None:
    one = torch.zeros(3)
    assert same_bytes(one, one.clone())
    assert not same_bytes(one, torch.tensor([0.0, -0.0, 0.0]))
    assert not same_bytes(one, one.to(torch.bfloat16))
    assert not same_bytes(one, one[:2])


def test_a_disk_without_room_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 0, 10**9))
    weights = RandomWeights("tiny", torch.bfloat16)
    with pytest.raises(VivaceError, match=r"needs 4\.7 GB and its disk has 1\.0 GB free"):
        check_space(tmp_path, weights, torch.bfloat16, torch.bfloat16)
    with pytest.raises(VivaceError, match="GB free"):
        round_trip(tmp_path / "place", "tiny", "bf16", "bf16", 10**9)
    assert not list(tmp_path.rglob("*.safetensors"))
