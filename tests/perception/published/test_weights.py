"""The contract: named or missing, with the sentence that tells all; strict loading."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from vivace.errors import VivaceError
from vivace.models.syncnet import SyncNet, public_name
from vivace.perception.published.syncnet import LipVectors
from vivace.perception.published.weights import (
    PUBLISHED,
    MissingWeightsError,
    load_strictly,
    locate,
    named_weights,
    read_tensors,
)


@pytest.mark.parametrize("key", PUBLISHED)
def test_what_is_missing_is_told_in_full(key: str, tmp_path: Path) -> None:
    weights = PUBLISHED[key]
    for named in ({}, {key: tmp_path / "nowhere"}):
        with pytest.raises(MissingWeightsError) as caught:
            locate(key, named)
        for part in (*weights.metrics, weights.file, weights.source, weights.licence, f"--weights {key}=PATH"):
            assert part in str(caught.value)
    assert not weights.verified


def test_a_file_and_flags_name_weights(tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text('[weights]\nclap = "models/clap"\nsyncnet = "a"\n')
    named = named_weights(settings, ["syncnet=/elsewhere/b"])
    assert named == {"clap": tmp_path / "models/clap", "syncnet": Path("/elsewhere/b")}
    (tmp_path / "models/clap").mkdir(parents=True)
    assert locate("clap", named) == tmp_path / "models/clap"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[weights]\nclip = 'x'", "unknown"),
        ("[weights]\nclap = 3", "no path"),
        ("clap = 'x'", "beside the table"),
        ("[weights", "no TOML"),
    ],
)
def test_settings_that_are_wrong_are_refused(text: str, problem: str, tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text(text)
    with pytest.raises(VivaceError, match=problem):
        named_weights(settings)


def test_flags_that_are_wrong_are_refused(tmp_path: Path) -> None:
    with pytest.raises(VivaceError, match="KEY=PATH"):
        named_weights(None, ["clap"])
    with pytest.raises(VivaceError, match="cannot be read"):
        named_weights(tmp_path / "none.toml")


def test_loading_is_strict(tmp_path: Path) -> None:
    model = torch.nn.Linear(3, 2)
    good = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}
    load_strictly(model, good, str, tmp_path)
    assert float(model.weight.sum()) == 6
    for bad, problem in (
        ({"weight": good["weight"]}, "lacks bias"),
        ({**good, "more": torch.ones(1)}, "also holds more"),
        ({**good, "bias": torch.zeros(3)}, "another shape for bias"),
    ):
        with pytest.raises(VivaceError, match=problem):
            load_strictly(model, bad, str, tmp_path)


def test_tensors_of_every_form_are_read_and_code_is_not_run(tmp_path: Path) -> None:
    tensors = {"a": torch.ones(2), "drop.b": torch.ones(1)}
    save_file(tensors, tmp_path / "w.safetensors")
    torch.save({"model": tensors}, tmp_path / "w.pth")
    for name in ("w.safetensors", "w.pth"):
        assert set(read_tensors(tmp_path / name, drop=("drop.",))) == {"a"}
    torch.save({"model": tensors, "hook": Path}, tmp_path / "evil.pth")
    with pytest.raises(VivaceError, match="cannot be read"):
        read_tensors(tmp_path / "evil.pth")
    torch.save({"a": 3}, tmp_path / "number.pth")
    with pytest.raises(VivaceError, match="more than tensors"):
        read_tensors(tmp_path / "number.pth")


def test_a_file_of_syncnet_is_loaded_by_its_public_names(tmp_path: Path) -> None:
    torch.manual_seed(1)
    source = SyncNet()
    tensors = {public_name(name): tensor for name, tensor in source.state_dict().items()}
    torch.save(tensors, tmp_path / "syncnet_v2.model")
    loaded = LipVectors(tmp_path / "syncnet_v2.model").model
    window = torch.randn(1, 1, 13, 20)
    with torch.no_grad():
        assert torch.equal(loaded.hear(window), source.eval().hear(window))
    del tensors["netfcaud.0.bias"]
    torch.save(tensors, tmp_path / "cut.model")
    with pytest.raises(VivaceError, match=r"lacks sound_head\.enter\.bias"):
        LipVectors(tmp_path / "cut.model")


def test_what_lies_around_the_weights_is_passed_over(tmp_path: Path) -> None:
    state = {"module.weight": torch.ones(2, 3), "module.bias": torch.zeros(2)}
    training = {"indexes": np.arange(3), "shares": [np.float32(0.5)]}
    torch.save({"iteration": 7, "model": state, "sampler": training}, tmp_path / "a.pth")
    assert read_tensors(tmp_path / "a.pth").keys() == {"weight", "bias"}
    torch.save({"model": state, "sampler": Path("a")}, tmp_path / "b.pth")
    with pytest.raises(VivaceError, match="cannot be read"):
        read_tensors(tmp_path / "b.pth")
