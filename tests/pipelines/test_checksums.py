"""Weights files are compared with the list beside them before a model is loaded."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.tiny import tiny_refiner_pipeline

from vivace.cli.main import main
from vivace.errors import VivaceError
from vivace.pipelines.alive import AlivePipeline
from vivace.pipelines.checksums import check_part, check_weights, write_checksums
from vivace.pipelines.folder import folder_hash, shipped_models
from vivace.pipelines.nava import NavaPipeline
from vivace.pipelines.refiner import AliveRefinerPipeline


@pytest.fixture
def listed(model_folder: Path, tmp_path: Path) -> Path:
    """A tiny model with its list."""
    folder = Path(shutil.copytree(model_folder, tmp_path / "model"))
    write_checksums(folder)
    return folder


def _flip(part: Path, at: float = 0.7) -> Path:
    """Change 64 bytes of values, which every other check takes for weights."""
    path = next(part.glob("*.safetensors"))
    content = bytearray(path.read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    first = header + int(at * (len(content) - header - 64))
    for place in range(first, first + 64):
        content[place] ^= 1
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("part", ["transformer", "vocoder", "vae", "audio_vae", "text_encoder"])
def test_flipped_bytes_are_refused_and_without_the_list_taken(listed: Path, part: str) -> None:
    NavaPipeline.from_pretrained(listed)
    path = _flip(listed / part)
    with pytest.raises(VivaceError) as caught:
        NavaPipeline.from_pretrained(listed)
    told = str(caught.value)
    assert told.startswith(f"Weights '{path}' are not those that checksums.json lists")
    assert told.endswith("or remove checksums.json if you changed the weights yourself.")
    (listed / "checksums.json").unlink()
    check_weights(listed)
    write_checksums(listed)
    check_part(listed / part)
    _flip(listed / part)
    with pytest.raises(VivaceError, match=r"checksums\.json lists"):
        check_part(listed / part)


def test_a_command_ends_with_2_and_makes_nothing(
    listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _flip(listed / "vocoder")
    output = tmp_path / "clip.mp4"
    assert main(["generate", "a red ball", "--model", str(listed), "--output", str(output)]) == 2
    assert "checksums.json lists" in " ".join(capsys.readouterr().err.split())
    assert not output.exists()


def test_shipped_models_are_listed_and_whole() -> None:
    for folder in shipped_models().values():
        files = json.loads((folder / "checksums.json").read_text())["files"]
        weights = {folder / name for name in files if name.endswith(".safetensors")}
        assert weights == set(folder.glob("*/*.safetensors"))
        check_weights(folder, largest=None)


def test_configurations_and_the_tokenizer_s_files_are_listed_too(listed: Path) -> None:
    for name in ("vocoder/config.json", "tokenizer/added_tokens.json", "scheduler/scheduler_config.json"):
        content = (listed / name).read_text()
        (listed / name).write_text(content.replace("\n", "\n ", 1))  # the same values
        with pytest.raises(VivaceError, match=rf"^File '.*{name}' is not the one that checksums\.json lists .*; copy"):
            NavaPipeline.from_pretrained(listed)
        (listed / name).unlink()
        with pytest.raises(VivaceError, match=rf"^File '.*{name}' is missing, and checksums\.json lists it; copy"):
            check_weights(listed)
        (listed / name).write_text(content)
    NavaPipeline.from_pretrained(listed)


def test_a_list_of_weights_alone_is_taken_as_before(listed: Path) -> None:
    path = listed / "checksums.json"
    told = json.loads(path.read_text())
    told["files"] = {name: entry for name, entry in told["files"].items() if name.endswith(".safetensors")}
    path.write_text(json.dumps(told))
    NavaPipeline.from_pretrained(listed)
    _flip(listed / "vae")
    with pytest.raises(VivaceError, match=r"^Weights .* are not those that"):
        check_weights(listed)


def test_the_list_changes_no_hash_of_the_folder(model_folder: Path, listed: Path) -> None:
    assert folder_hash(listed) == folder_hash(model_folder)


def test_of_large_files_only_the_length_is_compared_until_asked(listed: Path) -> None:
    path = _flip(listed / "transformer")
    check_weights(listed, largest=path.stat().st_size - 1)
    with pytest.raises(VivaceError, match="not those"):
        check_weights(listed, largest=None)
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(VivaceError, match="not those"):
        check_weights(listed, largest=0)
    path.unlink()
    with pytest.raises(VivaceError, match="are missing"):
        check_weights(listed, largest=0)


def test_a_conversion_s_record_is_such_a_list(listed: Path) -> None:
    (listed / "checksums.json").rename(listed / "conversion.json")
    check_weights(listed)
    _flip(listed / "vae")
    with pytest.raises(VivaceError, match=r"not those that conversion\.json lists"):
        NavaPipeline.from_pretrained(listed)


def test_verifying_hashes_whatever_the_size(listed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vivace.pipelines.checksums.LARGEST_AT_LOADING", 0)
    _flip(listed / "vae")
    assert main(["verify", "nava", "--weights", str(listed)]) == 2


def test_saving_over_a_listed_folder_renews_the_list(listed: Path, tmp_path: Path) -> None:
    pipeline = NavaPipeline.from_pretrained(listed)
    with torch.no_grad():
        pipeline.transformer.audio_head.linear.weight.mul_(2)
    pipeline.save_pretrained(listed)
    NavaPipeline.from_pretrained(listed)
    pipeline.save_pretrained(tmp_path / "new")
    assert not (tmp_path / "new" / "checksums.json").exists()


def test_a_refiner_s_weights_are_compared_too(tmp_path: Path) -> None:
    made = tiny_refiner_pipeline()
    made.base.save_pretrained(tmp_path / "alive")
    made.save_pretrained(tmp_path / "refiner", base="alive")
    write_checksums(tmp_path / "refiner")
    made.save_pretrained(tmp_path / "refiner", base="alive")
    AliveRefinerPipeline.from_pretrained(tmp_path / "refiner")
    _flip(tmp_path / "refiner" / "transformer")
    with pytest.raises(VivaceError, match="not those"):
        AliveRefinerPipeline.from_pretrained(tmp_path / "refiner")


@pytest.mark.parametrize(
    "damage",
    [
        lambda told: "{",
        lambda told: "[" * 100_000,
        lambda told: "[]",
        lambda told: told.replace("sha256", "md5"),
        lambda told: told.replace('"vae/', '"../vae/'),
        lambda told: told.replace('"vae/', '"/vae/'),
        lambda told: '{"files": [1]}',
        lambda told: '{"files": {"a/b": 3}}',
        lambda told: "\xff",
    ],
)
def test_a_damaged_list_is_refused_in_one_sentence(listed: Path, damage: Callable[[str], str]) -> None:
    path = listed / "checksums.json"
    path.write_text(damage(path.read_text()), encoding="latin-1")
    with pytest.raises(VivaceError, match=r"checksums\.json' is damaged .* download the model folder again") as caught:
        check_weights(listed)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [NavaPipeline, AlivePipeline])
@pytest.mark.parametrize("name", ["nope", "nano-nvaa", "./nowhere", "someone/some-model"])
def test_unknown_names_load_nothing_from_a_network(
    kind: type[NavaPipeline], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*arguments: object, **named: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr("diffusers.pipelines.pipeline_utils.DiffusionPipeline.download", asked)
    monkeypatch.setattr("huggingface_hub.snapshot_download", asked)
    with pytest.raises(VivaceError, match=r"neither a shipped model \(nano-alive, nano-nava\) nor a folder") as caught:
        kind.from_pretrained(name)
    assert ("allow_download=True" in str(caught.value)) == (name == "someone/some-model")
