"""`vivace plan` on official files, and the licences that a conversion records."""

import json
import math
import os
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conversion.conftest import Release

from vivace.cli.main import main
from vivace.cli.plan import licences_in
from vivace.conversion.nava import convert_nava
from vivace.conversion.origins import ORIGINS
from vivace.models.nava import NavaTransformer
from vivace.models.nava_names import official_names
from vivace.models.nava_sizes import PUBLISHED
from vivace.pipelines import planning
from vivace.pipelines.memory import Peaks

Capture = pytest.CaptureFixture[str]
SMALL = ("--size", "64x64", "--seconds", "0.5")


def planned(capsys: Capture, *words: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = main(["plan", *words, *SMALL, "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, found


def test_whole_official_files_are_planned_as_the_folder_that_they_make(
    release: Release, tmp_path: Path, capsys: Capture
) -> None:
    code, found = planned(capsys, "--model", str(release.weights), "--config", str(release.config))
    assert code == 0
    assert found["missing"] == {}
    assert set(found["official"]) == set(found["licences"]) == set(ORIGINS)
    assert found["official"]["transformer"]["bytes"] == release.weights.stat().st_size
    done = convert_nava(release.weights, release.parts, tmp_path / "nava", config=release.config)
    assert 0.9 * done.bytes < found["converted"] < done.bytes  # without the files' headers
    code, folder = planned(capsys, "--model", str(tmp_path / "nava"))
    assert code == 0
    assert (found["plan"], found["peak"], found["smallest"]) == (folder["plan"], folder["peak"], folder["smallest"])
    assert folder["licences"] == found["licences"]
    assert set(tmp_path.iterdir()) == {tmp_path / "nava"}


def published_weights(place: Path) -> Path:
    """NAVA's file with every name and shape of the release; its values are a hole that takes no disk."""
    with torch.device("meta"):
        model = NavaTransformer(**PUBLISHED["6b"])
    header: dict[str, Any] = {}
    end = 0
    for ours, official in official_names(model.config).items():
        shape = list(model.state_dict()[ours].shape)
        start, end = end, end + 2 * math.prod(shape)
        header[official] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    path = place / "NAVA.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    os.truncate(path, 8 + len(text) + end)
    return path


def test_the_release_is_planned_before_it_is_here(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(planning, "memory_here", lambda device: Peaks(0, 10**12))
    code, nothing = planned(capsys, "--model", "nava")
    assert code == 0
    assert nothing["official"] == {}
    assert set(nothing["missing"]) == set(nothing["licences"]) == set(ORIGINS)
    assert nothing["bytes"] == 0
    assert 3.9e10 < nothing["download"] < 4e10
    assert 2.6e10 < nothing["converted"] < 2.8e10  # 12.6 of the transformer in bf16, 11.4 of the text encoder, 2.8
    assert nothing["plan"]["strategy"] == "resident"
    assert nothing["peak"]["host"] > 4 * 12e9  # all of it computes in float32 on a CPU
    assert "community licence" in nothing["licences"]["audio_vae"]
    assert planned(capsys, "--model", "nava", "--dtype", "fp32")[1]["converted"] > 2 * nothing["converted"] - 4e9
    # What is there takes the place of what is expected, and says the same.
    path = published_weights(tmp_path)
    code, partly = planned(capsys, "--model", str(path))
    assert code == 0
    assert set(partly["official"]) == {"transformer"}
    assert set(partly["missing"]) == set(ORIGINS) - {"transformer"}
    assert all(partly[name] == nothing[name] for name in ("converted", "plan", "peak", "smallest"))
    assert main(["plan", "--model", str(path), *SMALL]) == 0
    shown = capsys.readouterr().out
    assert "missing, about: audio_vae of LTX-2.3" in shown
    assert "; what is missing is planned as it is published." in shown
    assert "Licence (vocoder): LTX-2 community licence" in shown
    assert "Expected peak" in shown


def test_a_release_that_does_not_fit_is_refused_before_it_is_here(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(planning, "memory_here", lambda device: Peaks(0, 16 * 10**9))
    asked, forecast = [], planning.forecast
    monkeypatch.setattr(planning, "forecast", lambda *words: asked.append(words) or forecast(*words))
    code, found = planned(capsys, "--model", "nava", "--memory", "8GB")
    assert code == 2
    assert found["plan"] is None
    assert "needs at least" in found["problem"]
    assert "GB of weights and 0.9 GB of libraries" in found["problem"]
    assert "16.0 GB are free here, so use a smaller model" in found["problem"]
    assert len(asked) == 1  # no shorter clip is looked for where the weights alone are too large
    # A folder of that name is the folder, and a part that is named is looked at.
    (tmp_path / "nava").mkdir()
    assert main(["plan", "--model", "nava"]) == 2
    assert "neither a model folder nor" in capsys.readouterr().err
    (tmp_path / "nava").rmdir()
    assert main(["plan", "--model", "nava", "--wan", "nowhere"]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_damaged_and_foreign_files_are_refused(release: Release, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "empty").mkdir()
    cut = shutil.copytree(release.weights.parent, tmp_path / "cut")
    (cut / "NAVA.safetensors").write_bytes(release.weights.read_bytes()[:-50])
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes(release.weights.read_bytes())
    config = ("--config", str(release.config))
    for words, complaint in (
        (("--model", str(tmp_path / "empty")), "neither a model folder nor"),
        (("--model", str(cut), *config), "bytes long where"),
        (("--model", str(release.weights)), "name NAVA.safetensors, or add --config for one of no published size"),
        (("--model", str(release.weights), *config, "--online"), "--online looks up repositories on the hub"),
        (("--model", "nano-nava", "--online"), "'nano-nava' is none; leave it out"),
        (("--model", "nano-nava", "--dtype", "fp32"), "describe official files"),
        (("--model", str(release.weights), *config, "--wan", str(tmp_path / "no")), "does not exist"),
        (("--model", str(release.weights), *config, "--dtype", "int3"), "int3"),
        (("--model", str(alone), "--dtype", "int3"), "int3"),
        (("--model", "nano-nava", *config), "describe official files"),
    ):
        assert main(["plan", *words]) == 2, words
        shown = capsys.readouterr().err
        assert complaint in shown, (words, shown)
        assert shown.count("\n") == 1


def test_licence_files_are_recorded(release: Release, tmp_path: Path) -> None:
    parts = {name: Path(shutil.copytree(path, tmp_path / "in" / name)) for name, path in release.parts.items()}
    (parts["vae"] / "LICENSE.txt").write_text("\n  The Vae   Licence 1.0\nand more\n")
    convert_nava(release.weights, parts, tmp_path / "nava", config=release.config)
    record = json.loads((tmp_path / "nava" / "conversion.json").read_text())["licences"]
    assert record["vae"] == "Apache-2.0, if it is that of Wan2.2-TI2V-5B (with it: The Vae Licence 1.0)"
    assert record["text_encoder"] == "Apache-2.0, if it is that of Wan2.2-TI2V-5B"
    assert set(record) == set(ORIGINS)
    assert licences_in(tmp_path / "nava") == record
