from pathlib import Path

import pytest
import torch
from tests.media.small_disk import small_disk

from vivace.errors import VivaceError
from vivace.models.vocoder import IstftVocoder
from vivace.training.network_files import save_network


def test_a_network_is_written_in_bfloat16_for_all_to_read(tmp_path: Path) -> None:
    vocoder = IstftVocoder(dim=16, num_layers=1)
    expected = {name: value.bfloat16() for name, value in vocoder.state_dict().items()}
    save_network(vocoder, tmp_path / "export" / "vocoder")
    stored = IstftVocoder.from_pretrained(tmp_path / "export" / "vocoder").state_dict()
    assert all(torch.equal(stored[name], value) for name, value in expected.items())
    (weights,) = tmp_path.rglob("*.safetensors")
    assert oct(weights.stat().st_mode)[-3:] == "644"


def test_a_disk_that_fills_up_leaves_the_network_that_was_there(tmp_path: Path) -> None:
    folder = tmp_path / "vocoder"
    save_network(IstftVocoder(dim=16, num_layers=1), folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with small_disk(2000), pytest.raises(VivaceError, match=r"vocoder' cannot be written: .+ choose another disk"):
        save_network(IstftVocoder(dim=16, num_layers=1), folder)
    assert [path.name for path in tmp_path.iterdir()] == ["vocoder"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
