import json
import shutil
from pathlib import Path

import pytest

from vivace.errors import VivaceError
from vivace.pipelines.folder import PIPELINES, REFINERS, check_folder, find_model, folder_hash, shipped_models


@pytest.fixture
def copy(model_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_folder, tmp_path / "copy"))


def test_a_whole_folder_is_found_by_its_path(model_folder: Path) -> None:
    assert find_model(str(model_folder)) == model_folder


@pytest.mark.parametrize("name", ["", "nano-nvaa", "./nowhere", "someone/some-model", "\x01", "a" * 5000])
def test_unknown_names_are_refused_without_a_network(name: str) -> None:
    with pytest.raises(VivaceError, match="neither a shipped model") as caught:
        find_model(name)
    assert ("--allow-download" in str(caught.value)) == (name == "someone/some-model")


def test_a_file_of_weights_is_to_be_converted_first(tmp_path: Path) -> None:
    weights = tmp_path / "NAVA.safetensors"
    weights.touch()
    with pytest.raises(VivaceError, match="is a file, and a model is a folder; `vivace convert nava`"):
        find_model(str(weights))


def test_shipped_models_are_whole() -> None:
    for folder in shipped_models().values():
        check_folder(folder, kinds=(*PIPELINES, *REFINERS))


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda f: (f / "model_index.json").unlink(), "no model_index.json"),
        (lambda f: (f / "model_index.json").write_text("{"), "cannot be read"),
        (lambda f: (f / "model_index.json").write_text("[]"), "no configuration"),
        (lambda f: (f / "model_index.json").write_text('{"_class_name": "FluxPipeline"}'), "holds a FluxPipeline"),
        (lambda f: shutil.rmtree(f / "vocoder"), "lacks its vocoder"),
        (lambda f: (f / "vae" / "config.json").unlink(), "configuration of its vae"),
        (lambda f: (f / "vae" / "config.json").write_bytes(b"\xff\xfe"), "cannot be read"),
        (lambda f: next((f / "transformer").glob("*.safetensors")).unlink(), "lacks its weights"),
        (lambda f: _cut(next((f / "transformer").glob("*.safetensors"))), "damaged or cut short"),
        (lambda f: next((f / "transformer").glob("*.safetensors")).write_bytes(b""), "damaged or cut short"),
        (lambda f: next((f / "transformer").glob("*.safetensors")).write_bytes(b"\xff" * 99), "damaged or cut short"),
        (lambda f: (f / "vae" / "w.safetensors.index.json").write_text('{"weight_map": {"a": "x-1"}}'), "lacks x-1"),
    ],
)
def test_broken_and_foreign_folders_are_refused(copy: Path, damage, complaint: str) -> None:
    damage(copy)
    with pytest.raises(VivaceError, match=complaint) as caught:
        find_model(str(copy))
    assert "\n" not in str(caught.value)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def test_the_hash_follows_configuration_and_weights(copy: Path, model_folder: Path) -> None:
    before = folder_hash(model_folder)
    assert folder_hash(copy) == before
    (copy / "README.md").write_text("about")
    assert folder_hash(copy) == before
    weights = next((copy / "vae").glob("*.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert folder_hash(copy) != before
    index = json.loads((copy / "model_index.json").read_text())
    index["capabilities"]["width"] = 64
    (copy / "model_index.json").write_text(json.dumps(index))
    assert folder_hash(copy) != before
