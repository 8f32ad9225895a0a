"""`vivace plan` on official files, and the licences that a conversion records."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.conversion.conftest import Release

from vivace.cli.main import main
from vivace.cli.plan import licences_in
from vivace.conversion.nava import convert_nava
from vivace.conversion.origins import ORIGINS

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


def test_what_is_missing_is_listed_with_its_licence(release: Release, tmp_path: Path, capsys: Capture) -> None:
    shutil.copyfile(release.weights, tmp_path / "NAVA.safetensors")
    shutil.copytree(release.parts["vae"], tmp_path / "elsewhere" / "vae")
    words = ("--model", str(tmp_path), "--wan", str(tmp_path / "elsewhere"))
    code, found = planned(capsys, *words)
    assert code == 0
    assert set(found["official"]) == {"transformer", "vae"}
    assert set(found["missing"]) == {"text_encoder", "tokenizer", "audio_vae", "vocoder"}
    assert found["download"] > 10**10
    assert "community licence" in found["licences"]["audio_vae"]
    assert main(["plan", *words]) == 0
    shown = capsys.readouterr().out
    assert "missing, about: audio_vae of LTX-2.3" in shown
    assert "Licence (vocoder): LTX-2 community licence" in shown


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
        (("--model", str(release.weights)), "no NAVA transformer"),
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
    assert record["vae"] == "Apache-2.0 (with it: The Vae Licence 1.0)"
    assert record["text_encoder"] == "Apache-2.0"
    assert set(record) == set(ORIGINS)
    assert licences_in(tmp_path / "nava") == record
