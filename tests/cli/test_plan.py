"""`vivace plan` and `--memory`: what is said before anything is loaded, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from vivace.cli.main import main

Capture = pytest.CaptureFixture[str]


def _planned(capsys: Capture, *words: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = main(["plan", *words, "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, found


def test_a_plan_names_parts_licences_peaks_and_what_it_chose(model_folder: Path, capsys: Capture) -> None:
    code, found = _planned(capsys, "--model", str(model_folder))
    assert code == 0
    assert set(found["parts"]) == {"transformer", "text_encoder", "vae", "audio_vae", "vocoder"}
    assert found["bytes"] == sum(path.stat().st_size for path in model_folder.rglob("*.safetensors"))
    assert found["plan"]["exact"]
    assert found["peak"]["host"] >= found["smallest"]["host"] > 0
    assert found["licences"]
    assert main(["plan", "--model", str(model_folder)]) == 0
    assert "Expected peak" in capsys.readouterr().out


def test_what_does_not_fit_is_refused_with_what_does(model_folder: Path, tmp_path: Path, capsys: Capture) -> None:
    big = ["--model", str(model_folder), "--size", "128x128", "--seconds", "1", "--only", "video"]
    code, free = _planned(capsys, *big, "--memory", "1GB")
    assert code == 0
    assert not free["plan"]["together"] or free["plan"]["decoding"] != "whole" or free["peak"]["host"] < 10**9
    code, found = _planned(capsys, *big, "--memory", f"{free['smallest']['host'] * 0.9995 / 1e6:.3f}MB")
    assert code == 2
    assert "s are possible at this size" in found["problem"]
    output = tmp_path / "clip.mp4"
    small = ["--model", str(model_folder), "--memory", "1MB", "--output", str(output)]
    assert main(["generate", "a drum", *small]) == 2
    assert "use a smaller model" in capsys.readouterr().err
    assert not output.exists()


def test_what_cache_and_adapters_take_is_counted_and_named(model_folder: Path, tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("peft")
    layer = "transformer.double_blocks.0.streams.video.self_attn.q"
    tensors = {f"{layer}.lora_A.weight": torch.zeros(4, 32), f"{layer}.lora_B.weight": torch.zeros(32, 4)}
    save_file(tensors, tmp_path / "a.safetensors")
    more = ["--cache", "0.2", "--lora", f"{tmp_path / 'a.safetensors'}:0.5"]
    _, plain = _planned(capsys, "--model", str(model_folder))
    code, found = _planned(capsys, "--model", str(model_folder), *more)
    assert code == 0
    assert plain["beside"] == {}
    assert found["beside"].keys() == {"step cache", "adapters"}
    assert found["beside"]["adapters"] == 2 * 4 * 32 * 4
    assert main(["plan", "--model", str(model_folder), *more]) == 0
    assert "Counted in it: step cache" in capsys.readouterr().out


def test_a_named_plan_is_followed_and_recorded(model_folder: Path, tmp_path: Path, capsys: Capture) -> None:
    common = ["generate", "a drum", "--model", str(model_folder), "--seed", "1", "--steps", "2"]
    hashes = []
    for number, more in enumerate(([], ["--memory", "8GB"])):
        output = tmp_path / f"{number}.mp4"
        assert main([*common, "--output", str(output), *more]) == 0
        record = json.loads(output.with_suffix(".json").read_text())
        assert (record["memory"] is not None) == bool(more)
        hashes.append(record["latents_sha256"])
    assert hashes[0] == hashes[1]
    assert main([*common, "--memory", "lots"]) == 2
    assert "neither auto nor a size" in capsys.readouterr().err
