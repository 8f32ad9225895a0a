import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tests.conversion.conftest import Release

from vivace.cli.main import main
from vivace.conversion.identity import identify
from vivace.conversion.nava import convert_nava
from vivace.data.fingerprint import weights_hash
from vivace.errors import VivaceError


def test_one_transformer_has_one_fingerprint(release: Release, tmp_path: Path) -> None:
    expected = weights_hash(release.pipeline.transformer)
    for dtype in ("fp32", "bf16"):
        convert_nava(release.weights, release.parts, tmp_path / dtype, dtype=dtype, config=release.config)
        found = identify(tmp_path / dtype)
        assert found.sha256 == expected
    assert identify(release.weights, release.config) == found
    assert found.parameters == sum(tensor.numel() for tensor in release.state.values())
    assert found.size is None
    changed = {**release.state, "backbone.head.head.bias": torch.ones(16)}
    save_file(changed, tmp_path / "other.safetensors")
    assert identify(tmp_path / "other.safetensors", release.config).sha256 != expected


def test_weights_that_are_not_finite_have_no_fingerprint(release: Release, tmp_path: Path) -> None:
    save_file({**release.state, "backbone.head.head.bias": torch.full((16,), torch.nan)}, tmp_path / "nan.safetensors")
    with pytest.raises(VivaceError, match=r"backbone.head.head.bias' that is not finite"):
        identify(tmp_path / "nan.safetensors", release.config)


def test_verify_prints_it(release: Release, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    convert_nava(release.weights, release.parts, tmp_path / "nava", dtype="bf16", config=release.config)
    (tmp_path / "cases").mkdir()
    words = ["verify", "nava", "--golden", str(tmp_path / "cases"), "--weights", str(tmp_path / "nava")]
    assert main([*words, "--json"]) == 1  # no cases: nothing was verified
    told = json.loads(capsys.readouterr().out)["weights"]
    assert told["sha256"] == weights_hash(release.pipeline.transformer)
    assert main(words) == 1
    assert told["sha256"] in capsys.readouterr().out.replace("\n", "")
    assert main([*words[:-1], str(tmp_path / "cases")]) == 2


def test_verify_takes_the_json_of_a_file_of_no_published_size(
    release: Release, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["verify", "nava", "--golden", str(tmp_path), "--config", str(release.config)]
    assert main([*words, "--weights", str(release.weights), "--json"]) == 1  # no cases: nothing was verified
    told = json.loads(capsys.readouterr().out)["weights"]
    assert told["sha256"] == weights_hash(release.pipeline.transformer)
    for without_file in (words, [*words, "--weights", str(tmp_path)]):
        assert main(without_file) == 2
        assert "describes a weights file" in capsys.readouterr().err
