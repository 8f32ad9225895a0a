import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.media.small_disk import small_disk

from vivace.data.shards import ShardHeader, ShardReader, ShardWriter
from vivace.errors import VivaceError

HEADER = ShardHeader("latents", {"codecs": {"vae": "abc"}})


def sample(index: int) -> tuple[str, dict, dict]:
    generator = torch.Generator().manual_seed(index)
    tensors = {
        "video": torch.randn(4, 3, 2, 2, generator=generator).bfloat16(),
        "audio": np.arange(index, index + 10, dtype=np.int16).reshape(2, 5),
    }
    return f"sample-{index:04d}", tensors, {"frames": 9 + index % 2, "scene": json.dumps({"seed": index})}


def fill(folder: Path, indices: range, close: bool = True) -> ShardWriter:
    writer = ShardWriter(folder, HEADER, max_bytes=400)
    for index in indices:
        writer.add(*sample(index))
    if close:
        writer.close()
    return writer


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.safetensors"))}


def test_round_trip_keeps_bits_types_rows_and_order(tmp_path):
    fill(tmp_path / "s", range(11))
    reader = ShardReader(tmp_path / "s", "latents")
    assert len(reader) == 11
    assert reader.header == HEADER
    assert reader.column("frames") == [9 + i % 2 for i in range(11)]
    assert len(set(reader.column("shard"))) > 1
    for index in (10, 0, 5):
        name, tensors, row = sample(index)
        got = reader.get(index)
        assert reader.ids[index] == name
        assert set(got) == {"video", "audio"}
        assert got["video"].dtype == torch.bfloat16
        assert torch.equal(got["video"], tensors["video"])
        assert np.array_equal(got["audio"].numpy(), tensors["audio"])
        assert reader.rows[index].items() >= row.items()
    assert [row["id"] for row, _ in reader] == reader.ids
    reader.verify()


def test_shards_respect_the_byte_limit_and_one_large_sample_is_allowed(tmp_path):
    writer = ShardWriter(tmp_path / "s", HEADER, max_bytes=1000)
    for index, size in enumerate((100, 200, 5000, 100)):
        writer.add(f"x{index}", {"a": torch.zeros(size, dtype=torch.uint8)}, {"size": size})
    writer.close()
    assert ShardReader(tmp_path / "s").column("shard") == ["shard-00000", "shard-00000", "shard-00001", "shard-00002"]


def test_an_interrupted_writer_continues_to_the_same_files(tmp_path):
    fill(tmp_path / "whole", range(12))
    interrupted = fill(tmp_path / "part", range(8), close=False)
    done = ShardWriter(tmp_path / "part", HEADER, max_bytes=400)
    # What was added after the last complete shard is gone with the process, and nothing else.
    assert 0 < len(done) < len(interrupted)
    # A shard without its part index is not complete and is written again.
    (tmp_path / "part" / f"shard-{len(done):05d}.safetensors").write_bytes(b"half")
    fill(tmp_path / "part", range(len(done), 12))
    assert contents(tmp_path / "part").items() >= contents(tmp_path / "whole").items()
    assert ShardReader(tmp_path / "part").table.equals(ShardReader(tmp_path / "whole").table)


def test_a_truncated_shard_is_written_again(tmp_path):
    fill(tmp_path / "s", range(6), close=False)
    shard = tmp_path / "s" / "shard-00000.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1])
    assert len(ShardWriter(tmp_path / "s", HEADER)) == 0


def test_no_temporary_files_stay(tmp_path):
    fill(tmp_path / "s", range(5))
    assert not [p for p in (tmp_path / "s").iterdir() if p.name.startswith(".")]


def test_what_a_kill_left_half_written_is_removed(tmp_path: Path) -> None:
    part = tmp_path / "s" / ".vivace-1-a.part"
    part.parent.mkdir()
    part.write_bytes(b'{"format"')  # the header itself
    writer = fill(tmp_path / "s", range(8), close=False)
    assert not part.exists()
    part.touch()
    assert 0 < len(ShardWriter(tmp_path / "s", HEADER)) < len(writer)
    assert not part.exists()


def test_a_disk_that_fills_up_is_told_and_the_next_writer_goes_on(tmp_path: Path) -> None:
    fill(tmp_path / "whole", range(8))
    with (
        small_disk(500),
        pytest.raises(VivaceError, match=r"shard-00000\.safetensors' cannot be written: .+\.$") as caught,
    ):
        fill(tmp_path / "s", range(8))
    _one_sentence(caught.value)
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["header.json"]
    fill(tmp_path / "s", range(8))
    assert contents(tmp_path / "s") == contents(tmp_path / "whole")


def test_bad_ids_and_late_additions_are_refused(tmp_path):
    writer = fill(tmp_path / "s", range(2), close=False)
    for bad in ("", "a/b", "sample-0000"):
        with pytest.raises(VivaceError, match="Sample id"):
            writer.add(bad, {"a": torch.zeros(1)}, {})
    writer.close()
    with pytest.raises(VivaceError, match="complete"):
        writer.add("late", {"a": torch.zeros(1)}, {})


def test_a_folder_with_other_settings_or_other_files_is_refused(tmp_path):
    fill(tmp_path / "s", range(2))
    with pytest.raises(VivaceError, match="other settings"):
        ShardWriter(tmp_path / "s", ShardHeader("latents", {"codecs": {"vae": "other"}}))
    (tmp_path / "t").mkdir()
    for name in ("thesis.txt", ".vivace-1-a.part"):
        (tmp_path / "t" / name).write_text("mine")
    with pytest.raises(VivaceError, match="other files"):
        ShardWriter(tmp_path / "t", HEADER)
    assert len(list((tmp_path / "t").iterdir())) == 2


def test_the_reader_names_what_is_wrong(tmp_path):
    with pytest.raises(VivaceError, match="no shards"):
        ShardReader(tmp_path)
    folder = tmp_path / "s"
    fill(folder, range(6), close=False)
    with pytest.raises(VivaceError, match="not finished"):
        ShardReader(folder)
    fill(folder, range(len(ShardWriter(folder, HEADER, max_bytes=400)), 6))
    with pytest.raises(VivaceError, match="holds latents"):
        ShardReader(folder, "clips")
    with pytest.raises(VivaceError, match="no column"):
        ShardReader(folder).column("mood")
    shard = folder / "shard-00001.safetensors"
    good = shard.read_bytes()
    shard.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(VivaceError, match="checksum"):
        ShardReader(folder).verify()
    shard.write_bytes(b"\xff" * len(good))
    with pytest.raises(VivaceError, match="cannot be read"):
        [tensors for _, tensors in ShardReader(folder)]
    shard.write_bytes(good[:-1])
    with pytest.raises(VivaceError, match="truncated"):
        ShardReader(folder)
    shard.unlink()
    with pytest.raises(VivaceError, match="missing"):
        ShardReader(folder)
    (folder / "header.json").write_text(json.dumps({"format": "vivace-shards", "version": 99}))
    with pytest.raises(VivaceError, match="version 99"):
        ShardReader(folder)


NESTED = "[" * 100_000


def _one_sentence(error: VivaceError) -> None:
    assert str(error).endswith(".")
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "3", '"format"', NESTED, '{"format": ' + NESTED, "\udcff"),
        '{"format": "vivace-shards"}',
        '{"format": "vivace-shards", "version": "1"}',
        '{"format": "vivace-shards", "version": 1}',
        '{"format": "vivace-shards", "version": 1, "content": "songs", "metadata": {}}',
        '{"format": "vivace-shards", "version": 1, "content": ["clips"], "metadata": {}}',
        '{"format": "vivace-shards", "version": 1, "content": "clips", "metadata": 3}',
        '{"format": "vivace-shards", "version": 1, "content": "clips", "metadata": {}, "more": 1}',
    ],
)
def test_a_damaged_header_is_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "header.json").write_bytes(text.encode(errors="surrogateescape"))
    for open_folder in (ShardReader, lambda folder: ShardWriter(folder, HEADER)):
        with pytest.raises(VivaceError, match=r"header.json' is damaged .*; remove the folder") as caught:
            open_folder(tmp_path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["shard-00000.parquet", "index.parquet"])
def test_a_damaged_list_of_samples_is_refused_until_it_is_removed(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "s"
    fill(folder, range(6))
    whole = contents(folder)
    index = ShardReader(folder).table
    path = folder / name
    path.write_bytes(path.read_bytes()[:60] + b"\0" * 30)
    with pytest.raises(VivaceError, match=rf"{name}' is damaged .*; remove that file and run") as caught:
        ShardWriter(folder, HEADER, max_bytes=400)
    assert "\n" not in str(caught.value)
    if name == "index.parquet":
        with pytest.raises(VivaceError, match=r"index\.parquet' is damaged"):
            ShardReader(folder)
    path.unlink()
    (folder / "index.parquet").unlink(missing_ok=True)
    writer = ShardWriter(folder, HEADER, max_bytes=400)
    fill(folder, range(len(writer), 6))
    assert contents(folder) == whole
    assert ShardReader(folder).table.equals(index)


def test_whatever_is_flipped_in_the_lists_is_read_or_refused(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    fill(folder, range(6))
    refused = 0
    for number in range(300):
        dice = np.random.default_rng(number)
        path = folder / ("index.parquet", "shard-00001.parquet", "header.json")[number % 3]
        whole = path.read_bytes()
        changed = bytearray(whole[: int(dice.integers(len(whole)))] if number % 7 == 0 else whole)
        for place in dice.integers(max(len(changed), 1), size=int(dice.integers(1, 6))):
            changed[place : place + 1] = bytes([dice.integers(256)])
        path.write_bytes(changed)
        try:
            ShardWriter(folder, HEADER, max_bytes=400)
            reader = ShardReader(folder)
            assert len(list(reader)) == len(reader.rows)
        except VivaceError as error:
            _one_sentence(error)
            refused += 1
        path.write_bytes(whole)
    assert refused > 150
