import json
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from vivace.conversion import sources
from vivace.conversion.sources import Stored, check_tensors, open_weights
from vivace.conversion.writing import Tensors, write_safetensors
from vivace.errors import VivaceError


def test_a_folder_of_shards_is_one_source(tmp_path: Path) -> None:
    save_file({"a": torch.arange(3.0)}, tmp_path / "m-1.safetensors")
    save_file({"b": torch.arange(4.0).bfloat16()}, tmp_path / "m-2.safetensors")
    index = {"weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}}
    (tmp_path / "m.safetensors.index.json").write_text(json.dumps(index))
    source = open_weights(tmp_path)
    assert {name: (s.shape, s.dtype) for name, s in source.tensors.items()} == {
        "a": ((3,), torch.float32),
        "b": ((4,), torch.bfloat16),
    }
    assert source.read("b").tolist() == [0, 1, 2, 3]
    (tmp_path / "m-2.safetensors").unlink()
    with pytest.raises(VivaceError, match=r"lacks 'm-2.safetensors'"):
        open_weights(tmp_path)
    (tmp_path / "m.safetensors.index.json").write_text('{"weight_map": {"a": "../../etc/passwd"}}')
    with pytest.raises(VivaceError, match="lacks"):
        open_weights(tmp_path)


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=200), header=st.booleans())
def test_any_bytes_are_refused_in_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, header: bool
) -> None:
    path = tmp_path_factory.mktemp("bytes") / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(data)) + data if header else data)
    with pytest.raises(VivaceError) as caught:
        open_weights(path)
    assert "\n" not in str(caught.value)


def test_a_header_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}).encode()
    (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    with pytest.raises(VivaceError, match="damaged"):
        open_weights(tmp_path / "x.safetensors")


def test_what_is_written_is_what_the_library_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vivace.conversion.writing.PIECE", 7)
    torch.manual_seed(0)
    tensors = {
        "odd": torch.randn(3, 5),
        "empty": torch.zeros(0, 4),
        "single": torch.tensor(2.5),
        "whole": torch.arange(9),
        "wide": torch.randn(11).double(),
        "small": torch.randn(9).to(torch.float8_e4m3fn),
    }
    save_file(tensors, tmp_path / "a.safetensors")
    source = open_weights(tmp_path / "a.safetensors")
    dtypes = {name: tensor.dtype for name, tensor in tensors.items()} | {"odd": torch.bfloat16}
    said: list[int] = []
    names = {name: name for name in tensors}
    written = write_safetensors(tmp_path / "b.safetensors", Tensors(source, names, dtypes), list(names), said.append)
    back = load_file(tmp_path / "b.safetensors")
    for name, tensor in tensors.items():
        assert back[name].dtype == dtypes[name]
        assert torch.equal(back[name].float(), tensor.to(dtypes[name]).float())
    assert sum(said) == written.bytes == (tmp_path / "b.safetensors").stat().st_size


def test_values_beyond_a_narrow_type_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.tensor([1.0, 449.0, 500.0])}, tmp_path / "a.safetensors")
    source = open_weights(tmp_path / "a.safetensors")
    with pytest.raises(VivaceError, match="too large for F8_E4M3"):
        write_safetensors(tmp_path / "b", Tensors(source, {"a": "a"}, {"a": torch.float8_e4m3fn}), ["a"])


def test_a_header_of_any_length_is_safetensors(tmp_path: Path) -> None:
    """Some lengths begin as a pickle does."""
    path = tmp_path / "a.safetensors"
    begins = set()
    for length in range(1, 300, 4):
        save_file({"a" * length: torch.ones(1)}, path)
        begins.add(path.read_bytes()[0])
        assert open_weights(path).read("a" * length).tolist() == [1]
    assert 0x80 in begins


def test_a_large_file_in_the_old_format_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"a": torch.ones(100)}, tmp_path / "a.ckpt", _use_new_zipfile_serialization=False)
    assert open_weights(tmp_path / "a.ckpt").read("a").tolist() == [1] * 100
    monkeypatch.setattr(sources, "_MOST_OLD", 400)
    with pytest.raises(VivaceError, match="save them again"):
        open_weights(tmp_path / "a.ckpt")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_file_in_the_old_format_is_refused_in_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("old") / "a.ckpt"
    torch.save({"a": torch.ones(2), "b": torch.ones(2)}, path, _use_new_zipfile_serialization=False)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    said = ""
    try:
        open_weights(path)
    except VivaceError as error:
        said = str(error)
    assert "\n" not in said


@pytest.mark.parametrize(("count", "told"), [(99, ""), (100, ""), (250, " and 150 more")])
def test_the_list_names_up_to_a_hundred_tensors(tmp_path: Path, count: int, told: str) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "a.safetensors")
    source = open_weights(tmp_path / "a.safetensors")
    names = [f"tensor{number}" for number in range(count)]
    with pytest.raises(VivaceError) as caught:
        check_tensors(source, dict.fromkeys(names, Stored((1,), torch.float32)), [], "a model")
    listed = ", ".join(names[:100]) + told
    assert str(caught.value).endswith(f"is not a model: {count} tensors missing ({listed}); name the right file.")
